// A dialog that is open for as long as it is in the page: Escape asks to close it, and the keyboard goes back to where it was.
import { tick } from "svelte";

/** To be used on a `<dialog>` with what is to be done on Escape or on a click beside it: the dialog stays until it is taken out of the page. */
export function modal(node: HTMLDialogElement, onclose: () => void) {
  const before = document.activeElement;
  const around = placesAround(before);
  node.showModal();
  const cancel = (event: Event) => {
    event.preventDefault();
    onclose();
  };
  // What is beside the dialog is its backdrop, which is a part of it.
  const isBeside = (event: MouseEvent) => {
    if (event.target !== node) return false;
    const { left, right, top, bottom } = node.getBoundingClientRect();
    return event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom;
  };
  // Text that is selected past the edge ends beside the dialog, and was not a press there; nor is the second press of a double
  // click, of which the first has opened it.
  let pressedBeside = false;
  const press = (event: MouseEvent) => (pressedBeside = isBeside(event) && event.detail < 2);
  const beside = (event: MouseEvent) => {
    if (pressedBeside && isBeside(event)) onclose();
  };
  // A browser does not ask again on a second Escape, it closes; but a question that is still in the page is not answered.
  const closed = async () => {
    onclose();
    await tick();
    if (node.isConnected && !node.open) node.showModal();
  };
  node.addEventListener("cancel", cancel);
  node.addEventListener("close", closed);
  node.addEventListener("mousedown", press);
  node.addEventListener("click", beside);
  return {
    destroy: () => {
      node.removeEventListener("cancel", cancel);
      node.removeEventListener("close", closed);
      node.removeEventListener("mousedown", press);
      node.removeEventListener("click", beside);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      void goOnNear(around);
    },
  };
}

/** What can have the keyboard around an element, the nearest first. */
function placesAround(element: Element | null): HTMLElement[] {
  const places: HTMLElement[] = [];
  for (let at = element?.parentElement; at; at = at.parentElement) if (at.hasAttribute("tabindex")) places.push(at);
  return places;
}

/** Where the dialog was opened from something that went with its answer, the keyboard goes on near to where that was. */
async function goOnNear(around: HTMLElement[]) {
  // What is gone is gone only once all is drawn, and who knows better where to go on has done so.
  await tick();
  const at = document.activeElement;
  if (at === null || at === document.body) around.find((place) => place.isConnected)?.focus({ preventScroll: true });
}
