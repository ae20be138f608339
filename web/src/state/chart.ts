// What a chart against time shows: which range, which lines, in which steps, with which words. Pure.
import type { StatsHistory } from "../api/generated";
import { bytes, percent } from "./format";
import { type Load, ofPoint, type Quantity } from "./load";

export type Values = (number | null)[];
/** Values of a line; `low` and `high` where it has a band. */
export interface Line {
  values: Values;
  low?: Values;
  high?: Values;
}
/** What is drawn: all lines have one value for each of `seconds`, which lie `from` … `to`. */
export interface Drawn {
  from: number;
  to: number;
  seconds: number[];
  lines: Line[];
}
export type Unit = "percent" | "bytes" | "rate";

export const RANGES = [
  { id: "live", label: "Live", words: "the last 5 minutes", seconds: 300 },
  { id: "1h", label: "1 h", words: "the last hour", seconds: 3_600 },
  { id: "24h", label: "24 h", words: "the last 24 hours", seconds: 86_400 },
  { id: "7d", label: "7 d", words: "the last 7 days", seconds: 7 * 86_400 },
  { id: "30d", label: "30 d", words: "the last 30 days", seconds: 30 * 86_400 },
] as const;
export type Range = (typeof RANGES)[number];

/** The range that an address names; the live one where it names none. */
export function rangeOf(text: string): Range {
  return RANGES.find(({ id }) => id === text) ?? RANGES[0];
}

/** Agents summarize ten seconds at a time, so nothing new is known any sooner. */
const SOONEST = 10_000;
/** When the past is to be asked for again, in milliseconds: when there can be another step, but not for the whole of a month. */
export function refreshAfter(step_ms: number): number {
  return Math.max(SOONEST, step_ms);
}

/**
 * The steps of a history that lie in the range, each by its middle, in seconds. A step that was not answered is a gap like one
 * without values.
 */
export interface Steps {
  seconds: number[];
  loads: (Load | null)[];
  cpu: ({ min: number; max: number } | null)[];
}
export function aligned({ points, step_ms }: StatsHistory, from: number, to: number): Steps {
  const known = new Map(points.map((point) => [Math.floor(point.at / step_ms), point]));
  const steps: Steps = { seconds: [], loads: [], cpu: [] };
  for (let number = Math.floor((from * 1000) / step_ms); number * step_ms < to * 1000; number += 1) {
    const point = known.get(number);
    steps.seconds.push(((number + 0.5) * step_ms) / 1000);
    steps.loads.push(point ? ofPoint(point) : null);
    steps.cpu.push(point?.cpu_percent ?? null);
  }
  return steps;
}

export function ofSteps(steps: Steps, quantity: Quantity): Values {
  return steps.loads.map((load) => load?.[quantity] ?? null);
}

/** Values with a gap on both sides: no line goes through them, so they are drawn as dots. */
export function alone(values: ArrayLike<number | null | undefined>): number[] {
  const known = (index: number) => values[index] !== null && values[index] !== undefined;
  return Array.from({ length: values.length }, (_, index) => index).filter(
    (index) => known(index) && !known(index - 1) && !known(index + 1),
  );
}

/** The latest known value is only the latest if it is among so many last ones: agents' ticks and summaries come late. */
const LATE = { live: 4, steps: 3 };
export interface Summary {
  latest: number | null;
  min: number | null;
  max: number | null;
}
export function summary({ values, low, high }: Line, isLive: boolean): Summary {
  const known = (all: Values) => all.filter((value) => value !== null);
  const [lows, highs] = [known(low ?? values), known(high ?? values)];
  return {
    latest: known(values.slice(isLive ? -LATE.live : -LATE.steps)).at(-1) ?? null,
    min: lows.length === 0 ? null : Math.min(...lows),
    max: highs.length === 0 ? null : Math.max(...highs),
  };
}

/** A place among the lines is given up only to one that is busier by this much, in percent: lines must not come and go. */
const BUSIER = 5;
/** The busiest `most`, of which those drawn `before` stay as long as no other is clearly busier; in the order of `means`. */
export function busiest(means: Map<string, number | null>, before: string[], most: number): string[] {
  const weight = (id: string) => (means.get(id) ?? -1) + (before.includes(id) ? BUSIER : 0);
  const chosen = [...means.keys()].sort((a, b) => weight(b) - weight(a) || a.localeCompare(b)).slice(0, most);
  return [...means.keys()].filter((id) => chosen.includes(id));
}

/** Gives each a colour, 1 … `count`: the one that it had, else the first that is free. */
export function paint(ids: string[], before: Map<string, number>, count: number): Map<string, number> {
  const colours = new Map<string, number>();
  for (const id of ids) {
    const had = before.get(id);
    if (had !== undefined && had <= count) colours.set(id, had);
  }
  for (const id of ids) {
    if (colours.has(id)) continue;
    const taken = new Set(colours.values());
    const free = Array.from({ length: count }, (_, index) => index + 1).find((colour) => !taken.has(colour));
    colours.set(id, free ?? 1);
  }
  return colours;
}

/** The mean at each moment of those that are known then. */
export function meanOf(all: Values[]): Values {
  return (all[0] ?? []).map((_, index) => {
    const known = all.map((values) => values[index] ?? null).filter((value) => value !== null);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  });
}

export function written(value: number | null, unit: Unit): string {
  if (unit === "percent") return percent(value);
  if (value === null) return "–";
  return `${bytes(Math.round(value))}${unit === "rate" ? "/s" : ""}`;
}

/** As beside an axis, where no digits are wasted. */
export function tick(value: number, unit: Unit): string {
  return unit === "percent" ? `${value} %` : written(value, unit).replace(/\.0(?= )/, "");
}

/** Steps that an axis may have: round in the unit that is written. */
const PERCENTS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000];
const POWERS = Array.from({ length: 51 }, (_, power) => 2 ** power);
export function increments(unit: Unit): number[] {
  return unit === "percent" ? PERCENTS : POWERS;
}

/** Even an idle machine's chart has some height: of what is below, nothing is worth seeing. */
const LEAST: Record<Unit, number> = { percent: 5, bytes: 1024 * 1024, rate: 1024 };
/** Where an axis ends: at `top` where that is the most there can be, else above the highest value. */
export function ceiling(highest: number | null, unit: Unit, top: number | null): number {
  return Math.max(top ?? LEAST[unit], (highest ?? 0) * (top === null ? 1.1 : 1));
}
