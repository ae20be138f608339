// Which containers the table shows, in which order, on which page, and which of them are selected. Pure: the address, the
// clock and what is drawn are not known here.
import type { ContainerState, ContainerView, DeviceView } from "../api/generated";
import type { Placed } from "./fleet";
import { sorting, type Sort as Order } from "./sorting";

/** Rows of one page: more make each update slow, and nobody reads them. */
export const PAGE = 100;

export const COLUMNS = ["application", "status", "cpu", "memory", "container", "device", "image", "address"] as const;
export type Column = (typeof COLUMNS)[number];
/** Of these one wants to see the largest first. */
const NUMBERS: readonly Column[] = ["cpu", "memory"];

export type Sort = Order<Column>;
export const { parseSort, sortText, pressed } = sorting(COLUMNS, "application", NUMBERS);

/** Only containers of devices out of reach. */
export const UNREACHABLE = "unreachable";
export type StateFilter = ContainerState | typeof UNREACHABLE;

/** What of the fleet the order and the filter need. */
export interface Known {
  device(id: string): DeviceView | undefined;
  /** The number by which is sorted, as of when the order was last made. */
  number(placed: Placed): number | null;
}

export function isReachable(device: DeviceView | undefined): boolean {
  return device?.liveness === "connected" || device?.liveness === "degraded";
}

/** How many containers are in each state, and on devices out of reach; states without one are left out. */
export function stateCounts(all: Placed[], known: Known): [StateFilter, number][] {
  const counts = new Map<StateFilter, number>();
  const count = (state: StateFilter) => counts.set(state, (counts.get(state) ?? 0) + 1);
  for (const { view, device } of all) {
    count(view.state);
    if (!isReachable(known.device(device))) count(UNREACHABLE);
  }
  return [...counts].sort(([a], [b]) => Number(a === UNREACHABLE) - Number(b === UNREACHABLE) || a.localeCompare(b));
}

export interface Wanted {
  filter: string;
  /** A state, `unreachable`, or nothing for all. */
  state: string;
  sort: Sort;
}

/** Numbers within names count as numbers: edge-2 comes before edge-10. */
const { compare } = new Intl.Collator(undefined, { numeric: true });

/** The containers that are wanted, in order. Where two are alike, the usual order says which is first. */
export function arranged(all: Placed[], { filter, state, sort }: Wanted, known: Known): Placed[] {
  const words = filter.trim().toLowerCase();
  const name = (id: string) => known.device(id)?.name ?? id;
  const fits = ({ view, device }: Placed) =>
    (state === "" || (state === UNREACHABLE ? !isReachable(known.device(device)) : view.state === state)) &&
    (words === "" ||
      [view.application, view.name, view.id, view.image, view.state, name(device)].some((text) => text.toLowerCase().includes(words)));
  const texts: Record<Column, (view: ContainerView, device: string) => string> = {
    application: (view) => view.application,
    status: (view) => view.state,
    cpu: () => "",
    memory: () => "",
    container: (view) => view.name,
    device: (_, device) => name(device),
    image: (view) => view.image,
    address: (view) => view.address ?? "",
  };
  const text = texts[sort.column];
  const isNumber = NUMBERS.includes(sort.column);
  const rows = all.filter(fits).map((placed) => ({
    placed,
    text: text(placed.view, placed.device),
    number: isNumber ? known.number(placed) : null,
  }));
  const sign = sort.down ? -1 : 1;
  rows.sort((a, b) => {
    // What has no number comes last, whichever way is sorted.
    if (isNumber && (a.number === null) !== (b.number === null)) return a.number === null ? 1 : -1;
    return (
      sign * ((a.number ?? 0) - (b.number ?? 0) || compare(a.text, b.text)) ||
      compare(a.placed.view.application, b.placed.view.application) ||
      compare(a.placed.view.name, b.placed.view.name) ||
      compare(a.placed.view.id, b.placed.view.id)
    );
  });
  return rows.map(({ placed }) => placed);
}

export interface Page<T> {
  rows: T[];
  /** From 1. */
  page: number;
  pages: number;
  /** The place of the first row among all, from 1; 0 where there is none. */
  from: number;
  to: number;
}

/** The page that the address names, or the nearest that there is. */
export function pageOf<T>(all: T[], wanted: string): Page<T> {
  const pages = Math.max(1, Math.ceil(all.length / PAGE));
  const asked = Math.floor(Number(wanted));
  const page = Math.min(pages, Math.max(1, Number.isFinite(asked) ? asked : 1));
  const rows = all.slice((page - 1) * PAGE, page * PAGE);
  return { rows, page, pages, from: rows.length === 0 ? 0 : (page - 1) * PAGE + 1, to: (page - 1) * PAGE + rows.length };
}

/** What stays selected: not what is gone or what a filter hides. The same set where nothing leaves it. */
export function remaining(selected: ReadonlySet<string>, rows: Placed[]): ReadonlySet<string> {
  if (selected.size === 0) return selected;
  const still = new Set(rows.map(({ view }) => view.id).filter((id) => selected.has(id)));
  return still.size === selected.size ? selected : still;
}
