// What is said of deployments, placements and runs.
import { expect, it } from "vitest";
import type { ContainerView, Deployed, OperationEvent, RunView } from "../src/api/generated";
import { deploymentSentence, deviceProgress, matching, placementSentence, runWords, sourceWords, unlisted } from "../src/state/applications";
import { placed } from "./sample-containers";

const container: ContainerView = {
  id: "c", name: "web", application: "web", image: "i", state: "running", exit_code: null, created_at: 1, started_at: 1, ports: [], run_once: false,
};
const deployed: Deployed = { device: "d", operation: "o", error: null, container_id: null };
const told = (state: OperationEvent["state"], phase: string, message?: string): OperationEvent => ({
  device: "d", operation: "o", kind: "app.deploy", state, phase, bytes_done: 5, bytes_total: null, container_id: null,
  error: message === undefined ? null : { uri: "ecep.error.engine" as const, message, details: {} }, at: 1,
});

it("follows a deployment on a device to its end, also where that was missed", () => {
  const states = [
    deviceProgress(deployed, undefined, undefined),
    deviceProgress(deployed, told("running", "building"), undefined),
    deviceProgress(deployed, told("failed", "failed", "No room."), undefined),
    deviceProgress(deployed, told("done", "done"), { device: "d", view: container, stats: null }),
    deviceProgress(deployed, undefined, { device: "d", view: container, stats: null }),
    deviceProgress({ ...deployed, error: "It is offline." }, undefined, undefined),
  ];
  expect(states.map(({ state, words }) => `${state}: ${words}`)).toEqual([
    "waiting: has the order",
    "running: builds the image",
    "failed: No room.",
    "done: web is running",
    "done: web is running",
    "failed: It is offline.",
  ]);
  expect(states[1]?.bytes).toEqual({ done: 5, total: null });
  expect(deploymentSentence(states)).toBe("Under way: done on 2 of 6 devices, failed on 2.");
  expect(deploymentSentence(states.filter(({ state }) => state === "done"))).toBe("Deployed on 2 devices.");
  expect(deploymentSentence(states.filter(({ state }) => state === "done" || state === "failed"))).toBe("Deployed on 2 of 4 devices, failed on 2.");
});

it("says where it would go, and that it can go nowhere", () => {
  const candidate = (device: string, chosen: boolean) => ({ device, chosen, reasons: [], distance_km: null });
  const nameOf = (device: string) => `edge-${device}`;
  expect(placementSentence([], nameOf)).toBe("There is no device to look at.");
  expect(placementSentence([candidate("a", false)], nameOf)).toBe("No device can take it.");
  expect(placementSentence([candidate("a", true), candidate("b", false)], nameOf)).toBe("It would go to edge-a.");
  expect(placementSentence(["a", "b", "c", "d"].map((device) => candidate(device, true)), nameOf)).toBe("It would go to 4 devices.");
});

it("tells how a run ended", () => {
  const run = (exit_code: number | null, oom_killed = false): RunView => ({
    device: "d", container: { ...container, exit_code }, oom_killed, log: null, results: null, lost: null, ended_at: 1,
  });
  expect([run(0), run(3), run(137, true), run(null)].map(runWords)).toEqual(["well (0)", "exit code 3", "out of memory (137)", "ended"]);
});

it("finds applications by name and by what was said of a version", () => {
  const version = { number: 1, source: { kind: "image" as const, image: "nginx:1" }, note: "second camera", bytes: null, architectures: [], added_at: 1 };
  const settings = { env: {}, ports: [], volumes: [], limits: {}, restart: "no" as const, tty: false, run_once: false, privileges: { privileged: false, cap_add: [], devices: [], binds: [], security_opt: [] } };
  const list = [{ name: "web", versions: [], created_at: 1 }, { name: "eye", versions: [{ ...version, settings }], created_at: 1 }];
  expect(matching(list, " CAMERA ").map(({ name }) => name)).toEqual(["eye"]);
  expect(matching(list, "").map(({ name }) => name)).toEqual(["eye", "web"]);
  expect(sourceWords(version.source)).toBe("nginx:1");
});

it("names once, in order, of what containers are that is no application here", () => {
  const of = (application: string) => placed(application, { application });
  expect(unlisted([{ name: "web", versions: [], created_at: 1 }], [of("web"), of("eye"), of("counter"), of("eye")])).toEqual(["counter", "eye"]);
});
