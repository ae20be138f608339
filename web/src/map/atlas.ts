// The countries of the world as outlines, from Natural Earth (public domain). Coarse ones come with the map; finer ones
// when somebody looks closely.
import type { MultiPolygon, Polygon } from "geojson";
import { feature } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";
import coarse from "world-atlas/countries-110m.json";
import fine from "world-atlas/countries-50m.json?url";
import { cutPolygons } from "./antimeridian";

export type Countries = ReturnType<typeof outlines>;

function outlines(atlas: unknown) {
  const topology = atlas as Topology<{ countries: GeometryCollection<{ name: string }> }>;
  const countries = feature(topology, topology.objects.countries);
  return {
    ...countries,
    features: countries.features.map((country) => ({ ...country, geometry: cutPolygons(country.geometry as Polygon | MultiPolygon) })),
  };
}

export const coarseCountries = (): Countries => outlines(coarse);

/** Rejects where they cannot be loaded. */
export async function fineCountries(): Promise<Countries> {
  const response = await fetch(fine);
  if (!response.ok) throw new Error(`The outlines were answered with ${response.status}.`);
  return outlines(await response.json());
}
