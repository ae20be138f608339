// The fleet as the browser knows it: devices, containers, their latest numbers, operations and moves. Pure
// reducers over plain data; who calls them and who draws the result is not known here.
import type {
  ContainerEvent,
  ContainerStats,
  ContainerView,
  DeviceView,
  HostStats,
  OperationEvent,
  PlacedContainer,
  StatsEvent,
} from "../api/generated";
import { add, Track } from "./history";
import { ofContainer, ofHost } from "./load";
import { holder, type Moves, whereTo } from "./moves";

/** Numbers older than this are not shown as current, in milliseconds. */
export const FRESH = 4_000;
/** Ended operations that are kept for a look: more than one deployment has devices. */
const MAX_ENDED = 200;
/**
 * How old the control plane's list of containers may be, in milliseconds: devices report every 2 s. What a device
 * itself told within this time is newer than the list.
 */
export const LIST_LAG = 5_000;
/** Without news for this long, an operation has been lost: its device went away. */
const LOST_AFTER = 600_000;

export interface Placed {
  device: string;
  view: ContainerView;
  stats: (ContainerStats & { arrived: number }) | null;
}

export type Operation = OperationEvent & { arrived: number };

export interface Fleet {
  devices: Map<string, DeviceView>;
  hosts: Map<string, HostStats & { arrived: number }>;
  /** By device and container: while a container moves, both ends may tell of it. */
  containers: Map<string, Placed>;
  operations: Map<string, Operation>;
  moves: Moves;
  /** When a device last told of a container, by both; kept for as long as a list may be older. */
  told: Map<string, number>;
  /** What each device has used in the last minutes. */
  history: Map<string, Track>;
  /** The one container that is looked at, and what it has used: a thousand would be too much. */
  watched: { container: string; track: Track } | null;
  /** The control plane's clock less the browser's, in milliseconds. */
  clockAhead: number;
}

export function emptyFleet(): Fleet {
  return {
    devices: new Map(),
    hosts: new Map(),
    containers: new Map(),
    operations: new Map(),
    moves: new Map(),
    told: new Map(),
    history: new Map(),
    watched: null,
    clockAhead: 0,
  };
}

/** The whole list of devices replaces what was known. */
export function devicesListed(fleet: Fleet, devices: DeviceView[], cloudNow: number, now: number): void {
  fleet.devices = new Map(devices.map((device) => [device.id, device]));
  fleet.clockAhead = cloudNow - now;
  for (const known of [fleet.history, fleet.hosts]) {
    for (const id of known.keys()) if (!fleet.devices.has(id)) known.delete(id);
  }
}

/**
 * The whole list of containers, asked for at `asked`, replaces what was known, except what the devices themselves
 * told about the same time; numbers of those that are still there stay.
 */
export function containersListed(fleet: Fleet, containers: PlacedContainer[], asked: number): void {
  const before = fleet.containers;
  fleet.containers = new Map(
    containers.map(({ device, container }) => {
      const at = key(device, container.id);
      return [at, { device, view: container, stats: before.get(at)?.stats ?? null }];
    }),
  );
  for (const [at, when] of fleet.told) {
    if (when < asked - LIST_LAG) {
      fleet.told.delete(at);
      continue;
    }
    const newer = before.get(at);
    if (newer) fleet.containers.set(at, newer);
    else fleet.containers.delete(at);
  }
}

export function deviceChanged(fleet: Fleet, device: DeviceView): void {
  fleet.devices.set(device.id, device);
}

export function containerChanged(fleet: Fleet, event: ContainerEvent, now: number): void {
  const { device, container } = event;
  const at = key(device, container.id);
  fleet.told.set(at, now);
  if (event.change === "deleted") {
    fleet.containers.delete(at);
    // Of one that moved away, the other end tells in a moment; until then it is not gone.
    const to = whereTo(fleet.moves, container.id, device);
    if (to !== null && !fleet.containers.has(key(to, container.id))) {
      fleet.told.set(key(to, container.id), now);
      fleet.containers.set(key(to, container.id), { device: to, view: container, stats: null });
    }
    return;
  }
  const stats = container.state === "running" ? (fleet.containers.get(at)?.stats ?? null) : null;
  fleet.containers.set(at, { device, view: container, stats });
}

export function statsArrived(fleet: Fleet, event: StatsEvent, now: number): void {
  fleet.hosts.set(event.device, { ...event.host, arrived: now });
  const second = secondOf(fleet, now);
  add(trackOf(fleet, event.device), second, ofHost(event.host));
  for (const stats of event.containers) {
    if (stats.id === fleet.watched?.container) add(fleet.watched.track, second, ofContainer(stats));
    const placed = fleet.containers.get(key(event.device, stats.id));
    if (placed) placed.stats = { ...stats, arrived: now };
  }
}

