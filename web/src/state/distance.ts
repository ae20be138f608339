// How far devices are from a place, and which of them is the nearest that can take a container. Pure; the control plane
// measures alike (fleet::placement::distance).
import type { DeviceView, Location } from "../api/generated";

/** The earth's mean radius (IUGG), in kilometres. */
const EARTH_KM = 6_371.008_8;

const radians = (degrees: number) => (degrees * Math.PI) / 180;

/** The great-circle distance in kilometres, on a sphere: within half a percent. */
export function kilometres(a: Location, b: Location): number {
  const north = Math.sin(radians(b.lat - a.lat) / 2);
  const east = Math.sin(radians(b.lon - a.lon) / 2);
  const part = north * north + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * east * east;
  return 2 * EARTH_KM * Math.asin(Math.sqrt(Math.min(Math.max(part, 0), 1)));
}

/** A distance in words, no finer than anybody would measure it. */
export function distanceWords(km: number): string {
  if (km < 1) return "under 1 km";
  return `${km < 10 ? km.toFixed(1) : Math.round(km)} km`;
}

export interface Far {
  device: DeviceView;
  /** From the place, in kilometres; `null` without a place, or where the device has none. */
  km: number | null;
}

/** The nearest first, then those of which it is not known where they stand; by name without a place. */
export function byDistance(devices: Iterable<DeviceView>, from: Location | null): Far[] {
  const far = [...devices].map((device) => ({ device, km: from && device.location ? kilometres(from, device.location) : null }));
  return far.sort((a, b) => (a.km ?? Infinity) - (b.km ?? Infinity) || a.device.name.localeCompare(b.device.name));
}

/** A device that answers now, so that something can be ordered there. */
export function answers({ liveness }: Pick<DeviceView, "liveness">): boolean {
  return liveness === "connected" || liveness === "degraded";
}

/** The nearest device that answers now; `null` where none of them has a place. */
export function nearest(far: Far[]): Far | null {
  return far.find(({ device, km }) => km !== null && answers(device)) ?? null;
}
