// Draws a map of the world into an element, with Leaflet: countries as outlines, devices as marks, a place. It is loaded
// only where a map is looked at. It knows points and places; not what is done with one that was picked.
import { geoJSON, latLngBounds, type LatLng, map as leaflet, type Map as LeafletMap, marker, type Marker } from "leaflet";
import "leaflet/dist/leaflet.css";
import type { Location } from "../api/generated";
import { groupsOf, type MapGroup, type MapPoint, nameOf, wrapped } from "../state/map-points";
import { coarseCountries, type Countries, fineCountries } from "./atlas";
import "./map.css";
import { deviceList, groupIcon, lookIcon, nameElement, placeIcon } from "./marks";

/** The outlines say nothing more beyond this. */
const MAX_ZOOM = 8;
/** From here on the coarse outlines look coarse. */
const FINE_ZOOM = 4.5;
/** How close a place is looked at: its country and the neighbours are seen. */
const PLACE_ZOOM = 4;
/** How close a fleet is looked at, though all of it stand in one town. */
const FLEET_ZOOM = 5;
/** Around what is to be seen, in pixels: half a mark and its count. */
const MARGIN = 36;
/** A flight, in seconds: long enough to see where to. */
const FLIGHT = 0.9;
/** The inhabited world, for a map that has nothing else to show. */
const WORLD = latLngBounds([-56, -168], [76, 180]);
/** Nothing is drawn outside of it. */
const EDGE = latLngBounds([-85, -180], [85, 180]);
/** A place that was asked for by a click stands where the click was, to so many degrees. */
const SAME = 0.01;

export interface Deeds {
  /** A device is to be opened. Without it a mark picks the place of its devices. */
  open?: ((id: string) => void) | undefined;
  /** A point was picked. */
  pick?: ((lat: number, lon: number) => void) | undefined;
}

