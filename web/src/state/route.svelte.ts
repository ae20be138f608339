// Where the user is, in the URL's fragment: `#/containers?panel=create&filter=web`. Back and forward work, and
// a copied address shows the same.

export const VIEWS = ["overview", "containers", "devices", "tokens"] as const;
export type View = (typeof VIEWS)[number];

export function parse(hash: string): { view: View; query: URLSearchParams } {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const view = VIEWS.find((known) => known === path) ?? "overview";
  return { view, query: new URLSearchParams(query) };
}

class Route {
  view = $state<View>("overview");
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.#read();
    addEventListener("hashchange", () => this.#read());
  }

  #read() {
    ({ view: this.view, query: this.query } = parse(location.hash));
  }

  get(key: string): string {
    return this.query.get(key) ?? "";
  }

  /** Changes one part of the address, without a new entry in the browser's history. */
  set(key: string, value: string) {
    const query = new URLSearchParams(this.query);
    if (value === "") query.delete(key);
    else query.set(key, value);
    const text = query.toString();
    history.replaceState(null, "", `#/${this.view}${text === "" ? "" : `?${text}`}`);
    this.query = query;
  }

  /** As `set`, but nothing leaves what is there: who picks forgets what is not found for a moment, the address does not. */
  keep(key: string, value: string) {
    if (value !== "") this.set(key, value);
  }
}

export const route = new Route();
