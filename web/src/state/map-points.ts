// From devices to what a map shows: the points where they stand, and which points are shown as one while they are too
// close together to be told apart. Pure; who draws it is not known here.
import type { DeviceView, Location } from "../api/generated";
import { LOOK, type Liveness, WORST_FIRST } from "./liveness";

export interface MapDevice {
  id: string;
  name: string;
  liveness: Liveness;
}

/** Where devices stand: those of one place are one point. */
export interface MapPoint extends Location {
  /** The same for as long as devices stand there. */
  id: string;
  /** The place, as the owner of its first device said; empty where nobody did. */
  place: string;
  /** By name. */
  devices: MapDevice[];
}

/** Points that are shown as one. It stands where its first point does. */
export interface MapGroup extends Location {
  id: string;
  points: MapPoint[];
  devices: MapDevice[];
}

/** Places that agree to so many digits of a degree, about 100 m, are one. */
const DIGITS = 3;
/** Marks nearer to each other than this would cover each other, in pixels. */
export const REACH = 30;
/** Side of the world at zoom 0 in pixels, and the latitude at which Web Mercator cuts it off. */
const WORLD = 256;
const EDGE = 85.051_129;
/** Devices of one point or group that are named; of the others the number is told. */
const NAMED = 5;

/** A longitude as on the map: at least -180, below 180. */
export function wrapped(lon: number): number {
  return ((((lon + 180) % 360) + 360) % 360) - 180;
}

/** The points of all devices, and how many devices have no place on the map. */
export function pointsOf(devices: Iterable<DeviceView>): { points: MapPoint[]; without: number } {
  const points = new Map<string, MapPoint>();
  let without = 0;
  for (const { id, name, liveness, place, location } of [...devices].sort((a, b) => a.name.localeCompare(b.name))) {
    if (!location) {
      without += 1;
      continue;
    }
    const lon = wrapped(location.lon);
    const at = `${location.lat.toFixed(DIGITS)},${wrapped(Number(lon.toFixed(DIGITS)))}`;
    const point = points.get(at) ?? { id: at, lat: location.lat, lon, place: "", devices: [] };
    point.place ||= place ?? "";
    point.devices.push({ id, name, liveness });
    points.set(at, point);
  }
  return { points: [...points.values()], without };
}

/** Which points are shown as one at this zoom: points with more devices draw the others to themselves. */
export function groupsOf(points: MapPoint[], zoom: number): MapGroup[] {
  const groups: (MapGroup & { x: number; y: number })[] = [];
  const strongest = [...points].sort((a, b) => b.devices.length - a.devices.length || (a.id < b.id ? -1 : 1));
  for (const point of strongest) {
    const { x, y } = pixels(point, zoom);
    const near = groups.find((group) => Math.hypot(group.x - x, group.y - y) < REACH);
    if (near) {
      near.points.push(point);
      near.devices = [...near.devices, ...point.devices];
    } else groups.push({ id: point.id, lat: point.lat, lon: point.lon, points: [point], devices: point.devices, x, y });
  }
  return groups.map(({ x: _x, y: _y, ...group }) => group);
}

function pixels({ lat, lon }: Location, zoom: number): { x: number; y: number } {
  const size = WORLD * 2 ** zoom;
  const sine = Math.sin((Math.min(Math.max(lat, -EDGE), EDGE) * Math.PI) / 180);
  return { x: ((lon + 180) / 360) * size, y: (0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * size };
}

/** The liveness that is to be looked at first among these. */
export function worst(devices: MapDevice[]): Liveness {
  return WORST_FIRST.find((one) => devices.some(({ liveness }) => liveness === one)) ?? "connected";
}

/** What a mark is called: its devices, how they are, and where. */
export function nameOf({ points, devices }: { points: MapPoint[]; devices: MapDevice[] }): string {
  const places = [...new Set(points.map(({ place }) => place).filter((place) => place !== ""))];
  const where = places.length === 0 ? "" : places.length > 1 ? `${places[0]} and around: ` : `${places[0]}: `;
  const named = devices.slice(0, NAMED).map(({ name, liveness }) => `${name} ${LOOK[liveness].word}`);
  const others = devices.length - named.length;
  const many = devices.length > 1 ? `${devices.length} devices, ` : "";
  return `${where}${many}${named.join(", ")}${others > 0 ? `, and ${others} more` : ""}`;
}
