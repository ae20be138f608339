// What is known and offered of checkpoints: names, what devices answered, where each can go.
import { describe, expect, it } from "vitest";
import type { CheckpointView, ContainerState, ContainerView, DeviceView, OperationEvent } from "../src/api/generated";
import {
  type Answer,
  atWork,
  checkName,
  destinations,
  type Found,
  gather,
  losesFiles,
  targets,
  toAsk,
  whyNotRestored,
  whyNotSaved,
} from "../src/state/checkpoints";
import { emptyFleet, type Fleet, operationChanged } from "../src/state/fleet";
import { move } from "./sample-move";

function device(id: string, liveness: DeviceView["liveness"] = "connected"): DeviceView {
  return { id, name: `edge-${id}`, place: null, owner: "one", liveness, reasons: [], last_seen_at: 1_000, enrolled_at: 1, facts: null };
}

function container(id: string, state: ContainerState = "exited", image = "i"): ContainerView {
  return { id, name: id, application: "web", image, state, exit_code: null, created_at: 1, started_at: 1, ports: [], run_once: false };
}

function checkpoint(name: string, created_at = 1, directory: string | null = null): CheckpointView {
  return { container: "c", name, directory, image: "i", bytes: 1, created_at };
}

function found(name: string, device: string, directory: string | null = null): Found {
  return { ...checkpoint(name, 1, directory), device };
}

function fleetOf(...devices: DeviceView[]): Fleet {
  const fleet = emptyFleet();
  for (const one of devices) fleet.devices.set(one.id, one);
  return fleet;
}

function operation(parts: Partial<OperationEvent>): OperationEvent {
  return { device: "a", operation: "o", kind: "container.checkpoint", state: "done", phase: "done", bytes_done: null, bytes_total: null, container_id: null, error: null, at: 1, ...parts };
}

describe("the name of a checkpoint", () => {
  it("is accepted and refused as the devices do it, and the sentence points at the character", () => {
    for (const good of ["a", "0", "before-update-2", "x".repeat(63)]) expect(checkName(good, "The name")).toBeNull();
    for (const bad of ["", ".", "..", "a.b", "a/b", "a b", "-a", "a-", "-", "A", "é", "a\n", "x".repeat(64)]) {
      expect(checkName(bad, "The name"), JSON.stringify(bad)).toMatch(/^The name /);
    }
    expect(checkName("web_1", "The directory")).toContain("The directory has “_” at place 4");
    expect(checkName("😀", "The name")).toContain("“😀” at place 1");
  });
});

describe("what the devices have", () => {
  it("is asked of those in reach, and again after a save or a copy there has ended, however it ended", () => {
    const fleet = fleetOf(device("a"), device("b", "degraded"), device("c", "stale"), device("d", "never"));
    expect([...toAsk(fleet)]).toEqual([["a", ""], ["b", ""]]);
    operationChanged(fleet, operation({ operation: "save", state: "running" }), 1);
    operationChanged(fleet, operation({ operation: "stop", kind: "container.stop" }), 1);
    expect(toAsk(fleet).get("a")).toBe("");
    operationChanged(fleet, operation({ operation: "save", state: "failed" }), 2);
    operationChanged(fleet, operation({ operation: "copy", device: "b", kind: "container.checkpoint.copy" }), 2);
    operationChanged(fleet, operation({ operation: "elsewhere", device: "c" }), 2);
    expect([...toAsk(fleet)]).toEqual([["a", "save"], ["b", "copy"]]);
  });

  it("is gathered with the newest first, and tells which devices are away, failed or still asked", () => {
    const fleet = fleetOf(device("a"), device("b"), device("c"), device("d", "offline"), device("e", "never"));
    const answers = new Map<string, Answer>([
      ["a", { checkpoints: [checkpoint("late", 30), checkpoint("early", 10)] }],
      ["b", { checkpoints: [checkpoint("middle", 20)] }],
      ["d", { checkpoints: [checkpoint("from-before", 40)] }],
    ]);
    const before = gather(fleet, answers, 6_000);
    expect(before.found.map(({ name, device }) => [name, device])).toEqual([["late", "a"], ["middle", "b"], ["early", "a"]]);
    expect(before.away).toEqual([{ device: "d", why: "offline, last seen 5 s ago" }]);
    expect([before.waiting, before.failed]).toEqual([true, []]);
    const after = gather(fleet, answers.set("c", { why: "No answer." }), 6_000);
    expect([after.waiting, after.failed]).toEqual([false, [{ device: "c", why: "No answer." }]]);
  });

  it("is at work only while an operation on checkpoints runs", () => {
    const fleet = fleetOf(device("a"));
    operationChanged(fleet, operation({ operation: "pull", kind: "image.pull", state: "running" }), 1);
    expect(atWork(fleet)).toBe(false);
    operationChanged(fleet, operation({ kind: "container.restore", state: "running" }), 1);
    expect(atWork(fleet)).toBe(true);
    operationChanged(fleet, operation({ kind: "container.restore", state: "done" }), 2);
    expect(atWork(fleet)).toBe(false);
  });
});

describe("what can be done", () => {
  it("saves only what runs, and restores only into what is stopped", () => {
    const states: ContainerState[] = ["created", "running", "paused", "restarting", "exited", "dead", "removing"];
    expect(states.filter((state) => whyNotSaved(container("c", state)) === null)).toEqual(["running"]);
    expect(states.filter((state) => whyNotRestored(container("c", state)) === null)).toEqual(["created", "exited", "dead"]);
    expect(whyNotRestored(container("c", "running"))).toBe("it runs; stop it first");
  });

  it("restores into other stopped containers of the same image on the device that has it", () => {
    const fleet = fleetOf(device("a"), device("b"));
    const put = (at: string, view: ContainerView) => fleet.containers.set(`${at} ${view.id}`, { device: at, view, stats: null });
    put("a", container("c"));
    put("a", container("twin-2"));
    put("a", container("twin-1", "created"));
    put("a", container("busy", "running"));
    put("a", container("other-image", "exited", "j"));
    put("b", container("elsewhere"));
    expect(targets(fleet, found("x", "a")).map(({ view }) => view.id)).toEqual(["twin-1", "twin-2"]);
  });

  it("asks before files are replaced, and does not where there are none", () => {
    const volume = { volume: "data", target: "/data", read_only: false };
    expect(losesFiles(container("c", "created"), [], [])).toBe(false);
    expect(losesFiles(container("c", "created"), [], [volume])).toBe(true);
    expect(losesFiles(container("c", "created"), [move()], [])).toBe(true);
    expect(losesFiles(container("c", "exited"), [], [])).toBe(true);
  });

  it("copies to other devices, and says which cannot get it and why", () => {
    const fleet = fleetOf(device("a"), device("d", "offline"), device("b"), device("e"));
    const all = [found("x", "a"), found("x", "b"), found("x", "e", "big")];
    expect(destinations(fleet, all[0]!, all, 6_000)).toEqual([
      { id: "b", name: "edge-b", not: "has one of that name" },
      { id: "d", name: "edge-d", not: "offline, last seen 5 s ago" },
      { id: "e", name: "edge-e", not: null },
    ]);
  });
});
