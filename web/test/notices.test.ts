// Notices: errors stay, the rest goes, a flood stays small, and nothing is lost from the history but the oldest.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { notices } from "../src/state/notices.svelte";
import { historyWith, inSight, MAX_BRIEF, MAX_ERRORS, MAX_KEPT, nothingShown, shownWith, shownWithout, type Told } from "../src/state/told";

const told = (id: number, level: Told["level"], text = `notice ${id}`): Told => ({ id, level, text, at: id, count: 1 });

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  notices.dismissAll();
  notices.history = [];
  notices.toggle(false);
  vi.useRealTimers();
});

it("keeps what is in sight where it is in a flood, and counts the others", () => {
  const shown = Array.from({ length: 50 }, (_, id) => told(id, "info")).reduce(shownWith, nothingShown());
  const { notices: seen, more } = inSight(shown);
  expect(seen.map(({ id }) => id)).toEqual([0, 1]);
  expect(more).toBe(50 - MAX_BRIEF);
  // What found no room does not come up later as old news.
  expect(inSight(shownWithout(shownWithout(shown, 0), 1))).toEqual({ notices: [], more: 0 });
});

it("shows an error also while others are in sight, and the ones that wait when one is dismissed", () => {
  let shown = [told(1, "info"), told(2, "info")].reduce(shownWith, nothingShown());
  for (let id = 3; id < 9; id += 1) shown = shownWith(shown, told(id, "error"));
  expect(inSight(shown).notices.map(({ id }) => id)).toEqual([3, 4, 5, 1, 2]);
  expect(inSight(shown).more).toBe(6 - MAX_ERRORS);
  expect(inSight(shownWithout(shown, 3)).notices.map(({ id }) => id)).toEqual([4, 5, 6, 1, 2]);
});

it("counts what is told again instead of showing it twice", () => {
  const shown = [told(1, "error", "no"), told(2, "error", "no"), told(3, "error", "other")].reduce(shownWith, nothingShown());
  expect(inSight(shown).notices.map(({ text, count }) => [text, count])).toEqual([["no", 2], ["other", 1]]);
  const history = [told(1, "info", "a"), told(2, "info", "a"), told(3, "info", "b")].reduce(historyWith, []);
  expect(history.map(({ text, count, at }) => [text, count, at])).toEqual([["b", 1, 3], ["a", 2, 2]]);
});

it("keeps a bounded history, the newest", () => {
  const history = Array.from({ length: MAX_KEPT + 30 }, (_, id) => told(id, "info")).reduce(historyWith, [] as Told[]);
  expect(history).toHaveLength(MAX_KEPT);
  expect(history[0]?.id).toBe(MAX_KEPT + 29);
});

it("lets a success go and an error stay, and says how many are unread", async () => {
  notices.add("success", "web was started.");
  notices.add("error", "web was not started.");
  expect(notices.unread).toBe(2);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(notices.shown.map(({ text }) => text)).toEqual(["web was not started."]);
  expect(notices.history).toHaveLength(2);
  notices.toggle(true);
  expect(notices.unread).toBe(0);
});

it("lets nothing go while somebody is at it", async () => {
  notices.add("success", "web was started.");
  notices.hold();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(notices.shown).toHaveLength(1);
  notices.release();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(notices.shown).toHaveLength(0);
});

it("says once how many more a flood has, not at each one", async () => {
  const said: number[] = [];
  for (let index = 0; index < 50; index += 1) {
    notices.add("warning", `edge-${index} is degraded.`);
    if (notices.more !== said.at(-1)) said.push(notices.more);
    await vi.advanceTimersByTimeAsync(10);
  }
  await vi.advanceTimersByTimeAsync(2_000);
  said.push(notices.more);
  expect(said).toEqual([0, 48]);
});

it("what is told later takes the place of what has been seen, and a flood takes none", () => {
  const at = (id: number, time: number): Told => ({ ...told(id, "success"), text: `done ${id}`, at: time });
  let shown = [at(1, 0), at(2, 100), at(3, 5_000)].reduce(shownWith, nothingShown());
  expect(inSight(shown)).toEqual({ notices: [at(2, 100), at(3, 5_000)], more: 0 });
  for (let id = 4; id < 50; id += 1) shown = shownWith(shown, at(id, 5_010 + id));
  expect(inSight(shown).notices.map(({ id }) => id)).toEqual([3, 4]);
  expect(inSight(shown).more).toBe(45);
});
