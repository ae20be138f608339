// The rate and what remains: nothing is told before it is known, and a pause does not spoil it.
import { expect, it } from "vitest";
import { Meter } from "../src/upload/meter";

it("tells nothing before a second, then the rate of the last while", () => {
  const meter = new Meter();
  meter.add(0, 0);
  meter.add(500, 500);
  expect(meter.rate(500)).toBeNull();
  meter.add(2_000, 2_000);
  expect(meter.rate(2_000)).toBe(1_000);
  expect(meter.remaining(2_000, 12_000)).toBe(10_000);
  for (let second = 3; second <= 30; second += 1) meter.add(second * 1_000, 2_000 + (second - 2) * 100);
  expect(meter.rate(30_000)).toBe(100);
});

it("falls while nothing comes, and tells no time that remains then", () => {
  const meter = new Meter();
  meter.add(0, 0);
  meter.add(1_000, 1_000);
  expect(meter.rate(4_000)).toBe(250);
  meter.reset();
  meter.add(10_000, 1_000);
  meter.add(12_000, 1_000);
  expect(meter.rate(12_000)).toBe(0);
  expect(meter.remaining(12_000, 5_000)).toBeNull();
});

it("begins anew where bytes have to be sent again", () => {
  const meter = new Meter();
  meter.add(0, 0);
  meter.add(5_000, 9_000);
  meter.add(6_000, 8_000);
  meter.add(8_000, 9_000);
  expect(meter.rate(8_000)).toBe(500);
});
