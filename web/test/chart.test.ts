import { expect, it } from "vitest";
import type { HistoryPoint } from "../src/api/generated";
import { aligned, alone, busiest, ceiling, meanOf, ofSteps, paint, rangeOf, refreshAfter, summary, tick, written } from "../src/state/chart";

const point = (at: number, avg: number | null): HistoryPoint =>
  ({ at, cpu_percent: avg === null ? null : { min: 0, avg, max: 2 * avg }, memory_bytes: 5, disk_free_bytes: null }) as HistoryPoint;

it("shows the live range where the address names none, or one that does not exist", () => {
  expect(["", "1h", "9y"].map((text) => rangeOf(text).id)).toEqual(["live", "1h", "live"]);
});

it("asks for the past again when there can be another step, not sooner", () => {
  expect([refreshAfter(10_000), refreshAfter(300_000), refreshAfter(1)]).toEqual([10_000, 300_000, 10_000]);
});

it("has one place for each step of the range, at its middle, and a gap where nothing is known or nothing was answered", () => {
  const steps = aligned({ step_ms: 10_000, points: [point(1_000_000, 10), point(1_010_000, null), point(1_030_000, 30)] }, 1_003, 1_045);
  expect(steps.seconds).toEqual([1_005, 1_015, 1_025, 1_035, 1_045]);
  expect(ofSteps(steps, "cpu")).toEqual([10, null, null, 30, null]);
  expect(ofSteps(steps, "memory")).toEqual([5, 5, null, 5, null]);
  expect(ofSteps(steps, "received"), "an older control plane does not tell it").toEqual([null, null, null, null, null]);
  expect(steps.cpu[3]).toMatchObject({ min: 0, max: 60 });
});

it("makes dots of values that no line goes through", () => {
  expect(alone([1, null, 2, 3, null, null, 4])).toEqual([0, 6]);
  expect(alone([])).toEqual([]);
});

it("calls the latest value that only while it is one", () => {
  const values = [1, 5, 3, null, null, null];
  expect(summary({ values }, true)).toEqual({ latest: 3, min: 1, max: 5 });
  expect(summary({ values: [...values, null, null] }, true).latest).toBeNull();
  expect(summary({ values: [2], low: [1], high: [9] }, false)).toEqual({ latest: 2, min: 1, max: 9 });
  expect(summary({ values: [null] }, false)).toEqual({ latest: null, min: null, max: null });
});

it("draws the busiest, and does not change them for a trifle", () => {
  const means = new Map<string, number | null>([["a", 10], ["b", 12], ["c", null], ["d", 50]]);
  expect(busiest(means, [], 2)).toEqual(["b", "d"]);
  expect(busiest(means, ["a", "d"], 2), "b is busier by 2 only").toEqual(["a", "d"]);
  expect(busiest(means.set("b", 20), ["a", "d"], 2)).toEqual(["b", "d"]);
});

it("leaves a line its colour, and gives a new one a free colour", () => {
  const first = paint(["a", "b", "c"], new Map(), 5);
  expect([...first.values()]).toEqual([1, 2, 3]);
  const next = paint(["b", "d", "c"], first, 5);
  expect([next.get("b"), next.get("c"), next.get("d")]).toEqual([2, 3, 1]);
});

it("takes the mean of those that are known", () => {
  expect(meanOf([[1, null, null], [3, 4, null]])).toEqual([2, 4, null]);
  expect(meanOf([])).toEqual([]);
});

it("writes units, and wastes no digits at an axis", () => {
  expect([written(12.34, "percent"), written(2048, "bytes"), written(1536.4, "rate"), written(null, "rate")]).toEqual(["12.3 %", "2.0 KiB", "1.5 KiB/s", "–"]);
  expect([tick(50, "percent"), tick(512 * 1024 ** 2, "bytes"), tick(1536, "rate"), tick(0, "rate")]).toEqual(["50 %", "512 MiB", "1.5 KiB/s", "0 B/s"]);
});

it("ends an axis above the values, or at the most there can be", () => {
  expect(ceiling(null, "percent", 100)).toBe(100);
  expect(ceiling(130, "percent", 100)).toBe(130);
  expect(ceiling(200, "percent", null)).toBeCloseTo(220);
  expect(ceiling(null, "rate", null)).toBe(1024);
});
