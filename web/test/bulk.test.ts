// One order to many containers: what it fits, and that none is begun, lost or told wrongly.
import { describe, expect, it } from "vitest";
import type { ContainerState } from "../src/api/generated";
import { AT_ONCE, planned, question, succeeded, summary, type Target, workThrough } from "../src/state/bulk";
import { placed } from "./sample-containers";
import { device } from "./signed-in";

const target = (number: number): Target => ({ container: `c${number}`, device: "d", name: `c${number} on edge-d` });
const targets = (count: number) => Array.from({ length: count }, (_, number) => target(number));

describe("what an order fits", () => {
  const all = (["running", "exited", "paused", "removing", "dead"] as ContainerState[]).map((state) => placed(state, { state }));
  const ids = (order: Parameters<typeof planned>[0]) => planned(order, all, () => device("d")).targets.map(({ container }) => container);

  it("is what can follow on its state", () => {
    expect(ids("start")).toEqual(["exited", "dead"]);
    expect(ids("stop")).toEqual(["running", "paused"]);
    expect(ids("restart")).toEqual(["running", "paused"]);
    expect(ids("delete")).toEqual(["running", "exited", "paused", "dead"]);
  });

  it("is nothing on a device out of reach, and the question says what is left out and why", () => {
    const plan = planned("delete", [placed("a"), placed("b", {}, "far")], (id) => device(id, id === "far" ? "offline" : "connected"));
    expect(plan.targets).toEqual([{ container: "a", device: "d", name: "a on edge-d" }]);
    expect(question("delete", plan)).toContain("Left as it is: b on edge-far (edge-far is offline).");
  });
});

describe("working through", () => {
  it("has at most four under way, and every target once", async () => {
    let atWork = 0;
    let most = 0;
    const sent: string[] = [];
    const ended = await workThrough("stop", targets(50), async ({ container }) => {
      sent.push(container);
      most = Math.max(most, (atWork += 1));
      await Promise.resolve();
      await Promise.resolve();
      atWork -= 1;
    });
    expect(most).toBe(AT_ONCE);
    expect(sent).toEqual(targets(50).map(({ container }) => container));
    expect(ended).toMatchObject({ done: 50, failures: [], spared: 0, isOver: true });
  });

  it("goes on after a failure, and keeps its reason", async () => {
    const send = async ({ container }: Target) => {
      if (container === "c1") throw new Error("The engine does not answer.");
    };
    const ended = await workThrough("restart", targets(6), send);
    expect(ended.failures).toEqual([{ target: target(1), reason: "The engine does not answer." }]);
    expect(succeeded(targets(6), ended), "what failed stays selected").toEqual(["c0", "c2", "c3", "c4", "c5"]);
    expect(summary(ended)).toBe("5 of 6 containers were restarted, 1 failed.");
  });

  it("begins no more once it is enough, and says how many it spared", async () => {
    let enough = false;
    const ended = await workThrough(
      "delete",
      targets(10),
      async () => undefined,
      ({ done }) => (enough = done >= 3),
      () => enough,
    );
    expect(ended.done + ended.spared).toBe(10);
    expect(ended.spared).toBeGreaterThan(0);
    expect(succeeded(targets(10), ended)).toEqual(targets(ended.done).map(({ container }) => container));
    expect(summary(ended)).toContain("not begun");
  });

  it("tells how far it is, and at last that it is over", async () => {
    const told: [number, boolean][] = [];
    await workThrough("start", targets(2), async () => undefined, ({ done, isOver }) => told.push([done, isOver]));
    expect(told).toEqual([[0, false], [1, false], [2, false], [2, true]]);
  });
});
