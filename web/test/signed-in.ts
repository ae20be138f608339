// What tests of panels share: a person who is signed in to one tenant, and a scripted router that answers.
import { flushSync, mount, unmount, type Component } from "svelte";
import { vi } from "vitest";
import type { DeviceView, Role } from "../src/api/generated";
import { account } from "../src/state/account.svelte";
import { live } from "../src/state/live.svelte";
import { ScriptedSocket } from "./scripted-socket";

export const SUBSCRIBE = 32;
export const CALL = 48;

export function device(id: string, liveness: DeviceView["liveness"] = "connected"): DeviceView {
  return { id, name: `edge-${id}`, place: null, owner: "one", liveness, reasons: [], last_seen_at: 1, enrolled_at: 1, facts: null };
}

/** The router answers by this script, the control plane gives a ticket for it, and time stands still. */
export function script(router: typeof ScriptedSocket.script) {
  vi.useFakeTimers();
  ScriptedSocket.script = router;
  vi.stubGlobal("WebSocket", ScriptedSocket);
  const ticket = { wamp_url: "ws://router.test/", realm: "r", authid: "ann", ticket: "t" };
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(ticket)));
}

/** Everything that is under way comes to its end. */
export async function settle() {
  await vi.advanceTimersByTimeAsync(500);
  flushSync();
}

/** Opens a panel as a person with this role in the tenant. */
export async function opened(panel: Component, role: Role): Promise<object> {
  account.session = { email: "ann@x.test", admin: false, memberships: [{ tenant: "one", tenant_name: "One", role }], expires_at: 1 };
  account.tenant = "one";
  live.start("one");
  const app = mount(panel, { target: document.body });
  await settle();
  return app;
}

/** Undoes all of it. */
export async function leave(app: object) {
  await unmount(app);
  live.stop();
  account.session = account.tenant = null;
  await vi.runOnlyPendingTimersAsync();
  vi.useRealTimers();
  vi.unstubAllGlobals();
}
