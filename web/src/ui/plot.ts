// How uPlot is set up for a chart against time. Knows nothing of what is drawn but its unit and its lines.
import uPlot from "uplot";
import { alone, ceiling, increments, tick, type Drawn, type Unit } from "../state/chart";

/** What a line is called and how it looks; `colour` is the number of a series' token. */
export interface Style {
  id: string;
  label: string;
  colour: number;
  /** Tells a second line from the first without its colour. */
  dashed?: boolean;
  /** It has a lowest and a highest value beside its own. */
  banded?: boolean;
}

export const HEIGHT = 180;
const LEAST_WIDTH = 200;
/** The same for all charts, so that those above each other have the same moments above each other. */
const AXIS_WIDTH = 76;
const AXIS_HEIGHT = 28;
/** Half of the widest moment, such as “05:22 AM”, which may stand at the right end. */
const RIGHT = 30;
const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;
/** Seconds between marks of the time. */
const TIMES = [
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR),
  ...[1, 2, 5, 10].map((days) => days * DAY),
];
/** How thick a band's colour is, as the last two digits of it. */
const BAND = "38";

export function widthOf(host: HTMLElement): number {
  return Math.max(host.clientWidth, LEAST_WIDTH);
}

function moment(seconds: number, increment: number): string {
  const date = new Date(seconds * 1000);
  return increment >= DAY
    ? date.toLocaleDateString([], { day: "numeric", month: "short" })
    : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** The columns of all lines: each its own, and of one with a band also the highest and the lowest. */
export function columns({ seconds, lines }: Drawn): uPlot.AlignedData {
  return [seconds, ...lines.flatMap(({ values, low, high }) => (low && high ? [values, high, low] : [values]))] as uPlot.AlignedData;
}

interface Wanted {
  host: HTMLElement;
  styles: Style[];
  unit: Unit;
  /** Charts of one group show the same moment under the cursor. */
  group: string;
  /** The most that there can be, where there is such. */
  top: () => number | null;
  /** What is drawn now; only its range is looked at. */
  drawn: () => Drawn | null;
  /** The place of the moment under the cursor, if there is one. */
  oncursor: (index: number | null) => void;
}

export function plot({ host, styles, unit, group, top, drawn, oncursor }: Wanted): uPlot {
  const colour = (name: string) => getComputedStyle(host).getPropertyValue(name).trim();
  const font = `12px ${getComputedStyle(host).fontFamily}`;
  const axis = { font, stroke: () => colour("--muted"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false } };
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  for (const style of styles) {
    const ink = () => colour(`--series-${style.colour}`);
    series.push({
      label: style.label,
      stroke: ink,
      width: 2,
      dash: style.dashed ? [6, 4] : [],
      spanGaps: false,
      points: { show: false, size: 5, fill: ink, filter: (self, index) => alone(self.data[index] ?? []) },
    });
    if (!style.banded) continue;
    const edge: uPlot.Series = { width: 0, spanGaps: false, points: { show: false } };
    bands.push({ series: [series.length, series.length + 1], fill: () => `${ink()}${BAND}` });
    series.push(edge, { ...edge });
  }
  return new uPlot(
    {
      width: widthOf(host),
      height: HEIGHT,
      padding: [null, RIGHT, null, null],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, sync: { key: group }, points: { size: 7 } },
      scales: {
        x: { time: true, range: () => [drawn()?.from ?? 0, drawn()?.to ?? 1] },
        y: { range: (_, __, highest) => [0, ceiling(Number.isFinite(highest) ? highest : null, unit, top())] },
      },
      axes: [
        {
          ...axis,
          incrs: TIMES,
          space: 76,
          size: AXIS_HEIGHT,
          values: (_, ticks, __, ___, increment) => ticks.map((seconds) => moment(seconds, increment)),
        },
        { ...axis, incrs: increments(unit), space: 36, size: AXIS_WIDTH, values: (_, ticks) => ticks.map((value) => tick(value, unit)) },
      ],
      series,
      bands,
      hooks: { setCursor: [(self) => oncursor(self.cursor.idx ?? null)] },
    },
    [[], ...series.slice(1).map(() => [])] as unknown as uPlot.AlignedData,
    host,
  );
}
