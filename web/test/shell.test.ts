// The frame in a browser's document, against a scripted router: what a person with two tenants sees.
import { mount, unmount } from "svelte";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { PROCEDURES } from "../src/api/generated";
import { account } from "../src/state/account.svelte";
import { route } from "../src/state/route.svelte";
import Shell from "../src/views/Shell.svelte";
import { ScriptedSocket, welcome } from "./scripted-socket";
import { CALL, settle, SUBSCRIBE } from "./signed-in";

let devices: object[] = [];
let app: object;

beforeEach(() => {
  vi.useFakeTimers();
  ScriptedSocket.script = (message, answer) => {
    if (welcome(message, answer)) return;
    if (message[0] === SUBSCRIBE) answer([33, message[1], message[1]]);
    if (message[0] !== CALL) return;
    const lists = { containers: [], migrations: [] };
    answer([50, message[1], {}, [message[3] === PROCEDURES.DeviceList ? { devices, now: 1 } : lists]]);
  };
  vi.stubGlobal("WebSocket", ScriptedSocket);
  const ticket = { wamp_url: "ws://router.test/", realm: "r", authid: "ann", ticket: "t" };
  const token = { id: "id", secret: "secret-of-one", expires_at: 1 };
  vi.stubGlobal("fetch", async (path: string) => new Response(JSON.stringify(path.endsWith("join-tokens") ? token : ticket)));
  const membership = (tenant: string) => ({ tenant, tenant_name: tenant, role: "owner" as const });
  account.session = { email: "ann@x.test", admin: false, memberships: [membership("one"), membership("two")], expires_at: 1 };
  account.tenant = "one";
  route.view = "devices";
  route.query = new URLSearchParams("panel=enrol");
});

afterEach(async () => {
  await unmount(app);
  account.session = account.tenant = null;
  await vi.runOnlyPendingTimersAsync();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("shows neither a tenant's new secret nor its waiting in another tenant", async () => {
  devices = [];
  app = mount(Shell, { target: document.body });
  await settle();
  document.querySelector("main form")!.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await settle();
  expect(document.body.textContent).toContain("secret-of-one");
  expect(document.body.textContent).toContain("Waiting for the device");

  devices = [{ id: "d", name: "other", owner: "two", liveness: "connected", reasons: [], place: null, last_seen_at: 1, enrolled_at: 1, facts: null }];
  account.tenant = "two";
  await settle();
  expect(document.body.textContent).toContain("other");
  expect(document.body.textContent).not.toContain("secret-of-one");
  expect(document.body.textContent).not.toContain("is here");
});
