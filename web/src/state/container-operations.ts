// What can be done with a container that is there, and which of it fits its state. Pure.
import type { ContainerView } from "../api/generated";

export const OPERATIONS = ["start", "stop", "restart", "delete"] as const;
export type ContainerOperation = (typeof OPERATIONS)[number];

export const WORDS: Record<ContainerOperation, { button: string; doing: string; done: string }> = {
  start: { button: "Start", doing: "Starting", done: "started" },
  stop: { button: "Stop", doing: "Stopping", done: "stopped" },
  restart: { button: "Restart", doing: "Restarting", done: "restarted" },
  delete: { button: "Delete", doing: "Deleting", done: "deleted" },
};

/** Why it does not fit the container's state; nothing where it does. */
export function whyNotNow(operation: ContainerOperation, { state }: Pick<ContainerView, "state">): string | null {
  if (state === "removing") return "it is being removed";
  const runs = ["running", "paused", "restarting"].includes(state);
  if (operation === "start") return runs ? "it runs already" : null;
  return operation === "delete" || runs ? null : "it does not run";
}
