// How long to wait before the next attempt to connect. Pure: the random number is handed in.

/** The first wait, in milliseconds. */
const FIRST = 500;
/** The longest wait: what a person is ready to watch a banner for. */
const LONGEST = 8_000;

/** The wait before attempt `attempt` (from 0), spread over its upper half by `random` (0 to 1). */
export function backoff(attempt: number, random: number): number {
  const full = Math.min(FIRST * 2 ** Math.min(attempt, 10), LONGEST);
  return full * (0.5 + random / 2);
}
