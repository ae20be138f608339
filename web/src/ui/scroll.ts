// The page is scrolled to where it was when one goes back to it, and begins at its top when one goes to another. What is on it
// comes later, so that the browser's own way of doing this finds nothing to scroll.
import { parse } from "../state/route.svelte";

/** How long what was below is waited for, in milliseconds. */
const WAITS = 5_000;
/** How long, once it is there, what comes above it late may not push it away, in milliseconds. */
const SETTLES = 1_000;
/** How long after the last scrolling its place is kept, in milliseconds: browsers limit how often the history is written. */
const KEEPS_AFTER = 200;

/** Watches the window until what it answers is called. */
export function keepScroll(): () => void {
  history.scrollRestoration = "manual";
  let { view } = parse(location.hash);
  let keeping: ReturnType<typeof setTimeout> | undefined;
  let searching: { observer: ResizeObserver; timer: ReturnType<typeof setTimeout> } | undefined;

  function stop() {
    searching?.observer.disconnect();
    clearTimeout(searching?.timer);
    searching = undefined;
  }
  function goTo(top: number) {
    stop();
    let found = false;
    const observer = new ResizeObserver(() => {
      scrollTo(0, top);
      if (found || scrollY < top - 1 || !searching) return;
      found = true;
      clearTimeout(searching.timer);
      searching.timer = setTimeout(stop, SETTLES);
    });
    searching = { observer, timer: setTimeout(stop, WAITS) };
    observer.observe(document.documentElement);
  }
  function scrolled() {
    clearTimeout(keeping);
    if (searching) return;
    keeping = setTimeout(() => history.replaceState({ top: scrollY }, ""), KEEPS_AFTER);
  }
  function went({ state }: PopStateEvent) {
    clearTimeout(keeping);
    const before = view;
    ({ view } = parse(location.hash));
    const top = (state as { top?: number } | null)?.top;
    if (top !== undefined) goTo(top);
    else if (view !== before) goTo(0);
  }

  const listening = new AbortController();
  const { signal } = listening;
  addEventListener("scroll", scrolled, { signal, passive: true });
  addEventListener("popstate", went, { signal });
  // Who scrolls does not want to be scrolled.
  for (const kind of ["wheel", "pointerdown", "keydown"]) addEventListener(kind, stop, { signal, passive: true });
  return () => {
    listening.abort();
    clearTimeout(keeping);
    stop();
  };
}
