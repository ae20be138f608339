// What the palette offers to whom, and that what was typed finds it: accents, order of words, ranking, bounds.
import { expect, it } from "vitest";
import { entriesOf, fold, MAX_RESULTS, type Places, search } from "../src/state/palette";

const places = (more: Partial<Places> = {}): Places => ({
  pages: [
    { view: "overview", title: "Overview" },
    { view: "applications", title: "Applications" },
    { view: "containers", title: "Containers" },
    { view: "devices", title: "Devices" },
    { view: "audit", title: "Audit log" },
  ],
  person: { mayChange: true, isOwner: true },
  devices: [{ id: "d1", name: "München-Süd", place: "Munich" }],
  containers: [
    { id: "c1", name: "web", application: "shop", device: "München-Süd", runs: true },
    { id: "c2", name: "web-cache", application: "shop", device: "München-Süd", runs: false },
    { id: "c3", name: "camera", application: "camera", device: "edge-2", runs: true },
  ],
  applications: ["shop", "camera"],
  ...more,
});
const titles = (typed: string, more: Partial<Places> = {}) => search(entriesOf(places(more)), typed).entries.map(({ title }) => title);

it("finds by letters without their accents, and the other way round", () => {
  expect(fold("Ångström Straße Łódź")).toBe("angstrom strasse lodz");
  expect(titles("munchen sud")[0]).toBe("München-Süd");
  expect(titles("MÜNCHEN")[0]).toBe("München-Süd");
});

it("takes words in any order, and wants all of them", () => {
  expect(titles("logs camera")[0]).toBe("Logs: camera");
  expect(titles("camera log")[0]).toBe("Logs: camera");
  expect(titles("camera nowhere")).toEqual([]);
});

it("puts the exact name first, then what begins with it, and things before what is done with them", () => {
  const found = titles("web");
  expect(found.slice(0, 2)).toEqual(["web", "web-cache"]);
  expect(found.slice(2).every((title) => title.includes(":"))).toBe(true);
});

it("shows an action first where it was named", () => {
  expect(titles("move web")[0]).toBe("Move: web");
  expect(titles("restart")[0]).toBe("Restart a container");
  expect(titles("shell camera")[0]).toBe("Terminal: camera");
});

it("offers nobody what the role does not allow, nor a terminal where nothing runs", () => {
  const viewer = entriesOf(places({ person: { mayChange: false, isOwner: false } })).map(({ title }) => title);
  expect(viewer).toContain("Logs: camera");
  for (const title of ["Terminal: camera", "Restart: camera", "Create a container", "Enrol a device", "Deploy shop"]) {
    expect(viewer).not.toContain(title);
  }
  expect(entriesOf(places()).map(({ title }) => title)).not.toContain("Terminal: web-cache");
});

it("goes to panels and never does anything itself", () => {
  const all = entriesOf(places());
  expect(all.every(({ href }) => href.startsWith("#/"))).toBe(true);
  expect(all.find(({ title }) => title === "Restart: web")?.href).toBe("#/containers?panel=restart&container=c1");
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
});

it("shows pages and panels where nothing was typed", () => {
  expect(titles("")[0]).toBe("Overview");
  expect(titles(" ")).not.toContain("web");
});

it("stays bounded with a large fleet, and says how many there are", () => {
  const containers = Array.from({ length: 1_000 }, (_, index) => ({ id: `c${index}`, name: `service-${index}`, application: "shop", device: "edge-1", runs: true }));
  const found = search(entriesOf(places({ containers })), "service");
  expect(found.entries).toHaveLength(MAX_RESULTS);
  expect(found.total).toBe(8_000);
  expect(search(entriesOf(places({ containers })), "service-77").entries[0]?.title).toBe("service-77");
});
