// What the command palette offers, and which of it fits what was typed. Pure: it knows neither the page nor the connection.
import type { View } from "./route.svelte";

export type Kind = "page" | "panel" | "device" | "container" | "application" | "action";

export interface Entry {
  /** Its name in the list, unique. */
  id: string;
  kind: Kind;
  /** What is read first. */
  title: string;
  /** What tells it from others of the same name: where it is, what it is. */
  hint: string;
  /** Where it goes. */
  href: string;
  /** The title, folded. */
  folded: string;
  /** Everything that it is found by, folded. */
  text: string;
  /** What it does, folded, where it is an action: it only comes first if this was typed too. */
  verb: string;
}

/** As many are shown: more are narrowed by another word sooner than read. */
export const MAX_RESULTS = 20;

/** Letters without accents, in lower case: what is typed on any keyboard finds what is written with any. */
export function fold(text: string): string {
  // Most names are plain, and a fleet has thousands of them.
  if (/^[\x20-\x7e]*$/.test(text)) return text.toLowerCase();
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ß", "ss").replaceAll("ø", "o").replaceAll("ł", "l");
}

function entry(kind: Kind, title: string, hint: string, href: string, more = "", verb = ""): Entry {
  return { id: `${kind} ${href} ${title}`, kind, title, hint, href, folded: fold(title), text: fold(`${title} ${hint} ${more}`), verb: fold(verb) };
}

export interface Person {
  mayChange: boolean;
  isOwner: boolean;
}

/** What there is to go to. */
export interface Places {
  /** Pages that the person is offered, with their titles. */
  pages: readonly { view: View; title: string }[];
  person: Person;
  devices: readonly { id: string; name: string; place: string | null }[];
  containers: readonly { id: string; name: string; application: string; device: string; runs: boolean }[];
  applications: readonly string[];
}

interface PanelOf {
  view: View;
  panel: string;
  title: string;
  more?: string;
  who?: keyof Person;
}

const PANELS: readonly PanelOf[] = [
  { view: "applications", panel: "version", title: "New version of an application", more: "upload add", who: "mayChange" },
  { view: "applications", panel: "deploy", title: "Deploy an application", more: "place candidates" },
  { view: "applications", panel: "update", title: "Update or roll back", more: "version", who: "mayChange" },
  { view: "applications", panel: "runs", title: "Runs", more: "once results batch" },
  { view: "applications", panel: "uploads", title: "Uploads", more: "artifacts storage quota" },
  { view: "containers", panel: "create", title: "Create a container", more: "new run image", who: "mayChange" },
  { view: "containers", panel: "start", title: "Start a container", who: "mayChange" },
  { view: "containers", panel: "stop", title: "Stop a container", who: "mayChange" },
  { view: "containers", panel: "restart", title: "Restart a container", who: "mayChange" },
  { view: "containers", panel: "delete", title: "Delete a container", more: "remove", who: "mayChange" },
  { view: "containers", panel: "move", title: "Move a container to another device", more: "migrate migration" },
  { view: "containers", panel: "checkpoints", title: "Checkpoints", more: "save restore snapshot" },
  { view: "containers", panel: "logs", title: "Logs", more: "output" },
  { view: "containers", panel: "files", title: "Fetched files", more: "stored download" },
  { view: "devices", panel: "enrol", title: "Enrol a device", more: "add new join", who: "isOwner" },
];

/** What can be done with a container: where that is done, never at once. */
const ACTIONS: readonly { verb: string; more?: string; change?: true; needsRunning?: true; href: (id: string) => string }[] = [
  { verb: "Logs", more: "output", href: (id) => `#/container?container=${id}&panel=logs` },
  { verb: "Terminal", more: "shell console", change: true, needsRunning: true, href: (id) => `#/container?container=${id}&panel=terminal` },
  { verb: "Files", more: "browse download", change: true, href: (id) => `#/container?container=${id}&panel=files` },
  { verb: "Update", more: "roll back version", change: true, href: (id) => `#/container?container=${id}&panel=update` },
  { verb: "Move", more: "migrate", change: true, href: (id) => `#/containers?panel=move&container=${id}` },
  { verb: "Restart", change: true, needsRunning: true, href: (id) => `#/containers?panel=restart&container=${id}` },
  { verb: "Checkpoints", more: "save restore snapshot", href: (id) => `#/containers?panel=checkpoints&container=${id}` },
];

