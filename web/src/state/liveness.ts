// How a device's liveness is written: a mark, whose shape tells it without its colour, and a word.
import type { DeviceView } from "../api/generated";

export type Liveness = DeviceView["liveness"];

export const LOOK: Record<Liveness, { mark: string; word: string }> = {
  connected: { mark: "●", word: "connected" },
  degraded: { mark: "▲", word: "degraded" },
  stale: { mark: "◐", word: "stale" },
  offline: { mark: "○", word: "offline" },
  never: { mark: "·", word: "never seen" },
};

/** What is to be looked at first, first. */
export const WORST_FIRST: Liveness[] = ["offline", "stale", "degraded", "never", "connected"];
