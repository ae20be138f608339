import { expect, it } from "vitest";
import { add, columns, SPAN } from "../src/state/history";

it("bridges one missing second, since ticks come a little early or late", () => {
  const series = new Map();
  add(series, 100, 10);
  add(series, 102, 20);
  expect(series.get(101)).toBe(15);
});

it("leaves a longer silence as a gap", () => {
  const series = new Map();
  add(series, 100, 10);
  add(series, 103, 20);
  const [seconds, values] = columns([series], 103);
  const at = (second: number) => values![seconds.indexOf(second)];
  expect([at(100), at(101), at(102), at(103)]).toEqual([10, null, null, 20]);
});

it("stays bounded", () => {
  const series = new Map();
  for (let second = 0; second < 10 * SPAN; second += 1) add(series, second, 1);
  expect(series.size).toBeLessThanOrEqual(SPAN + 1);
});

it("forgets what lies ahead once the browser's clock is set back", () => {
  const series = new Map();
  for (let second = 10_000; second < 10_000 + SPAN; second += 1) add(series, second, 1);
  for (let second = 5_000; second < 5_000 + 2 * SPAN; second += 1) add(series, second, 1);
  expect(series.size).toBeLessThanOrEqual(SPAN + 1);
  expect(Math.max(...series.keys())).toBe(5_000 + 2 * SPAN - 1);
});
