// Stopped copies that moves have left because that was asked for, on whichever devices they lie. Pure.
import type { KeptView } from "../api/generated";
import type { Fleet } from "./fleet";

/** A kept copy and the device that has it. */
export type KeptCopy = KeptView & { device: string };

/** What a device answered: its kept copies, or why it did not tell them. */
export type KeptAnswer = { kept: KeptView[] } | { why: string };

/** The devices that can be asked now, each with a word that changes whenever a move has left a copy there. */
export function toAsk(fleet: Fleet): Map<string, string> {
  const asked = new Map<string, string>();
  for (const { id, liveness } of fleet.devices.values()) {
    if (liveness === "connected" || liveness === "degraded") asked.set(id, "");
  }
  for (const { source, operation, options, state } of fleet.moves.values()) {
    if (state === "done" && options.keep_source && asked.has(source)) asked.set(source, `${asked.get(source)} ${operation}`);
  }
  return asked;
}

/** What the devices that can be asked have, the newest first. */
export function gather(fleet: Fleet, answers: ReadonlyMap<string, KeptAnswer>): KeptCopy[] {
  const found = [...toAsk(fleet).keys()].flatMap((device) => {
    const answer = answers.get(device);
    return answer && "kept" in answer ? answer.kept.map((view) => ({ ...view, device })) : [];
  });
  return found.sort((a, b) => b.kept_at - a.kept_at || a.device.localeCompare(b.device));
}
