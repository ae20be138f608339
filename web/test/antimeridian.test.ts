// A country on both sides of the date line is drawn at both edges of the map, not as a band across it.
import type { Position } from "geojson";
import { expect, it } from "vitest";
import { cutPolygons, cutRing } from "../src/map/antimeridian";
import { coarseCountries } from "../src/map/atlas";

const box = (west: number, east: number): Position[] => [[west, 0], [west, 10], [east, 10], [east, 0], [west, 0]];
const edges = (ring: Position[]) => [Math.min(...ring.map(([lon]) => lon!)), Math.max(...ring.map(([lon]) => lon!))];

it("cuts what crosses, from either side, and leaves the rest", () => {
  expect(cutRing(box(170, -170)).map(edges).sort()).toEqual([[-180, -170], [170, 180]]);
  expect(cutRing(box(-170, 170)).map(edges).sort()).toEqual([[-180, -170], [170, 180]]);
  expect(cutRing(box(-10, 10))).toEqual([box(-10, 10)]);
  expect(cutRing(box(150, 180))).toEqual([box(150, 180)]);
});

it("keeps the latitude where a slanted border crosses, and closes each part", () => {
  const [west, east] = cutRing([[170, 0], [-170, 20], [-170, -20], [170, 0]]).sort((a, b) => edges(a)[0]! - edges(b)[0]!);
  expect(east).toContainEqual([180, 10]);
  expect(west).toContainEqual([-180, -10]);
  for (const ring of [west!, east!]) expect(ring.at(-1)).toEqual(ring[0]);
});

it("leaves a ring around the pole, and the holes of what does not cross", () => {
  const pole: Position[] = [[-180, -80], [-60, -80], [60, -80], [179, -80], [-180, -80]];
  expect(cutRing(pole)).toEqual([pole]);
  const ring = { type: "Polygon" as const, coordinates: [box(0, 30), box(5, 10)] };
  expect(cutPolygons(ring).coordinates).toEqual([[box(0, 30), box(5, 10)]]);
});

it("leaves no outline of the atlas that runs across the whole map, but the one around the pole", () => {
  const across = coarseCountries().features.filter(({ geometry }) =>
    geometry.coordinates.some(([outer = []]) => outer.some(([lon], at) => Math.abs(lon! - (outer[at - 1]?.[0] ?? lon!)) > 180)),
  );
  expect(across.map(({ properties }) => properties.name).filter((name) => name !== "Antarctica")).toEqual([]);
});
