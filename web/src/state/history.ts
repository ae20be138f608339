// What a device or a container has used over the last minutes, second by second, by the control plane's clock. Pure.
import type { StatsHistory } from "../api/generated";
import { between, isKnown, type Load, ofPoint, type Quantity } from "./load";

/** How far back it reaches, in seconds. */
export const SPAN = 300;

/** So many seconds are kept: the span with both its ends. */
const SLOTS = SPAN + 1;
const EMPTY = -1;

/** By second since 1970; a missing second is a gap. A ring: its memory is all there from the first second on, and never more. */
export class Track {
  readonly #seconds = new Float64Array(SLOTS).fill(EMPTY);
  readonly #loads = new Array<Load | undefined>(SLOTS).fill(undefined);

  has(second: number): boolean {
    return this.#seconds[second % SLOTS] === second;
  }

  get(second: number): Load | undefined {
    return this.has(second) ? this.#loads[second % SLOTS] : undefined;
  }

  /** In place of what was kept a span ago. */
  set(second: number, load: Load): void {
    this.#seconds[second % SLOTS] = second;
    this.#loads[second % SLOTS] = load;
  }

  /** Forgets all that is not between these two, which stay. */
  keep(first: number, last: number): void {
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const second = this.#seconds[slot] as number;
      if (second >= first && second <= last) continue;
      this.#seconds[slot] = EMPTY;
      this.#loads[slot] = undefined;
    }
  }

  /** The seconds that are known, in no order. */
  seconds(): number[] {
    return [...this.#seconds].filter((second) => second !== EMPTY);
  }

  /** What is known, in no order. */
  loads(): Load[] {
    return this.#loads.filter((load) => load !== undefined);
  }
}

/**
 * Adds what was told now. One single missing second is bridged, since ticks come a little early or late; more is a gap
 * and stays one. What is older than the span is dropped, and what lies ahead: the clock was set back.
 */
export function add(track: Track, second: number, load: Load): void {
  const before = track.get(second - 2);
  if (before !== undefined && !track.has(second - 1)) track.set(second - 1, between(before, load));
  track.set(second, load);
  track.keep(second - SPAN, second);
}

/**
 * The longest step that is drawn by the second, in milliseconds: the finest that is kept. The mean of a longer one would stand where
 * the device was not even there.
 */
const FINE_MS = 10_000;

/**
 * Fills seconds of which nothing is known by what the control plane has kept in fine steps: from the middle of a step to the middle of
 * the next in a straight line. A step without values stays a gap.
 */
export function seed(track: Track, { points, step_ms }: StatsHistory, now: number): void {
  if (step_ms > FINE_MS) return;
  const step = Math.round(step_ms / 1000);
  const half = Math.floor(step / 2);
  const steps = points.map((point) => ({ at: Math.round(point.at / 1000), load: ofPoint(point) }));
  for (const [index, { at, load }] of steps.entries()) {
    if (!isKnown(load)) continue;
    for (let second = at; second < at + step; second += 1) {
      if (second < now - SPAN || second > now || track.has(second)) continue;
      const away = second - (at + half);
      const other = steps[index + Math.sign(away)];
      track.set(second, other && isKnown(other.load) ? between(load, other.load, Math.abs(away) / step) : load);
    }
  }
}

/** Of so many seconds something must be known, or it is worth asking. */
const COVERED = 0.95 * SPAN;
/** Whether nearly all of the span is known. */
export function covers(track: Track | undefined, now: number): boolean {
  return (track?.seconds() ?? []).filter((second) => second > now - SPAN && second <= now).length >= COVERED;
}

/** The mean of a quantity over the span; `null` where nothing is known. */
export function mean(track: Track | undefined, quantity: Quantity): number | null {
  let [sum, count] = [0, 0];
  for (const load of track?.loads() ?? []) {
    const value = load[quantity];
    if (value === null) continue;
    sum += value;
    count += 1;
  }
  return count === 0 ? null : sum / count;
}

/** The seconds up to `now`. */
export function secondsTo(now: number): number[] {
  return Array.from({ length: SPAN + 1 }, (_, index) => now - SPAN + index);
}

/** One quantity in these seconds, gaps as `null`. */
export function column(track: Track | undefined, seconds: number[], quantity: Quantity): (number | null)[] {
  return seconds.map((second) => track?.get(second)?.[quantity] ?? null);
}
