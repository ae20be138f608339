// Which entries of the audit are wanted, as it stands in the address, in the form's fields and in requests. Pure.
import type { AuditQuery } from "../api/generated";

/** What can be asked for; the names in the address are the API's. */
export const FILTERS = ["from", "to", "actor", "action", "target"] as const;
export type Wanted = Partial<Record<(typeof FILTERS)[number], string>>;

export function wantedOf(get: (key: string) => string): Wanted {
  const wanted: Wanted = {};
  for (const name of FILTERS) {
    const value = get(name);
    if (value !== "" && !(isTime(name) && !/^\d{1,15}$/.test(value))) wanted[name] = value;
  }
  return wanted;
}

function isTime(name: string): boolean {
  return name === "from" || name === "to";
}

export function queryOf({ from, to, actor, action, target }: Wanted): AuditQuery {
  return {
    ...(from === undefined ? {} : { from: Number(from) }),
    ...(to === undefined ? {} : { to: Number(to) }),
    ...(actor === undefined ? {} : { actor }),
    ...(action === undefined ? {} : { action }),
    ...(target === undefined ? {} : { target }),
  };
}

/** The export of the same entries. */
export function exportPath(tenant: string | null, format: "csv" | "ndjson", wanted: Wanted): string {
  const path = tenant === null ? "/api/audit" : `/api/tenants/${tenant}/audit`;
  return `${path}?${new URLSearchParams({ format, ...wanted })}`;
}

/** A moment for a field of date and time, in the browser's zone: `2026-03-01T09:30`. */
export function fieldOf(milliseconds: string | undefined): string {
  if (milliseconds === undefined) return "";
  const date = new Date(Number(milliseconds));
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The moment that such a field names, in milliseconds since 1970; empty where it names none. */
export function momentOf(field: string): string {
  const at = field === "" ? Number.NaN : new Date(field).getTime();
  return Number.isNaN(at) || at < 0 ? "" : String(at);
}

/** The authid that somebody typed, who may have typed the name. */
export function authidOf(text: string, names: ReadonlyMap<string, string>): string {
  const typed = text.trim();
  for (const [id, name] of names) if (name.toLowerCase() === typed.toLowerCase()) return id;
  return typed;
}
