// The live connection against a scripted router and control plane: what it does when one of them goes away.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type MigrationView, PROCEDURES, type SessionView, TOPICS } from "../src/api/generated";
import { account } from "../src/state/account.svelte";
import { live } from "../src/state/live.svelte";
import { notices } from "../src/state/notices.svelte";
import { route } from "../src/state/route.svelte";
import { move } from "./sample-move";
import { type Message, ScriptedSocket, welcome } from "./scripted-socket";

const HELLO = 1;
const GOODBYE = 6;
const SUBSCRIBE = 32;
const CALL = 48;

let joins = 0;
let subscriptions = new Map<string, number>();
let moveLists = 0;
let migrations: MigrationView[] = [];
let fleetAnswers: "lists" | "nothing" | "error" = "lists";
let session: SessionView;

function router(message: Message, answer: (message: Message) => void) {
  if (message[0] === HELLO) joins += 1;
  if (welcome(message, answer)) return;
  if (message[0] === GOODBYE && fleetAnswers !== "nothing") answer([GOODBYE, {}, "wamp.close.goodbye_and_out"]);
  if (message[0] === SUBSCRIBE) {
    subscriptions.set(message[3] as string, message[1] as number);
    answer([33, message[1], message[1]]);
  }
  if (message[0] !== CALL || fleetAnswers === "nothing") return;
  if (fleetAnswers === "error") answer([8, CALL, message[1], {}, "wamp.error.no_such_procedure"]);
  else if (message[3] === PROCEDURES.DeviceList) answer([50, message[1], {}, [{ devices: [], now: 1 }]]);
  else if (message[3] === PROCEDURES.MigrationHistory) {
    moveLists += 1;
    answer([50, message[1], {}, [{ migrations }]]);
  } else answer([50, message[1], {}, [{ containers: [] }]]);
}

const member = (tenant: string, role: "owner" | "viewer") => ({ tenant, tenant_name: tenant, role });

beforeEach(() => {
  vi.useFakeTimers();
  joins = moveLists = 0;
  migrations = [];
  subscriptions = new Map();
  fleetAnswers = "lists";
  ScriptedSocket.script = router;
  vi.stubGlobal("WebSocket", ScriptedSocket);
  const ticket = { wamp_url: "ws://router.test/", realm: "r", authid: "ann", ticket: "secret" };
  session = { email: "ann@x.test", admin: false, memberships: [member("acme", "owner"), member("other", "viewer")], expires_at: 1 };
  account.session = session;
  account.tenant = "acme";
  vi.stubGlobal("fetch", async (path: string) => new Response(JSON.stringify(path === "/api/session" ? session : ticket)));
});

afterEach(async () => {
  live.stop();
  account.session = account.tenant = null;
  route.name("");
  await vi.runOnlyPendingTimersAsync();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function connected() {
  live.start("acme");
  await vi.advanceTimersByTimeAsync(100);
  expect(live.connected).toBe(true);
}

it("joins again with a new ticket when the connection is closed, and repairs itself", async () => {
  await connected();
  ScriptedSocket.last.close();
  await vi.advanceTimersByTimeAsync(10);
  expect(live.connected).toBe(false);
  expect(live.brokenSince).not.toBeNull();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(live.connected).toBe(true);
  expect(live.brokenSince).toBeNull();
  expect(joins).toBe(2);
});

it("gives up a link that went silent although nobody closed it", async () => {
  await connected();
  fleetAnswers = "nothing";
  await vi.advanceTimersByTimeAsync(21_000);
  expect(live.brokenSince).not.toBeNull();
  fleetAnswers = "lists";
  await vi.advanceTimersByTimeAsync(30_000);
  expect(live.connected).toBe(true);
});

it("stays connected while only the control plane is away, and says so", async () => {
  await connected();
  fleetAnswers = "error";
  await vi.advanceTimersByTimeAsync(11_000);
  expect([live.connected, live.unlistedSince !== null]).toEqual([true, true]);
  fleetAnswers = "lists";
  await vi.advanceTimersByTimeAsync(11_000);
  expect(live.unlistedSince).toBeNull();
  expect(joins).toBe(1);
});

it("tells with a notice how an order ends that took longer", async () => {
  await connected();
  live.tellEnd("op-1", "web was created and runs.");
  const id = subscriptions.get(TOPICS.OperationEvents.replace("{device}", ""));
  const event = { device: "d", operation: "op-1", kind: "container.create", state: "done", phase: "starting", at: 1 };
  ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, id, 1, {}, [], event]) });
  await vi.advanceTimersByTimeAsync(300);
  expect(notices.history[0]).toMatchObject({ level: "success", text: "web was created and runs." });
});

