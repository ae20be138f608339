// What the control plane has kept of a device's or a container's past, asked for as long as somebody looks: again when there
// can be more of it, after a break of the connection, and not while the page is hidden.
import type { StatsHistory } from "../api/generated";
import { type Range, RANGES, refreshAfter } from "./chart";
import { live } from "./live.svelte";

/** A device or a container: exactly one of them. */
export interface Subject {
  device?: string;
  container?: string;
}

/**
 * While events tell of each second, the past is asked for after this long, in milliseconds: it fills what they have left out,
 * and the seconds before this page listened, of which the device has reported by then.
 */
export const MEND_EVERY = 15_000;
/** After an error it is tried again after this long. */
const RETRY_AFTER = 30_000;

/** Asks for the last `seconds`, by the control plane's clock; times are in seconds. */
export async function askPast(subject: Subject, seconds: number): Promise<{ from: number; to: number; history: StatsHistory }> {
  const to = Date.now() + live.fleet.clockAhead;
  const from = to - seconds * 1000;
  const history = await live.call("StatsHistoryQuery", null, { ...subject, from: Math.round(from), to: Math.round(to) });
  return { from: from / 1000, to: to / 1000, history };
}

export class Past {
  answer = $state.raw<{ from: number; to: number; history: StatsHistory } | null>(null);
  asking = $state(false);
  error = $state("");
  #of = "";
  #ask: () => void = () => undefined;

  /** Asks until the answered function is called. */
  look(subject: Subject, range: Range): () => void {
    const of = JSON.stringify([subject, range.id]);
    if (this.#of !== of) {
      this.#of = of;
      this.answer = null;
      this.error = "";
    }
    let over = false;
    let due = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      clearTimeout(timer);
      due = document.hidden;
      if (due) return;
      let wait = RETRY_AFTER;
      this.asking = true;
      try {
        const answer = await askPast(subject, range.seconds);
        if (over) return;
        this.answer = answer;
        this.error = "";
        wait = range === RANGES[0] ? MEND_EVERY : refreshAfter(answer.history.step_ms);
      } catch (problem) {
        if (over) return;
        this.error = (problem as Error).message;
      } finally {
        if (!over) this.asking = false;
      }
      timer = setTimeout(ask, wait);
    };
    const turn = () => {
      if (due && !document.hidden) void ask();
    };
    this.#ask = () => void ask();
    document.addEventListener("visibilitychange", turn);
    void ask();
    return () => {
      over = true;
      this.asking = false;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
    };
  }

  /** Asks now. */
  again() {
    this.#ask();
  }
}
