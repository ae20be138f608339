// The beat by which charts are drawn: once a second, and not at all while nobody looks at the page.
import { createSubscriber } from "svelte/reactivity";

const EVERY = 1_000;

const listen = createSubscriber((update) => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const begin = () => {
    timer = document.hidden ? undefined : setInterval(update, EVERY);
  };
  const turn = () => {
    clearInterval(timer);
    begin();
    if (!document.hidden) update();
  };
  document.addEventListener("visibilitychange", turn);
  begin();
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", turn);
  };
});

/** The time in milliseconds; what reads it in an effect is run again at the next beat. */
export function beat(): number {
  listen();
  return Date.now();
}