it("draws numbers alone once a second, and leaves what is worked out from what there is as it is", async () => {
  await connected();
  await vi.advanceTimersByTimeAsync(3_000);
  const id = subscriptions.get(TOPICS.DeviceStats.replace("{device}", ""));
  const host = { cpu_percent: 1, memory_used_bytes: 1, memory_total_bytes: 1, disk_free_bytes: 1 };
  const before = { version: live.version, shape: live.shape };
  for (let time = 0; time < 2_000; time += 10) {
    ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, id, 1, {}, [], { device: "d", at: 1, host, containers: [] }]) });
    await vi.advanceTimersByTimeAsync(10);
  }
  expect(live.shape).toBe(before.shape);
  expect([2, 3]).toContain(live.version - before.version);
  expect(live.fleet.hosts.get("d")?.cpu_percent).toBe(1);
});

it("waits for the end of an operation, and does not wait in a tenant that was left", async () => {
  await connected();
  const id = subscriptions.get(TOPICS.OperationEvents.replace("{device}", ""));
  const ends = (operation: string, state: string, message?: string) => {
    const error = message ? { uri: "x", message, details: {} } : null;
    const event = { device: "d", operation, kind: "container.stop", state, phase: state, error, at: 1 };
    ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, id, 1, {}, [], event]) });
  };
  const told = ["good", "bad", "left"].map((operation) => live.ended(operation).then(() => "done", ({ message }) => message));
  ends("good", "running");
  ends("good", "done");
  ends("bad", "failed", "The engine did not answer.");
  live.stop();
  expect(await Promise.all(told)).toEqual(["done", "The engine did not answer.", expect.stringContaining("was not told")]);
});

it("follows a move by its events, and lists it anew where the end was missed: after a break, or while it is under way", async () => {
  await connected();
  const event = (view: MigrationView) =>
    ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, subscriptions.get(TOPICS.MigrationEvents), 1, {}, [], view]) });
  const state = () => live.fleet.moves.get("move-1")?.state;
  event(move({ phase: "sending" }));
  expect(state()).toBe("running");
  expect(moveLists).toBe(1);

  migrations = [move({ state: "failed", error: "cancelled" })];
  ScriptedSocket.last.close();
  await vi.advanceTimersByTimeAsync(2_000);
  expect([state(), moveLists]).toEqual(["failed", 2]);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(moveLists, "nothing is under way").toBe(2);

  event(move({ operation: "move-2" }));
  migrations = [move({ operation: "move-2", state: "done" })];
  await vi.advanceTimersByTimeAsync(11_000);
  expect(live.fleet.moves.get("move-2")?.state).toBe("done");
});

it("knows after a broken connection that one's role is another", async () => {
  await connected();
  session = { ...session, memberships: [member("acme", "viewer"), member("other", "viewer")] };
  ScriptedSocket.last.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([live.connected, account.mayChange]).toEqual([true, false]);
});

it("goes to another tenant, and says so, where somebody has taken the membership away", async () => {
  await connected();
  session = { ...session, memberships: [member("other", "viewer")] };
  const allowed = globalThis.fetch;
  const refusal = JSON.stringify({ status: 403, type: "x", detail: "You belong to no tenant acme." });
  let asked = 0;
  route.name("acme");
  vi.stubGlobal("fetch", async (path: string) => {
    if (path !== "/api/wamp-ticket") return allowed(path);
    asked += 1;
    return new Response(refusal, { status: 403 });
  });
  ScriptedSocket.last.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect([account.tenant, route.tenant, asked]).toEqual(["other", "", 1]);
  expect(notices.history[0]?.text).toBe("You do not belong to the tenant acme. This is other. An owner of acme can invite you.");
});

it("says once that the tenant is refused, and comes back when it is allowed again", async () => {
  await connected();
  const allowed = globalThis.fetch;
  const refusal = JSON.stringify({ status: 403, type: "x", detail: "You belong to no tenant acme." });
  vi.stubGlobal("fetch", async () => new Response(refusal, { status: 403 }));
  const before = notices.history.length;
  ScriptedSocket.last.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(notices.history.length - before).toBe(1);
  expect(live.brokenSince).not.toBeNull();
  vi.stubGlobal("fetch", allowed);
  live.retry();
  await vi.advanceTimersByTimeAsync(100);
  expect([live.connected, live.brokenSince]).toEqual([true, null]);
});
