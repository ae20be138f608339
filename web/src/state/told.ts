// Which of the things that were told are shown, and how a flood of them stays small. Pure: no clock, no timer.
import type { NoticeLevel } from "../api/generated";

/** Errors that are shown at once; the others wait behind them until one is dismissed. */
export const MAX_ERRORS = 3;
/** Other notices that are shown at once: a flood neither covers the screen nor is read out one by one. */
export const MAX_BRIEF = 2;
/** A notice that is no error has had its look after this long, in milliseconds, and makes room for a newer one. */
export const SEEN_AFTER = 1_000;
/** Notices that are kept for a look, the newest; errors that wait are no more than these either. */
export const MAX_KEPT = 100;

export interface Told {
  id: number;
  level: NoticeLevel;
  text: string;
  /** When it was told last, in milliseconds since 1970. */
  at: number;
  /** How often it was told, one after the other. */
  count: number;
}

export interface Shown {
  /** Not dismissed yet, the oldest first. */
  errors: Told[];
  /** In sight until their time is over, the oldest first. */
  brief: Told[];
  /** How many found no room meanwhile; they are in the history alone. */
  passed: number;
}

export function nothingShown(): Shown {
  return { errors: [], brief: [], passed: 0 };
}

function again(list: Told[], notice: Told): Told[] | null {
  if (!list.some(({ level, text }) => level === notice.level && text === notice.text)) return null;
  return list.map((one) =>
    one.level === notice.level && one.text === notice.text ? { ...one, at: notice.at, count: one.count + 1 } : one,
  );
}

/**
 * A notice comes. One that says the same counts on. An error waits for its turn; anything else takes the place of what has been in
 * sight long enough, and what finds none, in a flood, only goes into the history: it would be old news by then.
 */
export function shownWith(shown: Shown, notice: Told): Shown {
  const { errors, brief, passed } = shown;
  if (notice.level === "error") return { ...shown, errors: again(errors, notice) ?? [...errors, notice].slice(-MAX_KEPT) };
  const counted = again(brief, notice);
  if (counted) return { ...shown, brief: counted };
  if (brief.length < MAX_BRIEF) return { ...shown, brief: [...brief, notice] };
  const [oldest, ...newer] = brief;
  if (oldest && notice.at - oldest.at >= SEEN_AFTER) return { ...shown, brief: [...newer, notice] };
  return { ...shown, passed: passed + 1 };
}

export function shownWithout(shown: Shown, id: number): Shown {
  const brief = shown.brief.filter((one) => one.id !== id);
  return { errors: shown.errors.filter((one) => one.id !== id), brief, passed: brief.length === 0 ? 0 : shown.passed };
}

/** What is in sight, and how many more there are. */
export function inSight({ errors, brief, passed }: Shown): { notices: Told[]; more: number } {
  return { notices: [...errors.slice(0, MAX_ERRORS), ...brief], more: Math.max(0, errors.length - MAX_ERRORS) + passed };
}

/** The history with a notice, the newest first; the same told again right after is one line with a count. */
export function historyWith(history: Told[], notice: Told): Told[] {
  const [newest, ...rest] = history;
  if (newest && newest.level === notice.level && newest.text === notice.text) {
    return [{ ...newest, at: notice.at, count: newest.count + 1 }, ...rest];
  }
  return [notice, ...history].slice(0, MAX_KEPT);
}
