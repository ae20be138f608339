// The table of containers: its order, its pages, and that a selection never holds what nobody sees.
import { describe, expect, it } from "vitest";
import {
  arranged, type Known, PAGE, pageOf, parseSort, pressed, remaining, sortText, stateCounts, UNREACHABLE,
} from "../src/state/container-table";
import { placed } from "./sample-containers";
import { device } from "./signed-in";

const all = [
  placed("b", { application: "web", state: "exited" }, "10"),
  placed("a", { application: "web" }, "2"),
  placed("c", { application: "camera", image: "Registry/Thing:1" }, "gone"),
];
const numbers = new Map<string, number>([["a", 5], ["b", 50]]);
const known: Known = {
  device: (id) => (id === "gone" ? device(id, "offline") : device(id)),
  number: ({ view }) => numbers.get(view.id) ?? null,
};
const ids = (more: { filter?: string; state?: string; sort?: string }) =>
  arranged(all, { filter: more.filter ?? "", state: more.state ?? "", sort: parseSort(more.sort ?? "") }, known).map(({ view }) => view.id);

describe("the order", () => {
  it("is by application and name, unless the address says another", () => {
    expect(ids({})).toEqual(["c", "a", "b"]);
    expect(ids({ sort: "nonsense" })).toEqual(["c", "a", "b"]);
    expect(ids({ sort: "-container" })).toEqual(["c", "b", "a"]);
  });

  it("takes numbers within names as numbers", () => {
    expect(ids({ sort: "device" })).toEqual(["a", "b", "c"]);
  });

  it("puts what has no number last, whichever way", () => {
    expect(ids({ sort: "-cpu" })).toEqual(["b", "a", "c"]);
    expect(ids({ sort: "cpu" })).toEqual(["a", "b", "c"]);
  });

  it("begins with the largest number, and turns round when pressed again", () => {
    const once = pressed(parseSort(""), "cpu");
    expect(sortText(once)).toBe("-cpu");
    expect(sortText(pressed(once, "cpu"))).toBe("cpu");
    expect(sortText(pressed(once, "application"))).toBe("");
    expect(sortText(pressed(parseSort(""), "application"))).toBe("-application");
  });
});

describe("the filter", () => {
  it("looks into every text, whatever its case", () => {
    expect(ids({ filter: " registry " })).toEqual(["c"]);
    expect(ids({ filter: "edge-2" })).toEqual(["a"]);
  });

  it("takes a state, or what is out of reach, and both at once", () => {
    expect(ids({ state: "exited" })).toEqual(["b"]);
    expect(ids({ state: UNREACHABLE })).toEqual(["c"]);
    expect(ids({ state: "running", filter: "web" })).toEqual(["a"]);
    expect(stateCounts(all, known)).toEqual([["exited", 1], ["running", 2], [UNREACHABLE, 1]]);
  });
});

describe("pages", () => {
  const rows = Array.from({ length: 2 * PAGE + 1 }, (_, index) => index);

  it("say which rows they hold", () => {
    expect(pageOf(rows, "2")).toMatchObject({ page: 2, pages: 3, from: PAGE + 1, to: 2 * PAGE });
    expect(pageOf(rows, "3").rows).toEqual([2 * PAGE]);
    expect(pageOf([], "")).toMatchObject({ page: 1, pages: 1, from: 0, to: 0 });
  });

  it("are the nearest that there is", () => {
    expect(["9", "-1", "x", "", "1.5", "1e999"].map((asked) => pageOf(rows, asked).page)).toEqual([3, 1, 1, 1, 1, 1]);
  });
});

describe("a selection", () => {
  it("outlives a new order and new objects, and loses what is hidden or gone", () => {
    const selected = new Set(["a", "c"]);
    expect(remaining(selected, [...all].reverse().map((one) => ({ ...one })))).toBe(selected);
    expect([...remaining(selected, all.slice(0, 2))]).toEqual(["a"]);
    expect(remaining(selected, []).size).toBe(0);
  });
});