export interface Drawing {
  /** Shows these points instead of those before. The first ones that it gets are moved into sight. */
  show(points: MapPoint[]): void;
  /** Marks the place that was chosen, and moves there. */
  place(place: Location | null): void;
  /** Moves to a place that may be chosen. */
  look(place: Location | null): void;
  end(): void;
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function draw(host: HTMLElement, does: Deeds): Drawing {
  const animated = !still();
  const map = leaflet(host, {
    attributionControl: true,
    doubleClickZoom: !does.pick,
    scrollWheelZoom: false,
    zoomSnap: 0.5,
    maxZoom: MAX_ZOOM,
    maxBounds: EDGE.pad(0.1),
    maxBoundsViscosity: 0.8,
    zoomAnimation: animated,
    fadeAnimation: animated,
    markerZoomAnimation: animated,
    inertia: animated,
  });
  map.attributionControl?.setPrefix(false).addAttribution("Countries: Natural Earth");
  map.fitBounds(WORLD, { animate: false });
  // The wheel scrolls the page until somebody is at the map.
  map.on("focus", () => map.scrollWheelZoom.enable());
  map.on("blur", () => map.scrollWheelZoom.disable());

  drawCountries(map);
  const marks = drawMarks(map, does);
  let clicked: LatLng | null = null;
  let placed: Marker | null = null;
  let looked: Marker | null = null;
  let seen = false;

  map.on("click", ({ latlng }) => {
    if (!does.pick) return;
    clicked = latlng.wrap();
    does.pick(Math.min(Math.max(clicked.lat, -90), 90), clicked.lng);
  });

  function flyTo({ lat, lon }: Location) {
    seen = true;
    const at: [number, number] = [lat, wrapped(lon)];
    const zoom = Math.max(PLACE_ZOOM, Math.min(map.getZoom(), FLEET_ZOOM));
    if (still()) map.setView(at, zoom, { animate: false });
    else map.flyTo(at, zoom, { duration: FLIGHT });
  }

  const resized = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  resized.observe(host);

  return {
    show(points) {
      marks.show(points);
      if (seen || points.length === 0) return;
      seen = true;
      map.fitBounds(latLngBounds(points.map(({ lat, lon }) => [lat, lon])), { animate: false, maxZoom: FLEET_ZOOM, padding: [MARGIN, MARGIN] });
    },
    place(place) {
      placed?.remove();
      placed = null;
      if (!place) return;
      placed = marker([place.lat, wrapped(place.lon)], { icon: placeIcon(), interactive: false, keyboard: false, zIndexOffset: 1_000 }).addTo(map);
      const there = clicked !== null && Math.abs(clicked.lat - place.lat) < SAME && Math.abs(clicked.lng - wrapped(place.lon)) < SAME;
      clicked = null;
      if (!there) flyTo(place);
    },
    look(place) {
      looked?.remove();
      looked = null;
      if (!place) return;
      looked = marker([place.lat, wrapped(place.lon)], { icon: lookIcon(), interactive: false, keyboard: false }).addTo(map);
      flyTo(place);
    },
    end() {
      resized.disconnect();
      map.remove();
    },
  };
}

/** Coarse outlines first; finer ones, once loaded, from the zoom at which they are worth it. */
function drawCountries(map: LeafletMap) {
  const layer = (countries: Countries) => geoJSON(countries, { interactive: false, style: { className: "map-country" } });
  const coarse = layer(coarseCountries()).addTo(map);
  let asked = false;
  map.on("zoomend", () => {
    if (asked || map.getZoom() < FINE_ZOOM) return;
    asked = true;
    fineCountries()
      .then((countries) => {
        // Meanwhile the map may have been taken away.
        if (!map.getPane("overlayPane")?.isConnected) return;
        layer(countries).addTo(map);
        coarse.remove();
      })
      // The coarse outlines serve as well.
      .catch(() => undefined);
  });
}

/** The devices: one mark for each group, one of them in the order of the Tab key, the arrows go between them. */
function drawMarks(map: LeafletMap, does: Deeds) {
  const drawn = new Map<string, { mark: Marker; group: MapGroup; said: string }>();
  let points: MapPoint[] = [];
  let current = "";

  function act(id: string) {
    const one = drawn.get(id);
    if (!one) return;
    const { mark, group } = one;
    const [device] = group.devices;
    const apart = latLngBounds(group.points.map(({ lat, lon }) => [lat, lon]));
    if (group.points.length > 1 && map.getZoom() < MAX_ZOOM) {
      map.fitBounds(apart, { padding: [MARGIN, MARGIN], animate: !still() });
    } else if (!does.open) {
      does.pick?.(group.lat, group.lon);
    } else if (group.devices.length === 1 && device) {
      does.open(device.id);
    } else {
      const list = deviceList(group.devices, does.open, () => mark.closePopup());
      mark.unbindPopup().bindPopup(list, { className: "map-popup", maxHeight: 180, offset: [0, -6] }).openPopup();
      mark.getPopup()?.getElement()?.querySelector("button")?.focus();
      mark.once("popupclose", () => {
        mark.unbindPopup();
        mark.getElement()?.focus();
      });
    }
  }

  /** Which mark the Tab key comes to. */
  function enter(id: string) {
    current = id;
    for (const [other, { mark }] of drawn) {
      const element = mark.getElement();
      if (element) element.tabIndex = other === id ? 0 : -1;
    }
  }

  function key(event: KeyboardEvent, id: string) {
    const order = [...drawn.keys()];
    const at = order.indexOf(id);
    const steps: Record<string, number> = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 };
    const next = event.key in steps ? order.at((steps[event.key] as number) % order.length) : undefined;
    if (next !== undefined) drawn.get(next)?.mark.getElement()?.focus();
    else if (event.key === "Enter" || event.key === " ") act(id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function add(group: MapGroup): Marker {
    const mark = marker([group.lat, group.lon], { icon: groupIcon(group), riseOnHover: true }).addTo(map);
    mark.on("click", () => act(group.id));
    mark.bindTooltip(nameElement(group), { className: "map-tooltip", direction: "top", offset: [0, -14] });
    return mark;
  }

  /** Leaflet makes the element anew with each icon. */
  function name(mark: Marker, group: MapGroup) {
    const element = mark.getElement();
    if (!element) return;
    element.setAttribute("aria-label", nameOf(group));
    element.tabIndex = group.id === current ? 0 : -1;
    element.onkeydown = (event) => key(event, group.id);
    element.onfocus = () => enter(group.id);
  }

  function redraw() {
    const groups = groupsOf(points, map.getZoom());
    const focused = [...drawn.keys()].find((id) => drawn.get(id)?.mark.getElement() === document.activeElement);
    for (const [id, { mark }] of drawn) {
      if (groups.some((group) => group.id === id)) continue;
      mark.remove();
      drawn.delete(id);
    }
    if (!groups.some(({ id }) => id === current)) current = groups[0]?.id ?? "";
    for (const group of groups) {
      const said = JSON.stringify(group);
      const before = drawn.get(group.id);
      if (before?.said === said) continue;
      const mark = before?.mark ?? add(group);
      if (before) {
        mark.setIcon(groupIcon(group));
        mark.setTooltipContent(nameElement(group));
      }
      name(mark, group);
      drawn.set(group.id, { mark, group, said });
    }
    if (focused !== undefined) {
      const id = drawn.has(focused) ? focused : current;
      if (drawn.get(id)?.mark.getElement() !== document.activeElement) drawn.get(id)?.mark.getElement()?.focus();
    }
    enter(current);
  }

  map.on("zoomend", redraw);
  return {
    show(all: MapPoint[]) {
      points = all;
      redraw();
    },
  };
}
