// The frame in a browser's document, against a scripted router: what a person with two tenants sees.
import { mount, unmount } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { PROCEDURES } from "../src/api/generated";
import { account } from "../src/state/account.svelte";
import { live } from "../src/state/live.svelte";
import { notices } from "../src/state/notices.svelte";
import { order } from "../src/state/orders";
import { route } from "../src/state/route.svelte";
import Shell from "../src/views/Shell.svelte";
import { ScriptedSocket, welcome } from "./scripted-socket";
import { CALL, settle, SUBSCRIBE } from "./signed-in";

/** A page is loaded when it is gone to, which takes a busy machine its time; in milliseconds, far beyond what it does. */
const SLOW = 60_000;
vi.setConfig({ testTimeout: 2 * SLOW });

let devices: object[] = [];
/** What was called, and by which connection. */
let calls: { uri: unknown; by: ScriptedSocket }[] = [];
let app: object;

beforeEach(() => {
  vi.useFakeTimers();
  calls = [];
  ScriptedSocket.script = (message, answer) => {
    if (welcome(message, answer)) return;
    if (message[0] === SUBSCRIBE) answer([33, message[1], message[1]]);
    if (message[0] !== CALL) return;
    calls.push({ uri: message[3], by: ScriptedSocket.last });
    const lists = { containers: [], migrations: [], kept: [], alerts: [], next: null };
    answer([50, message[1], {}, [message[3] === PROCEDURES.DeviceList ? { devices, now: 1 } : lists]]);
  };
  vi.stubGlobal("WebSocket", ScriptedSocket);
  const ticket = { wamp_url: "ws://router.test/", realm: "r", authid: "ann", ticket: "t" };
  const token = { id: "id", secret: "secret-of-one", expires_at: Date.now() + 3_600_000 };
  const answers: Record<string, unknown> = { "join-tokens": token, shares: [] };
  vi.stubGlobal("fetch", async (path: string) => new Response(JSON.stringify(answers[path.split("/").pop() ?? ""] ?? ticket)));
  const membership = (tenant: string) => ({ tenant, tenant_name: tenant, role: "owner" as const });
  account.session = { email: "ann@x.test", admin: false, memberships: [membership("one"), membership("two")], expires_at: 1 };
  account.tenant = "one";
  route.view = "devices";
  route.query = new URLSearchParams("panel=enrol");
});

afterEach(async () => {
  await unmount(app);
  notices.forget();
  account.session = account.tenant = null;
  route.name("");
  await vi.runOnlyPendingTimersAsync();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Until a page shows it: the first one of a view is read from the disk, in real time, which a busy machine may take long for. */
const loaded = (seen: () => void) => vi.waitFor(seen, SLOW);

/** Until the page with this title has been loaded, and has asked what it asks. */
async function page(title: string) {
  await loaded(() => expect(document.querySelector("h1")?.textContent).toBe(title));
  await settle();
}

it("shows neither a tenant's new secret nor its waiting in another tenant", async () => {
  devices = [];
  app = mount(Shell, { target: document.body });
  await settle();
  await page("Devices");
  document.querySelector("main form")!.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await settle();
  expect(document.body.textContent).toContain("secret-of-one");
  expect(document.body.textContent).toContain("Waiting for the device");

  devices = [{ id: "d", name: "other", owner: "two", liveness: "connected", reasons: [], place: null, last_seen_at: 1, enrolled_at: 1, facts: null }];
  account.tenant = "two";
  await settle();
  await page("Devices");
  expect(document.body.textContent).toContain("other");
  expect(document.body.textContent).not.toContain("secret-of-one");
  expect(document.body.textContent).not.toContain("is here");
});

it("asks for nothing by the connection to the tenant that was left", async () => {
  devices = [{ id: "d", name: "edge", owner: "one", liveness: "connected", reasons: [], place: null, last_seen_at: 1, enrolled_at: 1, facts: null }];
  route.view = "containers";
  route.query = new URLSearchParams("panel=move");
  app = mount(Shell, { target: document.body });
  await settle();
  await page("Containers");
  const asked = PROCEDURES.KeptListing.replace("{device}", "d");
  expect(calls.map(({ uri }) => uri)).toContain(asked);
  const left = ScriptedSocket.last;
  calls = [];
  account.tenant = "two";
  await settle();
  await page("Containers");
  expect(calls.filter(({ by }) => by === left)).toEqual([]);
  expect(calls.map(({ uri }) => uri)).toContain(asked);
});

it("names the tenant in the address, and goes where the address says", async () => {
  app = mount(Shell, { target: document.body });
  await page("Devices");
  const select = () => document.querySelector<HTMLSelectElement>("#tenant")!;
  select().value = "two";
  select().dispatchEvent(new Event("change", { bubbles: true }));
  await page("Devices");
  expect([location.hash, account.tenant]).toEqual(["#/devices?tenant=two", "two"]);

  const link = document.querySelector<HTMLAnchorElement>('nav a[href="#/containers"]')!;
  link.dispatchEvent(new Event("pointerdown", { bubbles: true }));
  expect(link.hash, "in a tab of its own it is the same tenant").toBe("#/containers?tenant=two");
  route.go("#/containers");
  await page("Containers");
  expect(location.hash).toBe("#/containers?tenant=two");

  route.go("#/alerts?tenant=one");
  await page("Alerts");
  expect([account.tenant, select().value]).toEqual(["one", "one"]);
  link.dispatchEvent(new Event("pointerdown", { bubbles: true }));
  expect(link.getAttribute("href"), "also what was named before").toBe("#/containers?tenant=one");
  route.go("#/alerts?tenant=unknown");
  await settle();
  expect([account.tenant, location.hash]).toEqual(["one", "#/alerts?tenant=one"]);
  expect(document.body.textContent).toContain("You do not belong to the tenant unknown.");
});

it("takes nothing along into another tenant", async () => {
  route.view = "alerts";
  route.query = new URLSearchParams("which=all&after=page-of-one");
  app = mount(Shell, { target: document.body });
  await loaded(() => expect(calls.some(({ uri }) => uri === PROCEDURES.AlertListing)).toBe(true));
  await page("Alerts");
  notices.add("error", "The disk of edge-1 is full.");
  await settle();
  expect(document.body.textContent).toContain("The disk of edge-1 is full.");

  const before = calls.length;
  const select = document.querySelector<HTMLSelectElement>("#tenant")!;
  select.value = "two";
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await settle();
  expect(calls.slice(before).some(({ uri }) => uri === PROCEDURES.AlertListing)).toBe(true);
  expect(route.query.toString(), "a page of the one is none of the other").toBe("");
  expect(document.body.textContent).not.toContain("The disk of edge-1 is full.");
});

it("tells of an order of another tenant that it was there, and tells it to nobody else", async () => {
  app = mount(Shell, { target: document.body });
  await loaded(() => expect(live.connected).toBe(true));
  const script = ScriptedSocket.script;
  ScriptedSocket.script = (message, answer) => {
    if (message[3] !== PROCEDURES.ContainerStop.replace("{device}", "d")) script(message, answer);
  };
  const stop = () => order("ContainerStop", "d", { container: "c" }, "web was stopped.").catch(() => undefined);
  const first = stop();
  account.tenant = "two";
  await vi.advanceTimersByTimeAsync(20_000);
  await first;
  expect(notices.history.map(({ text }) => text)).toEqual([expect.stringMatching(/^one: /)]);

  const second = stop();
  notices.forget();
  account.session = { ...account.session!, email: "bob@x.test" };
  await vi.advanceTimersByTimeAsync(20_000);
  await second;
  expect(notices.history).toEqual([]);
});
