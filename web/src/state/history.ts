// CPU of each device over the last minutes, second by second, by time of arrival. Pure.

/** How far back it reaches, in seconds. */
export const SPAN = 300;

/** Values by second since 1970; a missing second is a gap. */
export type Series = Map<number, number>;

/**
 * Adds a sample. One single missing second is bridged, since ticks come a little early or late; more is a gap
 * and stays one. What is older than the span is dropped, and what lies ahead: the browser's clock was set back.
 */
export function add(series: Series, second: number, value: number): void {
  const before = series.get(second - 2);
  if (before !== undefined && !series.has(second - 1)) series.set(second - 1, (before + value) / 2);
  series.set(second, value);
  for (const old of series.keys()) {
    if (old < second - SPAN || old > second) series.delete(old);
  }
}

/** The seconds up to `now`, and for each series its values in them, gaps as `null`. */
export function columns(all: Series[], now: number): [number[], ...(number | null)[][]] {
  const seconds = Array.from({ length: SPAN + 1 }, (_, index) => now - SPAN + index);
  return [seconds, ...all.map((series) => seconds.map((second) => series.get(second) ?? null))];
}
