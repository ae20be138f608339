// What is said about one device: its engine, its clock, its moves, its images, and a change of its name or place. Pure.
import type { ChangeDevice, DeviceFacts, DeviceView, EngineFacts, GeoPlace, ImageView, KeyState } from "../api/generated";
import { age } from "./format";
import type { Placed } from "./fleet";
import { asSentence } from "./move-words";

/** A clock that is off by less is not worth a word, in milliseconds: reports themselves take a while. */
const CLOCK_NOTABLE = 2_000;

/** How far its clock is off; empty where that is not worth a word. */
export function clockWords(ahead: number | undefined): string {
  if (ahead === undefined || Math.abs(ahead) < CLOCK_NOTABLE) return "";
  return `${age(Math.abs(ahead))} ${ahead > 0 ? "ahead" : "behind"}`;
}

export function engineWords(engine: EngineFacts): string {
  const version = engine.version ? ` ${engine.version}` : "";
  const api = engine.api_version ? `, API ${engine.api_version}` : "";
  return `${engine.kind}${version}${api}${engine.reachable ? "" : ", does not answer"}`;
}

export interface Capability {
  /** Whether its containers can move with their memory. */
  live: boolean | null;
  headline: string;
  /** What that means, and what to do, each a sentence. */
  sentences: string[];
}

/** Whether containers of it can be moved live, and if not why and what to do. */
export function capability(facts: DeviceFacts | null): Capability {
  if (!facts) {
    return {
      live: null,
      headline: "It is not known whether its containers can move live.",
      sentences: ["Its agent has told nothing of it yet. Start it there with “ecep-agent run”."],
    };
  }
  const { migration } = facts;
  if (!migration) {
    return {
      live: null,
      headline: "It was not tried yet whether its containers can move live.",
      sentences: ["Its agent tries it out with a container of its own when it starts, which takes some seconds."],
    };
  }
  if (migration.live) {
    return {
      live: true,
      headline: "Its containers can move live.",
      sentences: [
        "Memory, processes and connections go along; it was tried out with a container of the agent's own.",
        `Live it goes between devices that both have ${facts.architecture} and control groups of version ${migration.cgroup_version}.`,
      ],
    };
  }
  return {
    live: false,
    headline: "Its containers cannot move live.",
    sentences: [
      asSentence(migration.reason ?? "the reason was not told; its agent's log has it"),
      "Mend that on the device, run “ecep-agent setup” there as root, and start the agent anew: it tries again.",
      "Until then containers move from and to it cold: stopped, with their files, without their memory.",
    ],
  };
}

/** The references of one image in the way in which they compare. */
const whole = (reference: string) => (/[:@]/.test(reference.slice(reference.lastIndexOf("/") + 1)) ? reference : `${reference}:latest`);

/** The containers of a device that were made from an image. */
export function usersOf(image: ImageView, there: Placed[]): Placed[] {
  const names = new Set([image.id, ...image.tags]);
  return there.filter(({ view }) => names.has(view.image) || names.has(whole(view.image)));
}

/** What an image is called: its tags, or a piece of its id. */
export function imageNames(image: ImageView): string[] {
  return image.tags.length > 0 ? image.tags : [image.id.replace(/^sha256:/, "").slice(0, 12)];
}

/** What takes an image away: each of its tags, or its id where it has none. */
export function referencesOf(image: ImageView): string[] {
  return image.tags.length > 0 ? image.tags : [image.id];
}

/** A place as it is written down; a point has the name of what is near. */
export function placeText(place: GeoPlace): string {
  const region = place.region ? `, ${place.region}` : "";
  return `${place.population === 0 ? "near " : ""}${place.name}${region}, ${place.country}`;
}

/** What a person has changed; `null` where that is nothing. */
export function deviceChange(
  device: Pick<DeviceView, "name" | "place">,
  name: string,
  place: string,
  picked: GeoPlace | null,
): ChangeDevice | null {
  const change: ChangeDevice = {};
  if (name.trim() !== device.name) change.name = name.trim();
  if (place.trim() !== (device.place ?? "")) change.place = place.trim();
  if (picked) change.location = { lat: picked.lat, lon: picked.lon };
  return Object.keys(change).length > 0 ? change : null;
}

export const keyWords: Record<KeyState, string> = {
  current: "in use",
  rotation_ordered: "a new one is ordered; the device makes it with its next report",
  rotating: "the device changes over to its new one",
};
