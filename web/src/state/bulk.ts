// One order to many containers: which of them it fits, what is asked before, and how they are worked through, a few at a time.
// Knows no connection: what sends an order is given.
import { type ContainerOperation, whyNotNow, WORDS } from "./container-operations";
import { isReachable } from "./container-table";
import type { Placed } from "./fleet";
import type { DeviceView } from "../api/generated";

/** Orders that are under way at a time: a device answers soon, and many devices are not all busy at once. */
export const AT_ONCE = 4;
/** What is typed before containers are deleted. */
export const DELETE_WORD = "delete";

export interface Target {
  container: string;
  device: string;
  /** As a person calls it: "web on edge-1". */
  name: string;
}

/** Why an order does not fit a container; nothing where it does. */
export function whyNot(order: ContainerOperation, { view }: Placed, device: DeviceView | undefined): string | null {
  if (!isReachable(device)) return device === undefined ? "its device is not known" : `${device.name} is ${device.liveness}`;
  return whyNotNow(order, view);
}

export interface Plan {
  targets: Target[];
  /** Selected, but left as they are, and why. */
  left: { name: string; why: string }[];
}

export function planned(order: ContainerOperation, chosen: Placed[], device: (id: string) => DeviceView | undefined): Plan {
  const plan: Plan = { targets: [], left: [] };
  for (const placed of chosen) {
    const at = device(placed.device);
    const name = `${placed.view.name} on ${at?.name ?? placed.device}`;
    const why = whyNot(order, placed, at);
    if (why === null) plan.targets.push({ container: placed.view.id, device: placed.device, name });
    else plan.left.push({ name, why });
  }
  return plan;
}

export function containers(count: number): string {
  return count === 1 ? "1 container" : `${count} containers`;
}

const BECOMES: Record<ContainerOperation, string> = {
  start: "They are started.",
  stop: "They get SIGTERM, and after 10 seconds SIGKILL. What is in their memory is lost; their files stay.",
  restart: "They are stopped and started again. What is in their memory is lost; their files stay.",
  delete: "They are deleted with their writable layers, whether they run or not. This cannot be undone. Named volumes stay.",
};

/** How many of those left out are named one by one. */
const NAMED = 5;

/** What the question says below the names. */
export function question(order: ContainerOperation, { left }: Plan): string {
  if (left.length === 0) return BECOMES[order];
  const named = left.slice(0, NAMED).map(({ name, why }) => `${name} (${why})`);
  const more = left.length > NAMED ? ` and ${left.length - NAMED} more` : "";
  return `${BECOMES[order]} Left as ${left.length === 1 ? "it is" : "they are"}: ${named.join(", ")}${more}.`;
}

export interface Failure {
  target: Target;
  reason: string;
}

export interface Progress {
  order: ContainerOperation;
  total: number;
  done: number;
  failures: Failure[];
  /** Not begun when somebody said that it is enough. */
  spared: number;
  isOver: boolean;
}

/** Everything that was asked for, in a sentence. */
export function summary({ order, total, done, failures, spared }: Progress): string {
  const parts = [`${done} of ${containers(total)} ${done === 1 ? "was" : "were"} ${WORDS[order].done}`];
  if (failures.length > 0) parts.push(`${failures.length} failed`);
  if (spared > 0) parts.push(`${spared} not begun`);
  return `${parts.join(", ")}.`;
}

/** Of which containers it is certain that it was done: those keep no place in a selection. */
export function succeeded(targets: Target[], { failures, spared }: Progress): string[] {
  const failed = new Set(failures.map(({ target }) => target.container));
  // They are begun in order.
  return targets.slice(0, targets.length - spared).map(({ container }) => container).filter((id) => !failed.has(id));
}

/**
 * Works through the targets, at most `AT_ONCE` at a time, and tells after each how far it is. A failure stops none of the others;
 * `isEnough` is asked before each whether any more are to be begun. Answers how it went.
 */
export async function workThrough(
  order: ContainerOperation,
  targets: Target[],
  send: (target: Target) => Promise<void>,
  tell: (progress: Progress) => void = () => undefined,
  isEnough: () => boolean = () => false,
): Promise<Progress> {
  const progress: Progress = { order, total: targets.length, done: 0, failures: [], spared: 0, isOver: false };
  let next = 0;
  const worker = async () => {
    while (next < targets.length && !isEnough()) {
      const target = targets[next++] as Target;
      try {
        await send(target);
        progress.done += 1;
      } catch (error) {
        progress.failures.push({ target, reason: (error as Error).message });
      }
      tell({ ...progress, failures: [...progress.failures] });
    }
  };
  tell(progress);
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, targets.length) }, worker));
  const ended = { ...progress, spared: targets.length - next, isOver: true };
  tell(ended);
  return ended;
}