/** Everything that the person may go to, in the order in which equals are shown. */
export function entriesOf({ pages, person, devices, containers, applications }: Places): Entry[] {
  const offered = new Set(pages.map(({ view }) => view));
  const titleOf = new Map(pages.map(({ view, title }) => [view, title]));
  const list: Entry[] = pages.map(({ view, title }) => entry("page", title, "Page", `#/${view}`));
  for (const { view, panel, title, more = "", who } of PANELS) {
    if (!offered.has(view) || (who && !person[who])) continue;
    list.push(entry("panel", title, titleOf.get(view) ?? view, `#/${view}?panel=${panel}`, more));
  }
  for (const { id, name, place } of devices) {
    list.push(entry("device", name, place === null ? "Device" : `Device, ${place}`, `#/device?device=${id}`, id));
  }
  for (const name of applications) {
    const query = encodeURIComponent(name);
    list.push(entry("application", name, "Application", `#/applications?filter=${query}`));
    if (person.mayChange) list.push(entry("action", `Deploy ${name}`, "Application", `#/applications?panel=deploy&application=${query}`, "", "Deploy"));
  }
  for (const { id, name, application, device, runs } of containers) {
    const hint = application === name ? `Container on ${device}` : `Container of ${application} on ${device}`;
    list.push(entry("container", name, hint, `#/container?container=${id}`, id));
    for (const { verb, more = "", change, needsRunning, href } of ACTIONS) {
      if ((change && !person.mayChange) || (needsRunning && !runs)) continue;
      list.push(entry("action", `${verb}: ${name}`, hint, href(id), more, `${verb} ${more}`));
    }
  }
  return list;
}

/** Equals by the words are shown in this order. */
const ORDER: Record<Kind, number> = { page: 0, panel: 1, container: 2, device: 3, application: 4, action: 5 };

/** How well one typed word fits; 0 where it does not at all. */
function fit(word: string, { folded, text }: Entry): number {
  const at = folded.indexOf(word);
  if (at === 0) return folded.length === word.length ? 6 : 5;
  if (at > 0) return isBoundary(folded, at) || folded.includes(` ${word}`) || folded.includes(`-${word}`) ? 4 : 2;
  const within = text.indexOf(word);
  if (within < 0) return 0;
  return within === 0 || isBoundary(text, within) ? 1.5 : 1;
}

function isBoundary(text: string, at: number): boolean {
  return !/[\p{L}\p{N}]/u.test(text[at - 1] ?? " ");
}

export interface Found {
  entries: Entry[];
  /** All that fit, also those that are not shown. */
  total: number;
}

/** The best of those in which every typed word is found, in any order. Where nothing was typed: the pages and panels. */
export function search(all: readonly Entry[], typed: string, most = MAX_RESULTS): Found {
  const words = fold(typed).split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) {
    const places = all.filter(({ kind }) => kind === "page" || kind === "panel");
    return { entries: places.slice(0, most), total: places.length };
  }
  const phrase = words.join(" ");
  const scored: { one: Entry; score: number; index: number }[] = [];
  for (const [index, one] of all.entries()) {
    let score = 0;
    for (const word of words) {
      const fits = fit(word, one);
      if (fits === 0) {
        score = -1;
        break;
      }
      score += fits;
    }
    if (score < 0) continue;
    if (one.folded === phrase) score += 6;
    // An action is meant where it was named with its thing; else it stands behind the things themselves.
    if (one.kind === "action") {
      const naming = words.filter((word) => isPrefixOfWord(word, one.verb)).length;
      score += naming > 0 && naming < words.length ? 3 : -4;
    }
    scored.push({ one, score, index });
  }
  scored.sort(
    (a, b) =>
      b.score - a.score ||
      ORDER[a.one.kind] - ORDER[b.one.kind] ||
      a.one.title.length - b.one.title.length ||
      (a.one.folded < b.one.folded ? -1 : Number(a.one.folded > b.one.folded)) ||
      a.index - b.index,
  );
  return { entries: scored.slice(0, most).map(({ one }) => one), total: scored.length };
}

function isPrefixOfWord(word: string, text: string): boolean {
  return text !== "" && text.split(" ").some((one) => one.startsWith(word));
}