/** The second by the control plane's clock. */
export function secondOf(fleet: Fleet, now: number): number {
  return Math.floor((now + fleet.clockAhead) / 1000);
}

/** What a device has used, which grows. */
export function trackOf(fleet: Fleet, device: string): Track {
  const track = fleet.history.get(device) ?? new Track();
  fleet.history.set(device, track);
  return track;
}

/** From now on this container's numbers are kept, and no other's. */
export function watch(fleet: Fleet, container: string): Track {
  if (fleet.watched?.container !== container) fleet.watched = { container, track: new Track() };
  return fleet.watched.track;
}

export function operationChanged(fleet: Fleet, event: OperationEvent, now: number): void {
  fleet.operations.delete(event.operation);
  fleet.operations.set(event.operation, { ...event, arrived: now });
  for (const { operation, arrived } of fleet.operations.values()) {
    if (now - arrived > LOST_AFTER) fleet.operations.delete(operation);
  }
  const ended = [...fleet.operations.values()].filter((operation) => operation.state !== "running");
  for (const old of ended.slice(0, Math.max(0, ended.length - MAX_ENDED))) fleet.operations.delete(old.operation);
}

/** A container's CPU, unless it is old news. */
export function currentCpu(placed: Placed, now: number): number | null {
  const { stats } = placed;
  return stats && placed.view.state === "running" && now - stats.arrived < FRESH ? stats.cpu_percent : null;
}

export interface ApplicationLoad {
  application: string;
  /** Of one core, all its containers together; `null` where none has a current number. */
  cpu: number | null;
  containers: number;
}

/** CPU by application, largest first. */
export function cpuByApplication(fleet: Fleet, now: number): ApplicationLoad[] {
  const sums = new Map<string, ApplicationLoad>();
  for (const one of everyPlaced(fleet)) {
    const { application } = one.view;
    const sum = sums.get(application) ?? { application, cpu: null, containers: 0 };
    const cpu = currentCpu(one, now);
    if (cpu !== null) sum.cpu = (sum.cpu ?? 0) + cpu;
    sum.containers += 1;
    sums.set(application, sum);
  }
  return [...sums.values()].sort((a, b) => (b.cpu ?? -1) - (a.cpu ?? -1) || (a.application < b.application ? -1 : 1));
}

/** Those that are named, in this order, and all others together. */
export function namedAndRest(all: ApplicationLoad[], named: string[]): { named: ApplicationLoad[]; rest: ApplicationLoad[] } {
  const byName = new Map(all.map((load) => [load.application, load]));
  const found = named.map((name) => byName.get(name)).filter((load) => load !== undefined);
  const taken = new Set(named);
  return { named: found, rest: all.filter(({ application }) => !taken.has(application)) };
}

/** How many devices are in each state. */
export function health(fleet: Fleet): Record<DeviceView["liveness"], number> {
  const counts = { connected: 0, degraded: 0, stale: 0, offline: 0, never: 0 };
  for (const device of fleet.devices.values()) counts[device.liveness] += 1;
  return counts;
}

/** Each container once, where it is. */
export function everyPlaced(fleet: Fleet): Placed[] {
  const once = new Map<string, Placed>();
  for (const placed of fleet.containers.values()) {
    const other = once.get(placed.view.id);
    once.set(placed.view.id, other ? theOne(fleet, other, placed) : placed);
  }
  return [...once.values()];
}

/** A container by its id, where it is. */
export function findPlaced(fleet: Fleet, container: string): Placed | undefined {
  return everyPlaced(fleet).find(({ view }) => view.id === container);
}

/** Two devices tell of a container: the moves say who has it, else the one where it runs. */
function theOne(fleet: Fleet, a: Placed, b: Placed): Placed {
  const home = holder(fleet.moves, a.view.id);
  return [a, b].find(({ device }) => device === home) ?? (b.view.state === "running" ? b : a);
}

function key(device: string, container: string): string {
  return `${device} ${container}`;
}

/** All containers in a steady order: by application, then name, then id. */
export function sorted(fleet: Fleet): Placed[] {
  return everyPlaced(fleet).sort(
    (a, b) =>
      a.view.application.localeCompare(b.view.application) ||
      a.view.name.localeCompare(b.view.name) ||
      a.view.id.localeCompare(b.view.id),
  );
}

export function deviceName(fleet: Fleet, device: string): string {
  return fleet.devices.get(device)?.name ?? device;
}
