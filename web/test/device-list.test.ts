import { describe, expect, it } from "vitest";
import type { ContainerView, DeviceView, HostStats } from "../src/api/generated";
import { filterRows, freeName, movesOf, parseSort, pressed, rowsOf, sortRows, sortText } from "../src/state/device-list";
import { containersListed, devicesListed, emptyFleet, FRESH } from "../src/state/fleet";

const device = (name: string, more: Partial<DeviceView> = {}): DeviceView => ({
  id: `id-${name}`, name, place: null, owner: "acme", liveness: "connected", reasons: [], last_seen_at: 1, enrolled_at: 1, facts: null, ...more,
});
const host = (cpu: number | null): HostStats => ({ cores: 4, cpu_percent: cpu, memory_used_bytes: 1, memory_total_bytes: 4, disk_free_bytes: 9 });
const row = (name: string, cpu: number | null, more: Partial<DeviceView> = {}) => ({
  device: device(name, more), host: cpu === null ? null : host(cpu), running: 0, containers: 0, moves: movesOf(null),
});
const names = (rows: { device: DeviceView }[]) => rows.map((one) => one.device.name);

describe("rows", () => {
  // Numbers of a device that went silent would look like those of one that idles.
  it("count what runs where, and forget numbers that are old", () => {
    const fleet = emptyFleet();
    devicesListed(fleet, [device("a"), device("b")], 0, 0);
    const container = (id: string, state: ContainerView["state"]) => ({ device: "id-a", liveness: "connected" as const, container: { id, state } as ContainerView });
    containersListed(fleet, [container("c1", "running"), container("c2", "exited")], 0);
    fleet.hosts.set("id-a", { ...host(5), arrived: 1_000 });
    const [a, b] = rowsOf(fleet, 1_000 + FRESH - 1);
    expect(a).toMatchObject({ running: 1, containers: 2, host: { cpu_percent: 5 } });
    expect(b).toMatchObject({ running: 0, containers: 0, host: null });
    expect(rowsOf(fleet, 1_000 + FRESH)[0]?.host).toBeNull();
  });
});

describe("sorting", () => {
  it("puts what is not known last both ways, and equals by name as people count", () => {
    const rows = [row("edge-10", 5), row("edge-2", 5), row("silent", null), row("busy", 90)];
    expect(names(sortRows(rows, { column: "cpu", down: true }))).toEqual(["busy", "edge-2", "edge-10", "silent"]);
    expect(names(sortRows(rows, { column: "cpu", down: false }))).toEqual(["edge-2", "edge-10", "busy", "silent"]);
    expect(names(sortRows(rows, parseSort("")))).toEqual(["busy", "edge-2", "edge-10", "silent"]);
  });

  it("begins by state with what needs somebody", () => {
    const rows = [row("fine", 1), row("gone", null, { liveness: "offline" }), row("ill", 1, { liveness: "degraded" })];
    expect(names(sortRows(rows, parseSort("state")))).toEqual(["gone", "ill", "fine"]);
  });

  it("stands in the address, and an address that says nonsense is by name", () => {
    for (const text of ["", "-name", "cpu", "-cpu", "moves"]) expect(sortText(parseSort(text))).toBe(text);
    expect(parseSort("-nonsense")).toEqual({ column: "name", down: false });
    expect(pressed(parseSort(""), "cpu")).toEqual({ column: "cpu", down: true });
    expect(pressed(parseSort("-cpu"), "cpu")).toEqual({ column: "cpu", down: false });
  });
});

it("filters by state and by whatever a person knows of a device", () => {
  const rows = [
    row("a", 1, { place: "San José" }),
    row("b", 1, { liveness: "offline", share: { owner_name: "Beta GmbH", granted: { terms: { quota: {}, allow: [] }, is_ending: false } } }),
  ];
  expect(names(filterRows(rows, " san j", ""))).toEqual(["a"]);
  expect(names(filterRows(rows, "beta", ""))).toEqual(["b"]);
  expect(names(filterRows(rows, "", "offline"))).toEqual(["b"]);
  expect(names(filterRows(rows, "san", "offline"))).toEqual([]);
});

it("proposes a name that none has", () => {
  expect(freeName(["edge-1", "edge-3"])).toBe("edge-2");
});
