// Entries of the audit, a page at a time: a tenant's by its pages, the installation's from its export, which has none.
import type { AuditEntry, AuditPage, AuditQuery } from "../api/generated";
import { HttpError, sentence } from "../api/http";
import { exportPath, type Wanted } from "./audit-query";

/** Entries of a page. */
export const PAGE = 100;
/** How often it is asked on where a rare filter has found too few, before the person is asked. */
const MAX_LOOKS = 10;
/** Entries of the installation's export that are kept, the newest; the others are only counted. */
export const MAX_OF_EXPORT = 1_000;
/** How far back the installation's is read where no beginning is wanted. */
export const EXPORT_REACH = 7 * 24 * 3_600_000;

/** A page of a tenant's. One answer may hold few or none although there are more, so it is asked on for a while. */
export async function tenantPage(
  ask: (query: AuditQuery) => Promise<AuditPage>,
  query: AuditQuery,
  after: string,
): Promise<AuditPage> {
  const entries: AuditEntry[] = [];
  let next: string | null = after === "" ? null : after;
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const page: AuditPage = await ask({ ...query, limit: PAGE - entries.length, ...(next === null ? {} : { after: next }) });
    entries.push(...page.entries);
    next = page.next;
    if (next === null || entries.length >= PAGE) break;
  }
  return { entries, next };
}

/** The installation's newest entries, the newest first, and how many older ones there were in that time. */
export async function installationEntries(
  wanted: Wanted,
  now: number,
  signal: AbortSignal,
): Promise<{ entries: AuditEntry[]; older: number }> {
  const until = wanted.to === undefined ? now : Number(wanted.to);
  const path = exportPath(null, "ndjson", { from: String(Math.max(0, until - EXPORT_REACH)), ...wanted });
  let response: Response;
  try {
    response = await fetch(path, { headers: { accept: "application/x-ndjson" }, credentials: "same-origin", signal });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new HttpError(0, "The control plane does not answer. Check your connection, then try again.");
  }
  if (!response.ok) throw new HttpError(response.status, await sentence(response));
  const newest = new Newest(MAX_OF_EXPORT);
  try {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) newest.push(part.value);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new HttpError(0, "The list broke off before its end. Try again, or choose a shorter time.");
  }
  const { lines, dropped } = newest.end();
  return { entries: lines.map((line) => JSON.parse(line) as AuditEntry).reverse(), older: dropped };
}

/** The last lines of a text that comes in parts. */
export class Newest {
  #rest = "";
  #lines: string[] = [];
  #dropped = 0;

  constructor(readonly most: number) {}

  push(part: string) {
    const lines = (this.#rest + part).split("\n");
    this.#rest = lines.pop() ?? "";
    this.#lines.push(...lines.filter((line) => line !== ""));
    const over = this.#lines.length - this.most;
    if (over <= 0) return;
    this.#dropped += over;
    this.#lines.splice(0, over);
  }

  end(): { lines: string[]; dropped: number } {
    this.push("\n");
    return { lines: this.#lines, dropped: this.#dropped };
  }
}
