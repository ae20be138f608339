// Where the user is, in the URL's fragment: `#/containers?panel=create&filter=web`. Back and forward work, and
// a copied address shows the same. For who belongs to several tenants it names the tenant too, whatever a link says.

import { invitationSecret } from "./people";

export const VIEWS = [
  "overview",
  "applications",
  "containers",
  "container",
  "devices",
  "device",
  "alerts",
  "members",
  "tokens",
  "audit",
  "platform",
  "account",
] as const;
export type View = (typeof VIEWS)[number];

const TENANT = "tenant";
/** What is typed is written into the address at most this often, in milliseconds: Safari refuses more than 100 in 30 s. */
const WRITE_EVERY = 400;

export function parse(hash: string): { view: View; query: URLSearchParams; tenant: string } {
  const [path = "", text = ""] = hash.replace(/^#\/?/, "").split("?");
  const view = VIEWS.find((known) => known === path) ?? "overview";
  const query = new URLSearchParams(text);
  const tenant = query.get(TENANT) ?? "";
  query.delete(TENANT);
  return { view, query, tenant };
}

/** The address of a page, in a tenant where one is named. */
export function address(view: View, query: URLSearchParams, tenant: string): string {
  const whole = new URLSearchParams(query);
  if (tenant !== "") whole.set(TENANT, tenant);
  const text = whole.toString();
  return `#/${view}${text === "" ? "" : `?${text}`}`;
}

class Route {
  view = $state<View>("overview");
  query = $state.raw(new URLSearchParams());
  /** The tenant that the address names; empty where it names none. */
  tenant = $state("");

  /** When what was typed was written last. */
  #typedAt = 0;
  #writing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    this.#read();
    addEventListener("hashchange", () => this.#read());
    // Whoever follows a link finds here again what was typed.
    addEventListener("click", () => this.#flush(), { capture: true });
  }

  #read() {
    // What waits to be written belongs to the page that was left.
    this.#settled();
    const { view, query, tenant } = parse(location.hash);
    this.view = view;
    this.query = query;
    if (tenant !== "") this.tenant = tenant;
    // A link to a page leads there in the tenant where one is.
    else if (this.tenant !== "" && invitationSecret(location.hash) === null) this.#write();
  }

  #write() {
    this.#settled();
    history.replaceState(history.state, "", address(this.view, this.query, this.tenant));
  }

  /** Writes what waits. */
  #flush() {
    if (this.#writing !== undefined) this.#write();
  }

  #settled() {
    clearTimeout(this.#writing);
    this.#writing = undefined;
  }

  /** From now on the address names this tenant, or none. */
  name(tenant: string) {
    if (tenant === this.tenant) return;
    this.tenant = tenant;
    this.#write();
  }

  /** What a link says, with the tenant: for where it is opened that is not here, as in a new tab. */
  whole(link: string): string {
    const { view, query } = parse(link);
    return address(view, query, this.tenant);
  }

  get(key: string): string {
    return this.query.get(key) ?? "";
  }

  /** Changes one part of the address, without a new entry in the browser's history. */
  set(key: string, value: string) {
    if (this.#change(key, value)) this.#write();
  }

  /** As `set`, for what is typed: it is written at once or, with what is typed meanwhile, as soon as it may. */
  type(key: string, value: string) {
    if (!this.#change(key, value)) return;
    const write = () => {
      this.#typedAt = Date.now();
      this.#write();
    };
    const wait = this.#typedAt + WRITE_EVERY - Date.now();
    if (wait <= 0) write();
    else this.#writing ??= setTimeout(write, wait);
  }

  #change(key: string, value: string): boolean {
    if (value === this.get(key)) return false;
    const query = new URLSearchParams(this.query);
    if (value === "") query.delete(key);
    else query.set(key, value);
    this.query = query;
    return true;
  }

  /** Goes to an address as a link does, but is there at once. */
  go(address: string) {
    this.#flush();
    location.hash = address;
    this.#read();
  }

  /** As `set`, but nothing leaves what is there: who picks forgets what is not found for a moment, the address does not. */
  keep(key: string, value: string) {
    if (value !== "") this.set(key, value);
  }
}

export const route = new Route();
