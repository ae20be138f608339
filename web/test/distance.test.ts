// Which device is nearest to a place: the distance over the globe, not over the map.
import { expect, it } from "vitest";
import type { DeviceView } from "../src/api/generated";
import { byDistance, distanceWords, kilometres, nearest } from "../src/state/distance";

function device(id: string, liveness: DeviceView["liveness"], location?: { lat: number; lon: number }): DeviceView {
  const known: DeviceView = { id, name: id, place: null, owner: "acme", liveness, reasons: [], last_seen_at: 1, enrolled_at: 1, facts: null };
  return location ? { ...known, location } : known;
}

it("measures over the globe, across the date line and over the pole", () => {
  expect(kilometres({ lat: 52.52, lon: 13.405 }, { lat: 48.857, lon: 2.352 })).toBeCloseTo(877.5, 0);
  expect(kilometres({ lat: 0, lon: 179.5 }, { lat: 0, lon: -179.5 })).toBeCloseTo(111.2, 1);
  expect(kilometres({ lat: 89, lon: 0 }, { lat: 89, lon: 180 })).toBeCloseTo(222.4, 1);
  expect(kilometres({ lat: 0, lon: 0 }, { lat: 0, lon: 180 })).toBeCloseTo(20_015, 0);
  expect(kilometres({ lat: 7, lon: 7 }, { lat: 7, lon: 7 })).toBe(0);
});

it("tells no more digits than it knows", () => {
  expect([0, 0.99, 1, 9.94, 12.5, 8_812.2].map(distanceWords)).toEqual([
    "under 1 km",
    "under 1 km",
    "1.0 km",
    "9.9 km",
    "13 km",
    "8812 km",
  ]);
});

it("puts the nearest first and those without a place last, and takes the nearest that answers", () => {
  const devices = [
    device("nowhere", "connected"),
    device("apia", "connected", { lat: -13.8, lon: -171.8 }),
    device("suva", "offline", { lat: -18.1, lon: 178.4 }),
    device("auckland", "degraded", { lat: -36.8, lon: 174.8 }),
  ];
  const far = byDistance(devices, { lat: -17.7, lon: 177.4 });
  expect(far.map(({ device: { id } }) => id)).toEqual(["suva", "apia", "auckland", "nowhere"]);
  expect(nearest(far)?.device.id).toBe("apia");
  expect(nearest(byDistance([device("nowhere", "connected")], { lat: 0, lon: 0 }))).toBeNull();
});

it("orders by name without a place", () => {
  const far = byDistance([device("b", "offline", { lat: 1, lon: 1 }), device("a", "connected")], null);
  expect(far.map(({ device: { id }, km }) => [id, km])).toEqual([["a", null], ["b", null]]);
});
