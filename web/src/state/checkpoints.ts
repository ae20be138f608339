// Checkpoints of a container, on whichever devices they lie, and what can be done with each. Pure.
import type { CheckpointView, ContainerView, MigrationView, VolumeMount } from "../api/generated";
import { everyPlaced, type Fleet, type Placed } from "./fleet";
import { whyNotThere } from "./move-words";

/** A checkpoint and the device that has it. */
export type Found = CheckpointView & { device: string };

/** What a device answered: its checkpoints, or why it did not tell them. */
export type Answer = { checkpoints: CheckpointView[] } | { why: string };

/** Characters of a name at most, as the devices have it. */
const MAX_NAME_LENGTH = 63;

/** After these operations a device has other checkpoints than before. */
const CHANGING = ["container.checkpoint", "container.checkpoint.copy"];
/** All operations on checkpoints. */
const KINDS = [...CHANGING, "container.restore"];

/** What is wrong with the name of a checkpoint or a directory; `null` where nothing is. `what` begins the sentence. */
export function checkName(name: string, what: string): string | null {
  const characters = [...name];
  if (characters.length === 0) return `${what} is empty; use 1 to ${MAX_NAME_LENGTH} of a–z, 0–9 and “-”.`;
  if (characters.length > MAX_NAME_LENGTH) {
    return `${what} has ${characters.length} characters; at most ${MAX_NAME_LENGTH} are allowed.`;
  }
  const bad = characters.findIndex((character, at) => {
    const atEdge = at === 0 || at === characters.length - 1;
    return !(/[a-z0-9]/.test(character) || (character === "-" && !atEdge));
  });
  if (bad < 0) return null;
  return (
    `${what} has “${characters[bad]}” at place ${bad + 1}; use only a–z, 0–9 and “-”, ` +
    "and begin and end with a letter or digit."
  );
}

/**
 * The devices that can be asked now, each with a word that changes whenever it has ended something that changes its
 * checkpoints.
 */
export function toAsk(fleet: Fleet): Map<string, string> {
  const asked = new Map<string, string>();
  for (const { id, liveness } of fleet.devices.values()) {
    if (liveness === "connected" || liveness === "degraded") asked.set(id, "");
  }
  for (const { device, kind, state, operation } of fleet.operations.values()) {
    if (asked.has(device) && state !== "running" && CHANGING.includes(kind)) asked.set(device, operation);
  }
  return asked;
}

/** Whether something is done with checkpoints now. */
export function atWork(fleet: Fleet): boolean {
  return [...fleet.operations.values()].some(({ kind, state }) => state === "running" && KINDS.includes(kind));
}

export interface Gathered {
  /** The newest first. */
  found: Found[];
  /** Devices that are out of reach, and how they are. */
  away: { device: string; why: string }[];
  /** Devices that did not tell, and why. */
  failed: { device: string; why: string }[];
  /** A device has not answered yet. */
  waiting: boolean;
}

/** What all devices answered. Those that were never seen have nothing, so nothing is said of them. */
export function gather(fleet: Fleet, answers: ReadonlyMap<string, Answer>, cloudNow: number): Gathered {
  const gathered: Gathered = { found: [], away: [], failed: [], waiting: false };
  for (const device of fleet.devices.values()) {
    if (device.liveness === "never") continue;
    const away = whyNotThere(device, cloudNow);
    const answer = answers.get(device.id);
    if (away !== null) gathered.away.push({ device: device.id, why: away });
    else if (answer === undefined) gathered.waiting = true;
    else if ("why" in answer) gathered.failed.push({ device: device.id, why: answer.why });
    else gathered.found.push(...answer.checkpoints.map((view) => ({ ...view, device: device.id })));
  }
  gathered.found.sort((a, b) => b.created_at - a.created_at || a.device.localeCompare(b.device));
  return gathered;
}

/** Tells one checkpoint from every other. */
export function keyOf({ device, directory, name }: Found): string {
  return `${device} ${directory ?? ""} ${name}`;
}

/** Why a container cannot be saved now; `null` where it can be tried. */
export function whyNotSaved({ state }: ContainerView): string | null {
  if (state === "running") return null;
  return state === "paused" ? "it is paused; resume it first" : "it does not run; start it first";
}

/** Why nothing can be restored into a container now; `null` where it can be tried. */
export function whyNotRestored({ state }: ContainerView): string | null {
  switch (state) {
    case "created":
    case "exited":
    case "dead":
      return null;
    case "removing":
      return "it is being deleted";
    case "paused":
      return "it is paused; stop it first";
    default:
      return "it runs; stop it first";
  }
}

/** Other stopped containers of the same image on the same device, by name. The device has the last word. */
export function targets(fleet: Fleet, found: Found): Placed[] {
  return everyPlaced(fleet)
    .filter(
      ({ device, view }) =>
        device === found.device &&
        view.id !== found.container &&
        view.image === found.image &&
        whyNotRestored(view) === null,
    )
    .sort((a, b) => a.view.name.localeCompare(b.view.name));
}

/**
 * Whether a restore into a stopped container replaces files of it. Only one that was neither started nor moved, and
 * has no volume, has none.
 */
export function losesFiles({ state }: ContainerView, moves: MigrationView[], volumes: VolumeMount[]): boolean {
  return state !== "created" || moves.length > 0 || volumes.length > 0;
}

export interface Destination {
  id: string;
  name: string;
  /** Why it cannot go there now. */
  not: string | null;
}

/** The devices that a checkpoint can be copied to, by name; those that cannot get it say why. */
export function destinations(fleet: Fleet, found: Found, all: Found[], cloudNow: number): Destination[] {
  const same = all.filter(({ name, directory }) => name === found.name && directory === found.directory);
  return [...fleet.devices.values()]
    .filter(({ id }) => id !== found.device)
    .map((device) => {
      const has = same.some((other) => other.device === device.id);
      return { id: device.id, name: device.name, not: has ? "has one of that name" : whyNotThere(device, cloudNow) };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}
