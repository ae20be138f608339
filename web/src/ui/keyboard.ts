// The keyboard stays at a button that cannot be pressed for a moment. A browser takes it away from what is disabled, so whoever
// pressed "Make token" by Enter would have to look for the place again.

/** Watches all that is in `root`, for as long as the page lives. */
export function keepKeyboard(root: HTMLElement): void {
  /** What had the keyboard last, and what waits to have it back. */
  let last: EventTarget | null = null;
  let waits: HTMLElement | null = null;
  root.addEventListener("focusin", ({ target }) => {
    last = target;
    waits = null;
  });
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      if (!(target instanceof HTMLElement)) continue;
      if (target.matches(":disabled")) {
        if (target === last) waits = target;
      } else if (target === waits) {
        waits = null;
        // Who has gone on meanwhile, or has clicked elsewhere, is not called back.
        if (document.activeElement === document.body) target.focus({ preventScroll: true });
      }
    }
  }).observe(root, { subtree: true, attributeFilter: ["disabled"] });
  root.addEventListener("pointerdown", () => (last = waits = null), { capture: true });
}
