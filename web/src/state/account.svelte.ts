// Who is logged in, and in which tenant they are looking.
import type { Membership, SessionView } from "../api/generated";
import { http, HttpError } from "../api/http";

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
  }

  #enter(session: SessionView) {
    this.session = session;
    const still = session.memberships.some((membership) => membership.tenant === this.tenant);
    if (!still) this.tenant = session.memberships[0]?.tenant ?? null;
    this.stage = "in";
  }
}

export const account = new Account();
