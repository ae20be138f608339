// The WAMP session against a scripted router: what goes over the wire, and what becomes of what comes back.
import { afterEach, expect, it, vi } from "vitest";
import type { TicketReply } from "../src/api/generated";
import { CallError, join } from "../src/wamp/session";
import { type Message, ScriptedSocket, welcome } from "./scripted-socket";

const ticket: TicketReply = { wamp_url: "ws://router.test/", realm: "r", authid: "ann", ticket: "secret" };

afterEach(() => vi.unstubAllGlobals());

it("proves itself with the ticket, sends fields as keyword arguments, and gives the one result", async () => {
  vi.stubGlobal("WebSocket", ScriptedSocket);
  const seen: Message[] = [];
  ScriptedSocket.script = (message, answer) => {
    seen.push(message);
    if (!welcome(message, answer) && message[0] === 48) answer([50, message[1], {}, [{ containers: [] }]]);
  };
  const session = await join(ticket, () => undefined);
  expect(await session.call("ContainerList", "edge-1", {})).toEqual({ containers: [] });
  expect(seen[1]).toEqual([5, "secret", {}]);
  const call = seen.find((message) => message[0] === 48)!;
  expect(call[3]).toMatch(/\.edge-1\.container\.list$/);
});

it("makes a WAMP ERROR an error with its URI and its sentence", async () => {
  vi.stubGlobal("WebSocket", ScriptedSocket);
  ScriptedSocket.script = (message, answer) => {
    if (!welcome(message, answer) && message[0] === 48) answer([8, 48, message[1], {}, "x.error.conflict", ["The name is taken."], {}]);
  };
  const session = await join(ticket, () => undefined);
  const error = await session.call("ContainerList", "edge-1", {}).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(CallError);
  expect(error).toMatchObject({ uri: "x.error.conflict", message: "The name is taken." });
});

it("tells once when the connection breaks, and fails what was under way", async () => {
  vi.stubGlobal("WebSocket", ScriptedSocket);
  ScriptedSocket.script = (message, answer) => void welcome(message, answer);
  let ends = 0;
  const session = await join(ticket, () => {
    ends += 1;
  });
  const hanging = session.call("ContainerList", "edge-1", {}).catch((error: unknown) => error);
  ScriptedSocket.last.close();
  expect(await hanging).toBeInstanceOf(CallError);
  expect(ends).toBe(1);
});
