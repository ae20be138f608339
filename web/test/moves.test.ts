import { describe, expect, it } from "vitest";
import type { ContainerChange, ContainerView, DeviceView, MigrationPhase } from "../src/api/generated";
import { containerChanged, containersListed, emptyFleet, everyPlaced, type Fleet, findPlaced, LIST_LAG } from "../src/state/fleet";
import { asSentence, liveMoves, phaseSentence, resultSentence, verdictSentence, whyNotThere } from "../src/state/move-words";
import { holder, type Moves, movesListed, movesOf, moveTold, underWay } from "../src/state/moves";
import { move } from "./sample-move";

const nameOf = (device: string) => `edge-${device}`;

describe("moves", () => {
  it("takes the newest of each, and never an end back, though figures still come after it", () => {
    const moves: Moves = new Map();
    moveTold(moves, move({ phase: "sending" }), 1);
    moveTold(moves, move({ state: "done", phase: "finishing" }), 2);
    moveTold(moves, move({ phase: "sending" }), 3);
    expect(moves.get("move-1")?.state).toBe("done");
    moveTold(moves, move({ state: "done", phase: "finishing", downtime_ms: 840 }), 4);
    expect(moves.get("move-1")?.downtime_ms).toBe(840);
  });

  it("believes an event rather than a list that was asked for earlier, and a list where an event was missed", () => {
    const moves: Moves = new Map();
    moveTold(moves, move(), 100);
    expect(movesListed(moves, [], 100).size).toBe(1);
    expect(movesListed(moves, [move({ state: "done" })], 50).get("move-1")?.state).toBe("running");
    expect(movesListed(moves, [move({ state: "done" })], 101).get("move-1")?.state).toBe("done");
  });

  it("lists those of one container newest first, and those under way", () => {
    const moves = movesListed(
      new Map(),
      [
        move({ operation: "old", started_at: 1, state: "done" }),
        move({ operation: "new", started_at: 3 }),
        move({ operation: "other", container: "x", started_at: 2, state: "failed" }),
      ],
      0,
    );
    expect(movesOf(moves, "c").map(({ operation }) => operation)).toEqual(["new", "old"]);
    expect(underWay(moves).map(({ operation }) => operation)).toEqual(["new"]);
  });

  it("keeps moves under way however many have ended", () => {
    const moves: Moves = new Map();
    moveTold(moves, move({ operation: "running" }), 0);
    for (let n = 0; n < 500; n += 1) moveTold(moves, move({ operation: `n${n}`, state: "done", started_at: n }), n);
    expect(moves.has("running")).toBe(true);
    expect(moves.has("n499")).toBe(true);
    expect(moves.size).toBeLessThanOrEqual(201);
  });

  it("says where a container is: at the source until the decision, and where it was if the move failed", () => {
    const at = (parts: Parameters<typeof move>[0]) => holder(movesListed(new Map(), [move(parts)], 0), "c");
    expect(at({ phase: "committing" })).toBe("a");
    expect(at({ phase: "finishing" })).toBe("b");
    expect(at({ state: "done", phase: "finishing" })).toBe("b");
    expect(at({ state: "failed", phase: "sending" })).toBe("a");
    expect(at({ container: "other" })).toBeNull();
  });
});

