// What the user was told: errors stay until dismissed, the rest goes after a while, all stay in the history.
import type { NoticeLevel } from "../api/generated";
import { historyWith, inSight, nothingShown, shownWith, shownWithout, type Shown, type Told } from "./told";

/** How long a notice that is no error stays, in milliseconds, unless somebody is at it. */
const SHOWN_FOR = 6_000;
/** How long a flood is waited for before it is said how many more there are: the number is read out once, not counted up. */
const SETTLES = 1_000;

class Notices {
  #shown = $state.raw<Shown>(nothingShown());
  history = $state.raw<Told[]>([]);
  /** How many were told since the history was looked at last. */
  unread = $state(0);
  /** The history is open. */
  open = $state(false);
  /** How many are not in sight, as it was when the flood paused. */
  more = $state(0);

  #next = 1;
  #held = false;
  #timers = new Map<number, ReturnType<typeof setTimeout>>();
  #settling: ReturnType<typeof setTimeout> | undefined;

  get shown(): Told[] {
    return inSight(this.#shown).notices;
  }

  /** Errors that wait to be dismissed, also those not in sight. */
  get errors(): number {
    return this.#shown.errors.length;
  }

  add(level: NoticeLevel, text: string) {
    const notice = { id: this.#next++, level, text, at: Date.now(), count: 1 };
    this.history = historyWith(this.history, notice);
    if (!this.open) this.unread += 1;
    this.#show(shownWith(this.#shown, notice));
    // Told again, it stays for as long again.
    const brief = this.#shown.brief.find((one) => one.level === level && one.text === text);
    if (brief) this.#leaveLater(brief.id);
  }

  dismiss(id: number) {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#show(shownWithout(this.#shown, id));
  }

  dismissAll() {
    this.#timers.forEach((timer) => clearTimeout(timer));
    this.#timers.clear();
    this.#show(nothingShown());
  }

  /** What one tenant or one person was told is nothing for the next. */
  forget() {
    this.dismissAll();
    this.history = [];
    this.open = false;
    this.unread = 0;
  }

  /** Nothing goes while somebody points at it, or has the keyboard there. */
  hold() {
    this.#held = true;
    this.#timers.forEach((timer) => clearTimeout(timer));
  }

  release() {
    this.#held = false;
    this.#shown.brief.forEach(({ id }) => this.#leaveLater(id));
  }

  /** Opens or closes the history; what was looked at is read. */
  toggle(open: boolean) {
    this.open = open;
    this.unread = 0;
  }

  #leaveLater(id: number) {
    clearTimeout(this.#timers.get(id));
    if (!this.#held) this.#timers.set(id, setTimeout(() => this.dismiss(id), SHOWN_FOR));
  }

  #show(shown: Shown) {
    this.#shown = shown;
    const { more } = inSight(shown);
    if (more < this.more || more === 0) {
      clearTimeout(this.#settling);
      this.#settling = undefined;
      this.more = more;
    } else if (more > this.more) {
      this.#settling ??= setTimeout(() => {
        this.#settling = undefined;
        this.more = inSight(this.#shown).more;
      }, SETTLES);
    }
  }
}

export const notices = new Notices();
