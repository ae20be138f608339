// How numbers and times are written, and how a person's input is read. Pure.
import type { PortMapping } from "../api/generated";

export function percent(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : `${value.toFixed(1)} %`;
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

export function milliseconds(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : `${value} ms`;
}

/** A span of time in words, from milliseconds. */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** A moment in the browser's own zone. */
export function moment(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString();
}

export function clock(milliseconds: number): string {
  return new Date(milliseconds).toLocaleTimeString();
}

/** When something was last heard of: the time of day, with the day where that was not within the last one. */
export function lastSeen(milliseconds: number, now: number): string {
  return now - milliseconds < 86_400_000 ? clock(milliseconds) : moment(milliseconds);
}

/** A moment with milliseconds, in the browser's own zone or in UTC. */
export function stamp(milliseconds: number, utc: boolean): string {
  const date = new Date(milliseconds);
  const shifted = utc ? date : new Date(milliseconds - date.getTimezoneOffset() * 60_000);
  const text = shifted.toISOString().replace("T", " ");
  return utc ? text : text.slice(0, -1);
}

/** What was read from a field, or what is wrong with it. */
export type Parsed<T> = { ok: true; value: T } | { ok: false; error: string };

/** Splits a command as a shell would: spaces, single and double quotes, backslash. */
export function parseCommand(text: string): Parsed<string[]> {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] as string;
    if (quote === null && /\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (quote === null && (character === "'" || character === '"')) {
      quote = character;
      word ??= "";
    } else if (character === quote) {
      quote = null;
    } else if (character === "\\" && quote !== "'" && at + 1 < text.length) {
      at += 1;
      word = (word ?? "") + text[at];
    } else {
      word = (word ?? "") + character;
    }
  }
  if (quote !== null) return { ok: false, error: `The quote ${quote} is not closed.` };
  if (word !== null) words.push(word);
  return { ok: true, value: words };
}

/** Lines of `NAME=value`; empty lines are passed over. */
export function parseEnvironment(text: string): Parsed<Record<string, string>> {
  const variables: Record<string, string> = {};
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    if (at < 1) return { ok: false, error: `Line ${index + 1} is not NAME=value.` };
    variables[line.slice(0, at).trim()] = line.slice(at + 1);
  }
  return { ok: true, value: variables };
}

/** Ports such as `8080`, `80:8080` (device:container) or `53:53/udp`, separated by commas or spaces. */
export function parsePorts(text: string): Parsed<PortMapping[]> {
  const ports: PortMapping[] = [];
  for (const part of text.split(/[\s,]+/).filter((part) => part !== "")) {
    const match = /^(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(part);
    const numbers = [match?.[1], match?.[2]].filter((number) => number !== undefined).map(Number);
    if (!match || numbers.some((number) => number < 1 || number > 65535)) {
      return { ok: false, error: `“${part}” is not a port; write 8080, 80:8080 or 53:53/udp.` };
    }
    const mapping: PortMapping = { container: Number(match[2]), protocol: match[3] === "udp" ? "udp" : "tcp" };
    if (match[1] !== undefined) mapping.host = Number(match[1]);
    ports.push(mapping);
  }
  return { ok: true, value: ports };
}

/** A number as it is typed, in such units; what is not set is told as `null` or left out, and is an empty field. */
export function numberText(value: number | null | undefined, unit = 1): string {
  return value == null ? "" : String(value / unit);
}

/** A number, or nothing where the field is empty. */
export function parseNumber(text: string | number | null | undefined, what: string): Parsed<number | null> {
  const trimmed = String(text ?? "").trim();
  if (trimmed === "") return { ok: true, value: null };
  const value = Number(trimmed);
  if (!Number.isFinite(value) || value <= 0) return { ok: false, error: `${what} must be a number above 0.` };
  return { ok: true, value };
}

export function ports(mappings: PortMapping[]): string {
  return mappings
    .map(({ host, container, protocol }) => `${host ? `${host}:` : ""}${container}${protocol === "udp" ? "/udp" : ""}`)
    .join(", ");
}
