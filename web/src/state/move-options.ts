// What a person may ask of a move beside where it goes: read from the fields, within the bounds of the control plane. Pure.
import type { MigrateContainer, MigrationMode } from "../api/generated";
import { parseNumber } from "./format";

/** The bounds of the control plane. */
const MIN_BYTES_PER_SECOND = 64 * 1024;
const MAX_ROUNDS = 8;
const MAX_DOWNTIME_MS = 3_600_000;
/** People think of links in megabytes each second. */
const MEGABYTE = 1_000_000;

/** The fields as they were filled in; an empty one asks for nothing. */
export interface Wanted {
  /** Megabytes each second. */
  rate: string | number | null;
  /** Milliseconds. */
  downtime: string | number | null;
  /** What to do if it would be longer: go cold, or else stay. */
  cold: boolean;
  rounds: string | number | null;
  keep: boolean;
}

export type Field = "rate" | "downtime" | "rounds";

export const nothingWanted = (): Wanted => ({ rate: "", downtime: "", cold: false, rounds: "", keep: false });

export type Read =
  | { ok: true; value: Pick<MigrateContainer, "bytes_per_second" | "max_rounds" | "max_downtime_ms" | "over_downtime" | "keep_source"> }
  | { ok: false; field: Field; error: string };

/** What the order says of it, or what is wrong with which field. A cold move has neither rounds nor a longest downtime. */
export function readOptions(wanted: Wanted, mode: MigrationMode): Read {
  const value: (Read & { ok: true })["value"] = { keep_source: wanted.keep };
  const rate = parseNumber(wanted.rate, "The share of the link");
  if (!rate.ok) return { ok: false, field: "rate", error: rate.error };
  if (rate.value !== null) {
    const least = Math.ceil((MIN_BYTES_PER_SECOND / MEGABYTE) * 1000) / 1000;
    value.bytes_per_second = Math.round(rate.value * MEGABYTE);
    if (value.bytes_per_second < MIN_BYTES_PER_SECOND) {
      return { ok: false, field: "rate", error: `The share of the link must be ${least} MB each second or more.` };
    }
  }
  if (mode === "cold") return { ok: true, value };
  const downtime = whole(wanted.downtime, "The longest downtime", MAX_DOWNTIME_MS);
  if (typeof downtime === "string") return { ok: false, field: "downtime", error: downtime };
  if (downtime !== null) {
    value.max_downtime_ms = downtime;
    value.over_downtime = wanted.cold ? "cold" : "refuse";
  }
  const rounds = whole(wanted.rounds, "The number of rounds", MAX_ROUNDS);
  if (typeof rounds === "string") return { ok: false, field: "rounds", error: rounds };
  if (rounds !== null) value.max_rounds = rounds;
  return { ok: true, value };
}

/** A whole number from 1 to `most`, nothing where the field is empty, or what is wrong. */
function whole(text: Wanted["rounds"], what: string, most: number): number | null | string {
  const read = parseNumber(text, what);
  if (read.ok && (read.value === null || (Number.isInteger(read.value) && read.value <= most))) return read.value;
  return `${what} must be a whole number from 1 to ${most}.`;
}
