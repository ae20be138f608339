// What is made good once the connection is back, for what was told while nobody heard it.
import { untrack } from "svelte";
import { live } from "./live.svelte";

/** Does it each time the connection is back, for as long as the component lives in whose set-up this is called. */
export function whenBack(run: () => void): void {
  let broken = false;
  $effect(() => {
    const back = live.connected && broken;
    broken = !live.connected;
    if (back) untrack(run);
  });
}
