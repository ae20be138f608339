// What a device or a container uses at a moment, whoever tells it: an event of now, or a step of the past. Pure.
import type { ContainerStats, HistoryPoint, HostStats } from "../api/generated";

/** CPU in percent: of a device of all cores, of a container of one core. Memory and free disk in bytes, the rest in bytes each second. */
export type Quantity = "cpu" | "memory" | "free" | "received" | "sent" | "read" | "written";
/** `null`: not known. */
export type Load = Record<Quantity, number | null>;

/** Not told by an agent or a control plane that is older. */
const rates = (told: HostStats | ContainerStats | HistoryPoint) => ({
  received: told.network_received_bytes_per_s ?? null,
  sent: told.network_sent_bytes_per_s ?? null,
  read: told.disk_read_bytes_per_s ?? null,
  written: told.disk_written_bytes_per_s ?? null,
});

export function ofHost(host: HostStats): Load {
  return { cpu: host.cpu_percent, memory: host.memory_used_bytes, free: host.disk_free_bytes, ...rates(host) };
}

export function ofContainer(stats: ContainerStats): Load {
  return { cpu: stats.cpu_percent, memory: stats.memory_bytes, free: null, ...rates(stats) };
}

export function ofPoint(point: HistoryPoint): Load {
  return { cpu: point.cpu_percent?.avg ?? null, memory: point.memory_bytes, free: point.disk_free_bytes, ...rates(point) };
}

/** What lies in the middle of two; not known where one of them is not. */
export function between(a: Load, b: Load, share = 0.5): Load {
  const mixed = { ...a };
  for (const quantity of Object.keys(mixed) as Quantity[]) {
    const [from, to] = [a[quantity], b[quantity]];
    mixed[quantity] = from === null || to === null ? null : from + (to - from) * share;
  }
  return mixed;
}

export function isKnown(load: Load): boolean {
  return Object.values(load).some((value) => value !== null);
}
