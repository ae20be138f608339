import { expect, it } from "vitest";
import type { ContainerView, DeviceFacts, GeoPlace, ImageView } from "../src/api/generated";
import { capability, clockWords, deviceChange, placeText, referencesOf, usersOf } from "../src/state/device-facts";
import type { Placed } from "../src/state/fleet";

const facts = (migration?: DeviceFacts["migration"]) => ({ architecture: "x86_64", ...(migration ? { migration } : {}) }) as DeviceFacts;
const image = (...tags: string[]): ImageView => ({ id: "sha256:0123456789abcdef", tags, size_bytes: 1, created_at: 1 });
const placed = (image: string) => ({ device: "d", view: { name: image, image } as ContainerView, stats: null }) as Placed;

it("speaks of a clock only where it is off", () => {
  expect(clockWords(undefined)).toBe("");
  expect(clockWords(-1_500)).toBe("");
  expect(clockWords(90_000)).toBe("1 min ahead");
  expect(clockWords(-5_000)).toBe("5 s behind");
});

// “Not tried” must not read as “cannot”, and “cannot” must say what to do.
it("tells whether containers move live, why not, and what to do", () => {
  expect(capability(null).live).toBeNull();
  expect(capability(facts()).live).toBeNull();
  expect(capability(facts({ live: true, reason: null, cgroup_version: 2 })).live).toBe(true);
  const cannot = capability(facts({ live: false, reason: "criu is not installed", cgroup_version: 2 }));
  expect(cannot.live).toBe(false);
  expect(cannot.sentences[0]).toBe("Criu is not installed.");
  expect(cannot.sentences.join(" ")).toContain("ecep-agent setup");
});

it("finds what was made from an image by tag, by id, and where the tag was left out", () => {
  const there = [placed("web:1"), placed("sha256:0123456789abcdef"), placed("web"), placed("host:5000/web")];
  const users = (...tags: string[]) => usersOf(image(...tags), there).map(({ view }) => view.name);
  expect(users("web:1")).toEqual(["web:1", "sha256:0123456789abcdef"]);
  expect(users("web:latest")).toEqual(["sha256:0123456789abcdef", "web"]);
  expect(users("host:5000/web:latest")).toEqual(["sha256:0123456789abcdef", "host:5000/web"]);
});

// An engine refuses to delete by its id what has two names.
it("deletes an image by each of its tags", () => {
  expect(referencesOf(image("a:1", "b:1"))).toEqual(["a:1", "b:1"]);
  expect(referencesOf(image())).toEqual(["sha256:0123456789abcdef"]);
});

it("sends only what was changed of a device", () => {
  const now = { name: "edge-1", place: "Hall 3" };
  const berlin: GeoPlace = { name: "Berlin", country: "DE", region: null, lat: 52.5, lon: 13.4, population: 3_000_000 };
  expect(deviceChange(now, " edge-1 ", "Hall 3", null)).toBeNull();
  expect(deviceChange(now, "edge-2", "Hall 3", null)).toEqual({ name: "edge-2" });
  expect(deviceChange(now, "edge-1", "", null)).toEqual({ place: "" });
  expect(deviceChange(now, "edge-1", "Hall 3", berlin)).toEqual({ location: { lat: 52.5, lon: 13.4 } });
  expect(placeText({ ...berlin, population: 0 })).toBe("near Berlin, DE");
});
