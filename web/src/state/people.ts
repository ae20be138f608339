// Words and decisions about people: roles, passwords, browsers, invitations, slugs. Pure.
import type { Role } from "../api/generated";

/** What a person may be in a tenant, the least first. */
export const ROLES: [Role, string][] = [
  ["viewer", "viewer: looks, changes nothing"],
  ["operator", "operator: also runs containers"],
  ["owner", "owner: also people, devices and tokens"],
];

const DAY = 24 * 3_600;
/** How long an invitation may be good for, in seconds. */
export const VALIDITIES: [number, string][] = [
  [DAY, "1 day"],
  [7 * DAY, "7 days"],
  [30 * DAY, "30 days"],
];

/** Characters that a password has at least, as the control plane demands. */
export const MIN_PASSWORD = 12;

/** What is wrong with a new password, as far as it can be told before it is sent; empty if nothing is. */
export function passwordProblem(password: string, repeated: string, email: string): string {
  const length = [...password].length;
  if (length < MIN_PASSWORD) return `The password has ${length} characters; use ${MIN_PASSWORD} or more.`;
  if (password.trim().toLowerCase() === email.trim().toLowerCase()) {
    return "The password is the e-mail address; use something that others do not know.";
  }
  if (password !== repeated) return "The two passwords are not the same. Type the new one twice.";
  return "";
}

/** The secret in the address that an invitation's link opens, if it is one. */
export function invitationSecret(hash: string): string | null {
  return /^#\/invitation\/([^/?#]+)$/.exec(hash)?.[1] ?? null;
}

/** Browsers by the word that only they have; those that pretend to be another stand before it. */
const BROWSERS: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\b(?:OPR|Opera)\//, "Opera"],
  [/\b(?:Firefox|FxiOS)\//, "Firefox"],
  [/\b(?:Chrome|CriOS|Chromium)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/^curl\//, "curl"],
];
const SYSTEMS: [RegExp, string][] = [
  [/\b(?:iPhone|iPad|iPod)\b/, "iOS"],
  [/\bAndroid\b/, "Android"],
  [/\bWindows\b/, "Windows"],
  [/\b(?:Macintosh|Mac OS X)\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];
/** Characters that are shown of a program that nobody knows. */
const MAX_UNKNOWN = 40;

/** What a browser called itself, in few words. */
export function browserName(agent: string): string {
  const browser = BROWSERS.find(([mark]) => mark.test(agent))?.[1];
  const system = SYSTEMS.find(([mark]) => mark.test(agent))?.[1];
  if (browser && system) return `${browser} on ${system}`;
  if (browser ?? system) return (browser ?? system) as string;
  if (agent === "") return "not known";
  return agent.length > MAX_UNKNOWN ? `${agent.slice(0, MAX_UNKNOWN)}…` : agent;
}

/** Longest short name of a tenant that is proposed. */
const MAX_SLUG = 40;

/** A short name for a tenant of this name. */
export function slugOf(name: string): string {
  return name
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_SLUG)
    .replace(/^-+|-+$/g, "");
}

/** Whether one of the texts has what is looked for. */
export function found(wanted: string, texts: (string | null | undefined)[]): boolean {
  const text = wanted.trim().toLowerCase();
  return texts.some((one) => one?.toLowerCase().includes(text));
}
