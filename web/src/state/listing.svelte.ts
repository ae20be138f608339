// A list that the control plane gives over HTTP, whole or page by page: what is there, what is missing, and what went wrong.
import { untrack } from "svelte";
import { account } from "./account.svelte";

/** Things of a page: a few screens full, and far below what the control plane gives at once. */
const PAGE = 100;

export interface Page<T> {
  items: T[];
  next: string | null;
}

export class Listing<T> {
  /** Nothing before the first answer. */
  items = $state.raw<T[] | null>(null);
  /** Where the next page begins, if there is one. */
  next = $state.raw<string | null>(null);
  error = $state("");
  busy = $state(false);
  #read: (query: string) => Promise<Page<T>>;
  #asked = 0;

  /** `read` gets the query that says which page is wanted. A list that comes whole needs none of it. */
  constructor(read: (query: string) => Promise<Page<T>>) {
    this.#read = read;
  }

  /** Asks for the first page, or anew for as much as is shown already. */
  load(): Promise<void> {
    return this.#ask([], null, untrack(() => this.items?.length ?? 0));
  }

  /** Adds the next page. */
  async more(): Promise<void> {
    if (this.next !== null) await this.#ask(this.items ?? [], this.next, 0);
  }

  async #ask(before: T[], after: string | null, wanted: number) {
    // Whoever asks later gets the list; what comes for an older question is not shown any more.
    const mine = ++this.#asked;
    this.busy = true;
    this.error = "";
    try {
      let items = before;
      let next = after;
      do {
        const from = next === null ? "" : `&after=${encodeURIComponent(next)}`;
        const page = await account.asMember(this.#read(`?limit=${PAGE}${from}`));
        if (mine !== this.#asked) return;
        items = [...items, ...page.items];
        next = page.next;
      } while (next !== null && items.length < wanted);
      this.items = items;
      this.next = next;
    } catch (problem) {
      if (mine === this.#asked) this.error = (problem as Error).message;
    } finally {
      if (mine === this.#asked) this.busy = false;
    }
  }
}
