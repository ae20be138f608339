// What the user was told: errors stay until dismissed, the rest goes after a while, all stay in the history.
import type { NoticeLevel } from "../api/generated";

/** How long a notice that is no error stays, in milliseconds. */
const SHOWN_FOR = 6_000;
/** Notices that are shown at once; older ones are still in the history. */
const MAX_SHOWN = 5;
/** Notices that are kept. */
const MAX_KEPT = 100;

export interface Told {
  id: number;
  level: NoticeLevel;
  text: string;
  at: number;
}

class Notices {
  shown = $state<Told[]>([]);
  history = $state<Told[]>([]);
  #next = 1;

  add(level: NoticeLevel, text: string) {
    const notice = { id: this.#next++, level, text, at: Date.now() };
    this.shown = [...this.shown, notice].slice(-MAX_SHOWN);
    this.history = [notice, ...this.history].slice(0, MAX_KEPT);
    if (level !== "error") setTimeout(() => this.dismiss(notice.id), SHOWN_FOR);
  }

  dismiss(id: number) {
    this.shown = this.shown.filter((notice) => notice.id !== id);
  }
}

export const notices = new Notices();
