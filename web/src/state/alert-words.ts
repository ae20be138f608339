// Alerts in words: what kind, how long, how many. Pure.
import type { AlertKind, AlertView } from "../api/generated";
import { age } from "./format";

const KINDS: Record<AlertKind, string> = {
  device_offline: "Device offline",
  disk_low: "Disk nearly full",
  overload: "No CPU to spare",
  migration_failed: "Move failed",
  restart_loop: "Restarts again and again",
};

export function kindWords(kind: AlertKind): string {
  return KINDS[kind] ?? kind.replaceAll("_", " ");
}

/** How long it lasted, or has lasted until `now` by the control plane's clock. */
export function lasted(alert: AlertView, now: number): string {
  return alert.cleared_at === null ? `${age(now - alert.raised_at)}, goes on` : age(alert.cleared_at - alert.raised_at);
}

export interface Counted {
  active: number;
  /** Those that nobody has said to have seen. */
  unseen: number;
  /** What stands in the badge; there may be more than were listed. */
  badge: string;
  /** The same as a sentence's part. */
  words: string;
}

/** What the badge says; `null` where there is nothing to say. */
export function counted(alerts: readonly AlertView[], more: boolean): Counted | null {
  if (alerts.length === 0) return null;
  const active = alerts.length;
  const unseen = alerts.filter(({ acknowledged_at }) => acknowledged_at === null).length;
  const or = more ? "+" : "";
  const badge = `${unseen > 0 ? unseen : active}${or}`;
  return { active, unseen, badge, words: `${active}${or} active, ${unseen > 0 ? `${unseen}${or} not seen` : "all seen"}` };
}
