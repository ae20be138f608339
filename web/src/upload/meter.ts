// How fast something goes, and for how long it will. Pure: the time is handed in.

/** The rate is that of the last while, in milliseconds: short enough to follow a link, long enough not to flicker. */
const WINDOW = 10_000;
/** Before this much time, in milliseconds, a rate says nothing. */
const SETTLES = 1_000;

export class Meter {
  #samples: { at: number; bytes: number }[] = [];

  /** So many bytes are done in all. */
  add(at: number, bytes: number): void {
    const last = this.#samples.at(-1);
    // What was sent but not kept is sent again: the past says nothing then.
    if (last && (bytes < last.bytes || at < last.at)) this.#samples = [];
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && (this.#samples[1] as { at: number }).at <= at - WINDOW) this.#samples.shift();
  }

  /** After a pause it begins anew. */
  reset(): void {
    this.#samples = [];
  }

  /** Bytes each second; `null` while that is not known. */
  rate(now: number): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last) return null;
    const span = Math.max(now, last.at) - first.at;
    return span < SETTLES ? null : ((last.bytes - first.bytes) * 1000) / span;
  }

  /** Milliseconds until all is done; `null` while that is not known. */
  remaining(now: number, total: number): number | null {
    const rate = this.rate(now);
    const last = this.#samples.at(-1);
    if (rate === null || rate <= 0 || !last) return null;
    return (Math.max(0, total - last.bytes) * 1000) / rate;
  }
}
