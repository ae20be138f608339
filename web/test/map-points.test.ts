// What a map shows of a fleet: no device is lost, whatever its place, and no mark covers another.
import { expect, it } from "vitest";
import type { DeviceView } from "../src/api/generated";
import { groupsOf, nameOf, pointsOf, worst, wrapped } from "../src/state/map-points";

function device(id: string, liveness: DeviceView["liveness"], lat?: number, lon = 0, place: string | null = null): DeviceView {
  const known: DeviceView = { id, name: id, place, owner: "acme", liveness, reasons: [], last_seen_at: 1, enrolled_at: 1, facts: null };
  return lat === undefined ? known : { ...known, location: { lat, lon } };
}

it("makes one point of the devices of one place, and counts those without one", () => {
  const { points, without } = pointsOf([
    device("c", "offline", 52.52004, 13.40501, "Berlin"),
    device("a", "connected", 52.52, 13.405),
    device("b", "connected", 10, 10, "elsewhere"),
    device("d", "never"),
  ]);
  expect(without).toBe(1);
  expect(points.map(({ place, devices }) => [place, devices.map(({ id }) => id)])).toEqual([
    ["Berlin", ["a", "c"]],
    ["elsewhere", ["b"]],
  ]);
});

it("wraps longitudes, so that a place has one point on either side of the date line", () => {
  expect([190, -190, 180, -180, 540, 13.5].map(wrapped)).toEqual([-170, 170, -180, -180, -180, 13.5]);
  const { points } = pointsOf([device("a", "connected", 1, 190), device("b", "connected", 1, -170), device("c", "connected", 1, 179.9999), device("d", "connected", 1, -180)]);
  expect(points.map(({ devices }) => devices.map(({ id }) => id))).toEqual([["a", "b"], ["c", "d"]]);
});

it("shows close points as one from afar and apart from near, and loses none", () => {
  const { points } = pointsOf([
    device("berlin", "connected", 52.52, 13.4),
    device("potsdam", "offline", 52.4, 13.06),
    device("sydney", "connected", -33.87, 151.2),
    device("pole", "connected", 90, 0),
  ]);
  const ids = (zoom: number) => groupsOf(points, zoom).map(({ devices }) => devices.map(({ id }) => id).sort().join());
  expect(ids(3).sort()).toEqual(["berlin,potsdam", "pole", "sydney"]);
  expect(ids(9).sort()).toEqual(["berlin", "pole", "potsdam", "sydney"]);
});

it("keeps the marks of many apart at each zoom, in the same order each time", () => {
  const many = Array.from({ length: 300 }, (_, index) => device(`d${index}`, "connected", ((index * 37) % 140) - 60, ((index * 71) % 360) - 180));
  const { points } = pointsOf(many);
  for (const zoom of [0, 2, 5]) {
    const groups = groupsOf(points, zoom);
    expect(groups.flatMap(({ devices }) => devices).length).toBe(300);
    expect(groupsOf([...points].reverse(), zoom).map(({ id }) => id)).toEqual(groups.map(({ id }) => id));
  }
  expect(groupsOf(points, 0).length).toBeLessThan(60);
});

it("names a mark after its devices and how they are, and counts what is too much to say", () => {
  const { points } = pointsOf([device("a", "degraded", 1, 1, "Berlin")]);
  expect(nameOf({ points, devices: points[0]!.devices })).toBe("Berlin: a degraded");
  const many = pointsOf(Array.from({ length: 7 }, (_, index) => device(`d${index}`, index === 6 ? "stale" : "connected", 1, 1)));
  expect(nameOf({ points: many.points, devices: many.points[0]!.devices })).toBe(
    "7 devices, d0 connected, d1 connected, d2 connected, d3 connected, d4 connected, and 2 more",
  );
  expect(worst(many.points[0]!.devices)).toBe("stale");
});
