import { expect, it } from "vitest";
import { backoff } from "../src/wamp/backoff";

it("grows to its cap, so that a router that is back is neither stormed nor missed for minutes", () => {
  const waits = Array.from({ length: 20 }, (_, attempt) => backoff(attempt, 1));
  expect(waits[0]).toBe(500);
  expect(Math.max(...waits)).toBe(8_000);
  expect(backoff(3, 0)).toBe(backoff(3, 1) / 2);
});
