// What one may after something was done that changes it: that it cannot be read anew undoes nothing of what was done.
import { HttpError } from "../api/http";
import { account } from "./account.svelte";
import { notices } from "./notices.svelte";

/** Reads anew what one may. Where that fails it is told, and nothing is thrown. */
export async function readStanding(): Promise<void> {
  try {
    await account.refresh();
  } catch (problem) {
    // A login that has ended is asked for in place, and tells it.
    if (problem instanceof HttpError && problem.status === 401) return;
    notices.add("error", `It is done, but what you may do now could not be read. ${(problem as Error).message} Reload the page then.`);
  }
}
