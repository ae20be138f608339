// Who is logged in, and in which tenant they are looking.
import type { Membership, SessionView } from "../api/generated";
import { http, HttpError } from "../api/http";
import { notices } from "./notices.svelte";
import { route } from "./route.svelte";

export type Stage = "loading" | "unreachable" | "setup" | "login" | "in";

class Account {
  stage = $state<Stage>("loading");
  session = $state<SessionView | null>(null);
  tenant = $state<string | null>(null);
  /** The login has ended while the user was at work: ask again in place. */
  expired = $state(false);
  trouble = $state("");

  get membership(): Membership | null {
    return this.session?.memberships.find((membership) => membership.tenant === this.tenant) ?? null;
  }

  get mayChange(): boolean {
    return this.membership?.role === "owner" || this.membership?.role === "operator";
  }

  get isOwner(): boolean {
    return this.membership?.role === "owner";
  }

  get isAdministrator(): boolean {
    return this.session?.admin === true;
  }

  /** Finds out where we stand. */
  async load() {
    try {
      const { needed } = await http.get<{ needed: boolean }>("/api/setup");
      if (needed) {
        this.stage = "setup";
        return;
      }
      this.#enter(await http.get<SessionView>("/api/session"));
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) this.stage = "login";
      else {
        this.trouble = (error as Error).message;
        this.stage = "unreachable";
      }
    }
  }

  async login(email: string, password: string) {
    this.#enter(await http.post<SessionView>("/api/login", { email, password }));
    this.expired = false;
  }

  /** Reads anew what one may: a membership, a role or a tenant's name has changed. */
  async refresh() {
    this.#enter(await this.asMember(http.get<SessionView>("/api/session")));
  }

  /** Asks again for the login, in place, where a request is refused because it has ended. */
  async asMember<T>(request: Promise<T>): Promise<T> {
    try {
      return await request;
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) this.expired = true;
      throw error;
    }
  }

  async logout() {
    await http.post("/api/logout");
    this.session = null;
    this.stage = "login";
    // Whoever logs in next may be somebody else.
    notices.forget();
    route.name("");
  }

  /** Looks into a tenant to which one belongs. */
  look(tenant: string | null) {
    this.tenant = tenant;
    route.name((this.session?.memberships.length ?? 0) > 1 ? (tenant ?? "") : "");
  }

  /** Goes into the tenant that the address names, or else stays where one is, or else takes the first. */
  enter() {
    const memberships = this.session?.memberships ?? [];
    const named = route.tenant;
    const of = (wanted: string | null) => memberships.find(({ tenant }) => tenant === wanted);
    const chosen = of(named) ?? of(this.tenant) ?? memberships[0];
    // What one tenant told is nothing for the next.
    if (this.tenant !== null && this.tenant !== chosen?.tenant) notices.forget();
    this.look(chosen?.tenant ?? null);
    if (named === "" || named === chosen?.tenant) return;
    const instead = chosen ? `This is ${chosen.tenant_name}. ` : "";
    notices.add("warning", `You do not belong to the tenant ${named}. ${instead}An owner of ${named} can invite you.`);
  }

  #enter(session: SessionView) {
    // In another tab somebody else has logged in: nothing of what is here is theirs.
    if (this.session !== null && this.session.email !== session.email) location.reload();
    this.session = session;
    this.enter();
    this.stage = "in";
  }
}

export const account = new Account();
