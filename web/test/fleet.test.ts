import { describe, expect, it } from "vitest";
import type { ContainerView, DeviceView, StatsEvent } from "../src/api/generated";
import {
  containerChanged,
  containersListed,
  cpuByApplication,
  currentCpu,
  devicesListed,
  emptyFleet,
  everyPlaced,
  findPlaced,
  type Fleet,
  FRESH,
  health,
  LIST_LAG,
  namedAndRest,
  operationChanged,
  statsArrived,
} from "../src/state/fleet";

function container(id: string, state: ContainerView["state"] = "running"): ContainerView {
  return {
    id,
    name: id,
    application: "web",
    image: "nginx:1",
    state,
    exit_code: null,
    created_at: 1,
    started_at: 1,
    ports: [],
    run_once: false,
  };
}

function ids(fleet: Fleet): string[] {
  return everyPlaced(fleet).map(({ view }) => view.id);
}

function stats(device: string, cpu: number | null, ids: string[]): StatsEvent {
  return {
    device,
    sequence: 1,
    at: 1,
    host: { cpu_percent: cpu, cores: 2, memory_used_bytes: 1, memory_total_bytes: 2, disk_free_bytes: 3 },
    containers: ids.map((id) => ({ id, name: id, application: "web", cpu_percent: cpu, memory_bytes: 1 })),
  };
}

describe("the fleet", () => {
  it("keeps numbers when the containers are listed anew, and forgets containers that are gone", () => {
    const fleet = emptyFleet();
    containersListed(fleet, [
      { device: "d", liveness: "connected", container: container("a") },
      { device: "d", liveness: "connected", container: container("b") },
    ], 0);
    statsArrived(fleet, stats("d", 12, ["a", "b"]), 1_000);
    containersListed(fleet, [{ device: "d", liveness: "connected", container: container("a") }], 0);
    expect(ids(fleet)).toEqual(["a"]);
    expect(currentCpu(findPlaced(fleet, "a")!, 1_000)).toBe(12);
  });

  it("does not show old numbers, or numbers of a stopped container, as current", () => {
    const fleet = emptyFleet();
    containersListed(fleet, [{ device: "d", liveness: "connected", container: container("a") }], 0);
    statsArrived(fleet, stats("d", 50, ["a"]), 1_000);
    expect(currentCpu(findPlaced(fleet, "a")!, 1_000 + FRESH)).toBeNull();
    containerChanged(fleet, { device: "d", change: "exited", container: container("a", "exited"), at: 2 }, 1_001);
    expect(currentCpu(findPlaced(fleet, "a")!, 1_001)).toBeNull();
  });

  it("sums CPU by application, and gives no number where there is none", () => {
    const fleet = emptyFleet();
    containersListed(fleet, [
      { device: "d", liveness: "connected", container: container("a") },
      { device: "d", liveness: "connected", container: container("b") },
      { device: "d", liveness: "connected", container: { ...container("c"), application: "idle" } },
    ], 0);
    statsArrived(fleet, stats("d", 20, ["a", "b"]), 1_000);
    const all = cpuByApplication(fleet, 1_000);
    expect(all).toEqual([
      { application: "web", cpu: 40, containers: 2 },
      { application: "idle", cpu: null, containers: 1 },
    ]);
    expect(namedAndRest(all, ["gone", "idle"])).toEqual({ named: [all[1]], rest: [all[0]] });
  });

  it("takes a deleted container out and a new one in", () => {
    const fleet = emptyFleet();
    containerChanged(fleet, { device: "d", change: "created", container: container("a", "created"), at: 1 }, 1);
    expect(everyPlaced(fleet).length).toBe(1);
    containerChanged(fleet, { device: "d", change: "deleted", container: container("a"), at: 2 }, 2);
    expect(everyPlaced(fleet).length).toBe(0);
  });

  it("believes a device rather than a list that may be older, and the list once it is newer", () => {
    const fleet = emptyFleet();
    const placed = (id: string) => ({ device: "d", liveness: "connected" as const, container: container(id) });
    containersListed(fleet, [placed("old")], 0);
    containerChanged(fleet, { device: "d", change: "deleted", container: container("old"), at: 1 }, 1_000);
    containerChanged(fleet, { device: "d", change: "started", container: container("new"), at: 1 }, 1_000);
    containersListed(fleet, [placed("old")], 1_000 + LIST_LAG);
    expect(ids(fleet)).toEqual(["new"]);
    containersListed(fleet, [placed("old")], 1_001 + LIST_LAG);
    expect(ids(fleet)).toEqual(["old"]);
  });

  it("counts devices by liveness, and drops the history of a device that is gone", () => {
    const fleet = emptyFleet();
    const device = (id: string, liveness: DeviceView["liveness"]): DeviceView => ({
      id,
      name: id,
      place: null,
      owner: "acme",
      liveness,
      reasons: [],
      last_seen_at: null,
      enrolled_at: 1,
      facts: null,
    });
    statsArrived(fleet, stats("gone", 5, []), 1_000);
    devicesListed(fleet, [device("a", "connected"), device("b", "offline")], 5_000, 1_000);
    expect(health(fleet)).toMatchObject({ connected: 1, offline: 1, stale: 0 });
    expect(fleet.history.has("gone")).toBe(false);
    expect(fleet.clockAhead).toBe(4_000);
  });

  it("keeps running operations however many have ended", () => {
    const fleet = emptyFleet();
    const event = (operation: string, state: "running" | "done") => ({
      device: "d",
      operation,
      kind: "image.pull",
      state,
      phase: state,
      bytes_done: null,
      bytes_total: null,
      container_id: null,
      error: null,
      at: 1,
    });
    operationChanged(fleet, event("running", "running"), 0);
    for (let n = 0; n < 1000; n += 1) operationChanged(fleet, event(`n${n}`, "done"), n);
    expect(fleet.operations.has("running")).toBe(true);
    expect(fleet.operations.size).toBeLessThan(220);
  });

  it("gives up an operation whose device went away for good", () => {
    const fleet = emptyFleet();
    const event = {
      device: "d",
      operation: "lost",
      kind: "image.pull",
      state: "running" as const,
      phase: "pulling",
      bytes_done: null,
      bytes_total: null,
      container_id: null,
      error: null,
      at: 1,
    };
    operationChanged(fleet, event, 0);
    operationChanged(fleet, { ...event, operation: "later" }, 3_600_000);
    expect([...fleet.operations.keys()]).toEqual(["later"]);
  });
});
