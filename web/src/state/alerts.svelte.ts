// The tenant's active alerts: listed after each join, every so often, and soon after the control plane has told of something
// that may be one (its notices do not say which are).
import type { AlertView } from "../api/generated";
import { live } from "./live.svelte";

/** What was missed is made good after so many milliseconds. */
const REFRESH_EVERY = 30_000;
/** A flood of notices has it listed once, so many milliseconds after the first. */
const SOON = 500;
/** As many are listed as a person looks through; the badge says that there are more. */
const MAX_ACTIVE = 100;

class Alerts {
  /** The newest first; `null` until they have been listed. */
  active = $state.raw<AlertView[] | null>(null);
  /** There are more than are listed here. */
  more = $state(false);
  /** Why they could not be listed; what is shown is from before. */
  error = $state("");
  /** Counts the times that the list came. */
  listed = $state(0);
  #asked = 0;
  #soon: ReturnType<typeof setTimeout> | undefined;

  /** Lists them for as long as the caller's effect lives. */
  look(): () => void {
    void this.load();
    const timer = setInterval(() => void this.load(), REFRESH_EVERY);
    return () => {
      clearInterval(timer);
      clearTimeout(this.#soon);
      this.#soon = undefined;
    };
  }

  /** Lists them in a moment. */
  soon() {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      if (live.connected) void this.load();
    }, SOON);
  }

  async load() {
    const mine = ++this.#asked;
    try {
      const { alerts, next } = await live.call("AlertListing", null, { which: "active", limit: MAX_ACTIVE });
      if (mine !== this.#asked) return;
      this.active = alerts;
      this.more = next !== null;
      this.error = "";
      this.listed += 1;
    } catch (problem) {
      if (mine === this.#asked) this.error = (problem as Error).message;
    }
  }

  /** Says that this person has seen it; answers how it stands now. */
  async acknowledge(alert: string): Promise<AlertView> {
    const seen = await live.call("AlertAcknowledge", null, { alert });
    // A list that was asked for before does not know of it.
    this.#asked += 1;
    this.active = this.active?.map((one) => (one.id === alert ? seen : one)) ?? null;
    this.listed += 1;
    return seen;
  }

  /** Nothing of one tenant is shown in another. */
  forget() {
    this.#asked += 1;
    this.active = null;
    this.more = false;
    this.error = "";
  }
}

export const alerts = new Alerts();
