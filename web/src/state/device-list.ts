// The table of devices: what stands in a row, in what order, and which rows are shown. Pure; how it is drawn and where
// sort and filter are kept is not known here.
import type { DeviceFacts, DeviceView, HostStats, Liveness } from "../api/generated";
import { everyPlaced, type Fleet, FRESH } from "./fleet";
import { sorting, type Sort as Order } from "./sorting";

export interface DeviceRow {
  device: DeviceView;
  /** Its numbers, unless they are old news. */
  host: HostStats | null;
  running: number;
  containers: number;
  moves: Moves;
}

/** Whether containers of a device move with their memory; `why` has the reason where they do not. */
export interface Moves {
  word: "yes" | "no" | "not tried yet" | "–";
  why: string;
}

export const COLUMNS = ["name", "state", "place", "cpu", "memory", "disk", "containers", "architecture", "moves"] as const;
export type Column = (typeof COLUMNS)[number];

export type Sort = Order<Column>;
export const { parseSort, sortText, pressed } = sorting(COLUMNS, "name", ["cpu", "memory", "containers"]);

/** From what needs a person most to what does not. */
export const LIVENESSES: readonly Liveness[] = ["offline", "stale", "degraded", "never", "connected"];

export function movesOf(facts: DeviceFacts | null): Moves {
  if (!facts) return { word: "–", why: "" };
  if (!facts.migration) return { word: "not tried yet", why: "" };
  if (facts.migration.live) return { word: "yes", why: "" };
  return { word: "no", why: facts.migration.reason ?? "the reason was not told" };
}

/** One row for each device, in no order. */
export function rowsOf(fleet: Fleet, now: number): DeviceRow[] {
  const counts = new Map<string, { running: number; containers: number }>();
  for (const { device, view } of everyPlaced(fleet)) {
    const count = counts.get(device) ?? { running: 0, containers: 0 };
    count.containers += 1;
    if (view.state === "running") count.running += 1;
    counts.set(device, count);
  }
  return [...fleet.devices.values()].map((device) => {
    const host = fleet.hosts.get(device.id);
    return {
      device,
      host: host && now - host.arrived < FRESH ? host : null,
      ...(counts.get(device.id) ?? { running: 0, containers: 0 }),
      moves: movesOf(device.facts),
    };
  });
}

/** What rows are compared by; `null` goes last, whichever way it is sorted. */
function keyOf({ device, host, running, moves }: DeviceRow, column: Column): string | number | null {
  switch (column) {
    case "name":
      return device.name;
    case "state":
      return LIVENESSES.indexOf(device.liveness);
    case "place":
      return device.place;
    case "cpu":
      return host?.cpu_percent ?? null;
    case "memory":
      return host && host.memory_total_bytes > 0 ? host.memory_used_bytes / host.memory_total_bytes : null;
    case "disk":
      return host?.disk_free_bytes ?? null;
    case "containers":
      return running;
    case "architecture":
      return device.facts?.architecture ?? null;
    case "moves":
      return moves.word === "–" ? null : ["no", "not tried yet", "yes"].indexOf(moves.word);
  }
}

/** In order; equals by name (`edge-2` before `edge-10`), then id. */
export function sortRows(rows: DeviceRow[], { column, down }: Sort): DeviceRow[] {
  const way = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [keyOf(a, column), keyOf(b, column)];
    const empty = Number(one === null) - Number(other === null);
    const order =
      empty ||
      (one === null || other === null
        ? 0
        : way * (typeof one === "number" && typeof other === "number" ? one - other : compare(String(one), String(other))));
    return order || compare(a.device.name, b.device.name) || compare(a.device.id, b.device.id);
  });
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const compare = (a: string, b: string) => collator.compare(a, b);

/** Those in this state (all where it is empty) that have the text somewhere. */
export function filterRows(rows: DeviceRow[], text: string, state: string): DeviceRow[] {
  const wanted = text.trim().toLowerCase();
  return rows.filter(
    ({ device }) =>
      (state === "" || device.liveness === state) &&
      (wanted === "" ||
        [
          device.name,
          device.id,
          device.place ?? "",
          device.share?.owner_name ?? "",
          device.facts?.architecture ?? "",
          device.facts?.hostname ?? "",
          ...(device.facts?.addresses ?? []),
          ...device.reasons,
        ].some((part) => part.toLowerCase().includes(wanted))),
  );
}

/** A name for the next device that none has yet. */
export function freeName(names: string[]): string {
  for (let number = 1; ; number += 1) if (!names.includes(`edge-${number}`)) return `edge-${number}`;
}
