// Alerts in words: how many and how long, as the badge and the tables say it.
import { expect, it } from "vitest";
import type { AlertView } from "../src/api/generated";
import { counted, kindWords, lasted } from "../src/state/alert-words";

const alert = (more: Partial<AlertView> = {}): AlertView => ({
  id: "a", kind: "disk_low", device: "d", container: null, text: "", raised_at: 1_000, cleared_at: null, acknowledged_at: null, acknowledged_by: null, ...more,
});

it("says nothing where nothing is wrong", () => {
  expect(counted([], false)).toBeNull();
});

it("counts those that nobody has seen, and says when all were", () => {
  const seen = alert({ acknowledged_at: 2 });
  expect(counted([alert(), seen, seen], false)).toMatchObject({ badge: "1", words: "3 active, 1 not seen" });
  expect(counted([seen, seen], false)).toMatchObject({ badge: "2", unseen: 0, words: "2 active, all seen" });
  expect(counted([alert(), alert()], true)).toMatchObject({ badge: "2+", words: "2+ active, 2+ not seen" });
});

it("tells of one that goes on apart from one that is over", () => {
  expect(lasted(alert(), 121_000)).toBe("2 min, goes on");
  expect(lasted(alert({ cleared_at: 61_000 }), 999_000)).toBe("1 min");
});

it("has words also for a kind that came later", () => {
  expect(kindWords("clock_wrong" as never)).toBe("clock wrong");
});
