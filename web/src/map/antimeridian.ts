// Cuts outlines that cross the date line in two, so that a flat map does not draw a band from one edge to the other. Pure.
import type { MultiPolygon, Polygon, Position } from "geojson";

const HALF = 180;
const WHOLE = 360;

/** The same polygons, each on one side of the date line. */
export function cutPolygons(geometry: Polygon | MultiPolygon): MultiPolygon {
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  const coordinates = polygons.flatMap(([outer = [], ...holes]) => {
    const pieces = cutRing(outer);
    // No country that crosses the date line has a hole.
    return pieces[0] === outer ? [[outer, ...holes]] : pieces.map((piece) => [piece]);
  });
  return { type: "MultiPolygon", coordinates };
}

/** The parts of a closed ring of `[lon, lat]` on either side; itself where it does not cross, or goes around a pole. */
export function cutRing(ring: Position[]): Position[][] {
  let turns = 0;
  const straight = ring.map(([lon = 0, lat = 0], at) => {
    const before = ring[at - 1]?.[0] ?? lon;
    if (lon - before > HALF) turns -= 1;
    else if (before - lon > HALF) turns += 1;
    return [lon + turns * WHOLE, lat] as const;
  });
  const crosses = straight.some(([lon]) => Math.abs(lon) > HALF);
  if (!crosses || turns !== 0) return [ring];
  return [-WHOLE, 0, WHOLE]
    .map((shift) => {
      const moved = straight.map(([lon, lat]): Position => [lon + shift, lat]);
      return within(within(moved, 1), -1);
    })
    .filter((piece) => piece.length > 3);
}

/** What of a closed ring is west (`side` 1) of 180°, or east (`side` -1) of -180°. */
function within(ring: Position[], side: 1 | -1): Position[] {
  const kept: Position[] = [];
  ring.forEach(([lon = 0, lat = 0], at) => {
    const [lonBefore = lon, latBefore = lat] = ring[at - 1] ?? [];
    const [over, overBefore] = [lon * side - HALF, lonBefore * side - HALF];
    if (over > 0 !== overBefore > 0) {
      kept.push([HALF * side, latBefore + ((lat - latBefore) * overBefore) / (overBefore - over)]);
    }
    if (over <= 0) kept.push([lon, lat]);
  });
  const [first] = kept;
  return first ? [...kept, first] : [];
}