describe("a container that moves", () => {
  const view = (state: ContainerView["state"]): ContainerView => ({
    id: "c",
    name: "web",
    application: "web",
    image: "nginx:1",
    state,
    exit_code: null,
    created_at: 1,
    started_at: 1,
    ports: [],
    run_once: false,
  });
  function tell(fleet: Fleet, device: string, change: ContainerChange, state: ContainerView["state"], now = 1) {
    containerChanged(fleet, { device, change, container: view(state), at: now }, now);
  }
  function moving(phase: MigrationPhase): Fleet {
    const fleet = emptyFleet();
    containersListed(fleet, [{ device: "a", liveness: "connected", container: view("running") }], 0);
    moveTold(fleet.moves, move({ phase }), 0);
    return fleet;
  }
  const devices = (fleet: Fleet) => everyPlaced(fleet).map(({ device }) => device);

  it("does not vanish when the source's end of it is told after the destination's beginning", () => {
    const fleet = moving("finishing");
    tell(fleet, "b", "created", "running");
    tell(fleet, "b", "started", "running");
    tell(fleet, "a", "exited", "exited");
    expect(devices(fleet)).toEqual(["b"]);
    tell(fleet, "a", "deleted", "exited");
    expect(devices(fleet)).toEqual(["b"]);
    expect(findPlaced(fleet, "c")?.view.state).toBe("running");
  });

  it("does not vanish when the source's end is told first, nor through a list that is older", () => {
    const fleet = moving("committing");
    tell(fleet, "a", "deleted", "paused", 1_000);
    expect(devices(fleet)).toEqual(["b"]);
    containersListed(fleet, [{ device: "a", liveness: "connected", container: view("paused") }], 1_001);
    expect(devices(fleet)).toEqual(["b"]);
    tell(fleet, "b", "created", "running", 1_500);
    expect(findPlaced(fleet, "c")).toMatchObject({ device: "b", view: { state: "running" } });
    containersListed(fleet, [], 1_501 + LIST_LAG);
    expect(devices(fleet)).toEqual([]);
  });

  it("is shown once, at the source before the decision and at the destination after it", () => {
    const fleet = moving("restoring");
    tell(fleet, "b", "created", "created");
    expect(devices(fleet)).toEqual(["a"]);
    moveTold(fleet.moves, move({ phase: "finishing" }), 2);
    expect(devices(fleet)).toEqual(["b"]);
  });

  it("is gone when it is deleted where it is", () => {
    const fleet = moving("finishing");
    moveTold(fleet.moves, move({ state: "done", phase: "finishing" }), 1);
    tell(fleet, "b", "created", "running");
    tell(fleet, "a", "deleted", "exited");
    tell(fleet, "b", "deleted", "exited");
    expect(devices(fleet)).toEqual([]);
  });
});

describe("what is said of a move", () => {
  it("has words for every phase, and says of a cold move that it is stopped", () => {
    const phases: MigrationPhase[] = ["preparing", "copying", "freezing", "saving", "sending", "restoring", "committing", "finishing"];
    const said = phases.map((phase) => phaseSentence(move({ phase }), nameOf));
    expect(new Set(said).size).toBe(phases.length);
    for (const sentence of said) expect(sentence).toMatch(/^[A-Za-z].*\.$/);
    expect(phaseSentence(move({ phase: "freezing", mode: "cold" }), nameOf)).toMatch(/stopped/);
    expect(phaseSentence(move({ phase: "sending", mode: "cold" }), nameOf)).not.toMatch(/emory/);
    expect(phaseSentence(move({ phase: "freezing", went_cold: true }), nameOf)).toMatch(/stopped/);
  });

  it("says how it ended", () => {
    expect(resultSentence(move({ state: "done" }), nameOf)).toBe("web moved from edge-a to edge-b.");
    const options = { ...move().options, keep_source: true };
    expect(resultSentence(move({ state: "done", went_cold: true, options }), nameOf)).toBe(
      "web moved from edge-a to edge-b, cold, since it would have stood still for too long. A stopped copy stays on edge-a.",
    );
    expect(resultSentence(move({ state: "failed", error: "cancelled" }), nameOf)).toBe(
      "web was not moved to edge-b and is on edge-a still: cancelled",
    );
  });

  it("promises no memory for a container that does not run", () => {
    expect(verdictSentence("live", true, "b")).toMatch(/memory/);
    expect(verdictSentence("live", false, "b")).not.toMatch(/memory/);
    expect(verdictSentence("cold", true, "b")).toMatch(/only cold/);
    expect(verdictSentence("refused", true, "b")).toMatch(/cannot move/);
  });

  it("makes sentences of what devices find", () => {
    expect(asSentence("port 80 is taken; free it first")).toBe("Port 80 is taken; free it first.");
    expect(asSentence("It works.")).toBe("It works.");
  });

  it("says why nothing can go to a device, and whether its containers move live", () => {
    const device = (liveness: DeviceView["liveness"], last: number | null = null) =>
      ({ liveness, last_seen_at: last }) as DeviceView;
    expect([whyNotThere(device("connected"), 0), whyNotThere(device("degraded"), 0)]).toEqual([null, null]);
    expect(whyNotThere(device("offline", 1_000), 301_000)).toBe("offline, last seen 5 min ago");
    expect(whyNotThere(device("never"), 0)).toMatch(/never seen/);
    const facts = (migration?: object) => ({ migration }) as Parameters<typeof liveMoves>[0];
    expect(liveMoves(facts())).toBe("not tried yet");
    expect(liveMoves(facts({ live: true, reason: null }))).toBe("yes");
    expect(liveMoves(facts({ live: false, reason: "criu is missing" }))).toBe("no: criu is missing");
  });
});
