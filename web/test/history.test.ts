import { describe, expect, it } from "vitest";
import type { HistoryPoint } from "../src/api/generated";
import { add, column, secondsTo, seed, SPAN, Track } from "../src/state/history";
import type { Load } from "../src/state/load";

const NOTHING: Load = { cpu: null, memory: null, free: null, received: null, sent: null, read: null, written: null };
const cpu = (value: number): Load => ({ ...NOTHING, cpu: value });
const point = (at: number, avg: number | null): HistoryPoint => ({
  ...({ network_received_bytes_per_s: null, network_sent_bytes_per_s: null, disk_read_bytes_per_s: null, disk_written_bytes_per_s: null } as object),
  at: at * 1000,
  cpu_percent: avg === null ? null : { min: avg - 1, avg, max: avg + 1 },
  memory_bytes: null,
  disk_free_bytes: null,
});

describe("what is told now", () => {
  it("bridges one missing second, since ticks come a little early or late", () => {
    const track = new Track();
    add(track, 100, cpu(10));
    add(track, 102, cpu(20));
    expect(track.get(101)?.cpu).toBe(15);
    expect(track.get(101)?.memory, "what is not known is not made up").toBeNull();
  });

  it("leaves a longer silence as a gap", () => {
    const track = new Track();
    add(track, 100, cpu(10));
    add(track, 103, cpu(20));
    expect(column(track, [100, 101, 102, 103], "cpu")).toEqual([10, null, null, 20]);
  });

  it("stays bounded", () => {
    const track = new Track();
    for (let second = 0; second < 10 * SPAN; second += 1) add(track, second, cpu(1));
    expect(track.seconds().length).toBeLessThanOrEqual(SPAN + 1);
  });

  it("forgets what lies ahead once the clock is set back", () => {
    const track = new Track();
    for (let second = 10_000; second < 10_000 + SPAN; second += 1) add(track, second, cpu(1));
    for (let second = 5_000; second < 5_000 + 2 * SPAN; second += 1) add(track, second, cpu(1));
    expect(track.seconds().length).toBeLessThanOrEqual(SPAN + 1);
    expect(Math.max(...track.seconds())).toBe(5_000 + 2 * SPAN - 1);
  });
});

describe("what was kept", () => {
  it("fills what is not known, in straight lines, and never what was told", () => {
    const track = new Track();
    add(track, 1_005, cpu(99));
    seed(track, { step_ms: 10_000, points: [point(1_000, 10), point(1_010, 20)] }, 1_030);
    expect(track.get(1_005)?.cpu).toBe(99);
    expect(column(track, [1_000, 1_010, 1_015, 1_019], "cpu")).toEqual([10, 15, 20, 20]);
    expect(track.has(1_020), "nothing is known after the last step").toBe(false);
  });

  it("leaves a step without values as a gap, and bends no line into it", () => {
    const track = new Track();
    seed(track, { step_ms: 10_000, points: [point(1_000, 10), point(1_010, null), point(1_020, 40)] }, 1_030);
    expect(column(track, [1_009, 1_010, 1_019, 1_020], "cpu")).toEqual([10, null, null, 40]);
  });

  it("draws no mean of minutes by the second: the device may not have been there", () => {
    const track = new Track();
    seed(track, { step_ms: 300_000, points: [point(900, 45), point(1_200, 45)] }, 1_230);
    expect(track.seconds()).toEqual([]);
  });

  it("reaches neither further back than what is drawn nor ahead", () => {
    const track = new Track();
    const points = Array.from({ length: 100 }, (_, index) => point(1_000 + index * 10, 1));
    seed(track, { step_ms: 10_000, points }, 1_500);
    expect([Math.min(...track.seconds()), Math.max(...track.seconds())]).toEqual([1_500 - SPAN, 1_500]);
    expect(column(track, secondsTo(1_500), "cpu").every((value) => value === 1)).toBe(true);
  });
});
