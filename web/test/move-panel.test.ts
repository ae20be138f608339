// The panel that moves a container, in a browser's document, against a scripted router: what each verdict and each
// role is offered, and what is shown while it moves and afterwards.
import { flushSync, unmount } from "svelte";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type DeviceView, type KeptView, type Preflight, PROCEDURES, type Role, TOPICS, type Verdict } from "../src/api/generated";
import { route } from "../src/state/route.svelte";
import MoveContainer from "../src/views/MoveContainer.svelte";
import { move } from "./sample-move";
import { type Message, ScriptedSocket, welcome } from "./scripted-socket";
import { CALL, device, leave, opened as openedAs, script, settle, SUBSCRIBE } from "./signed-in";

const container = { id: "c", name: "web", application: "web", image: "i", state: "running", exit_code: null, created_at: 1, started_at: 1, ports: [], address: "10.87.1.4" };
let app: object;
let calls: Message[] = [];
let devices: DeviceView[] = [];
let preflight: Preflight | string;
let kept: KeptView[] = [];
let subscriptions = new Map<string, number>();

function found(verdict: Verdict): Preflight {
  const checks = [
    { end: "destination" as const, verdict, text: "the worst thing" },
    { end: "source" as const, verdict: "live" as const, text: "Docker answers" },
  ];
  const estimate = { total_ms: 3_000, downtime_ms: 520, bytes_per_second: 10 * 1024 * 1024, is_rate_assumed: true };
  return { verdict, checks, memory_bytes: 1024 * 1024, file_bytes: 2048, image_bytes: 0, estimate: verdict === "refused" ? null : estimate };
}

function router(message: Message, answer: (message: Message) => void) {
  if (welcome(message, answer)) return;
  if (message[0] === SUBSCRIBE) {
    subscriptions.set(message[3] as string, message[1] as number);
    answer([33, message[1], message[1]]);
  }
  if (message[0] !== CALL) return;
  calls.push(message);
  const reply = (result: object) => answer([50, message[1], {}, [result]]);
  if (message[3] === PROCEDURES.DeviceList) reply({ devices, now: Date.now() });
  else if ((message[3] as string).endsWith("kept.list")) reply({ kept: (message[3] as string).includes(".a.") ? kept : [] });
  else if ((message[3] as string).endsWith("kept.delete")) {
    kept = [];
    reply({});
  } else if (message[3] !== PROCEDURES.ContainerPreflight) {
    reply({ containers: [{ device: "a", liveness: "connected", container }], migrations: [] });
  } else if (typeof preflight === "string") answer([8, CALL, message[1], {}, "x.error.unavailable", [preflight], {}]);
  else reply(preflight);
}

beforeEach(() => {
  calls = [];
  subscriptions = new Map();
  devices = [device("a"), device("b"), device("d", "offline")];
  preflight = found("live");
  kept = [];
  script(router);
  route.view = "containers";
  route.query = new URLSearchParams("panel=move&container=c");
});

afterEach(() => leave(app));

async function opened(role: Role = "operator") {
  app = await openedAs(MoveContainer, role);
}

async function choose(destination: string) {
  const select = document.querySelector<HTMLSelectElement>("#move-destination")!;
  select.value = destination;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await settle();
}

const text = () => document.body.textContent ?? "";
const button = (label: string) =>
  [...document.querySelectorAll("button")].find((one) => one.textContent?.trim() === label);
const told = (uri: string, event: object) =>
  ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, subscriptions.get(uri.replace("{device}", "")), 1, {}, [], event]) });

it("offers the other devices, those out of reach disabled with why, and moves live at once", async () => {
  await opened();
  const options = [...document.querySelectorAll<HTMLOptionElement>("#move-destination option")];
  expect(options.map(({ value, disabled }) => [value, disabled])).toEqual([["", true], ["b", false], ["d", true]]);
  expect(options[2]!.textContent).toMatch(/offline, last seen/);
  expect(text()).toContain("10.87.1.4");
  await choose("b");
  expect(text()).toContain("The worst thing.");
  expect(text()).toContain("Memory: 1.0 MiB. Files: 2.0 KiB.");
  expect(text()).toContain("By estimate the move takes about 3 s: the line between the two is assumed to carry 10.0 MiB each second");
  expect(text()).toContain("stand still for about 520 ms");
  button("Move")!.click();
  await settle();
  expect(calls.find((call) => call[3] === PROCEDURES.ContainerMigrate)?.[5]).toEqual({ container: "c", destination: "b", mode: "live", keep_source: false });
  expect(document.activeElement?.getAttribute("role"), "the keyboard goes on at what is said").toBe("status");
});

it("moves cold only after that was chosen in words", async () => {
  preflight = found("cold");
  await opened();
  await choose("b");
  expect(button("Move")).toBeUndefined();
  expect(button("Move cold")!.disabled).toBe(true);
  document.querySelector<HTMLInputElement>("input[type=checkbox]")!.click();
  flushSync();
  button("Move cold")!.click();
  await settle();
  expect(calls.find((call) => call[3] === PROCEDURES.ContainerMigrate)?.[5]).toMatchObject({ mode: "cold" });
});

it("offers no button where it is refused, and none to a viewer, who still sees the checks", async () => {
  preflight = found("refused");
  await opened();
  await choose("b");
  expect(text()).toMatch(/cannot move to edge-b/);
  expect([button("Move"), button("Move cold")]).toEqual([undefined, undefined]);
  await unmount(app);

  preflight = found("live");
  await opened("viewer");
  await choose("b");
  expect(text()).toContain("The worst thing.");
  expect(button("Move")).toBeUndefined();
});

it("tells when the checks could not be had, and tries again", async () => {
  preflight = "device b does not answer";
  await opened();
  await choose("b");
  expect(document.querySelector("[role=alert]")?.textContent).toContain("device b does not answer");
  preflight = found("live");
  button("Try again")!.click();
  await settle();
  expect(button("Move")).toBeDefined();
  expect(document.querySelector("[role=alert]")).toBeNull();
});

it("says so where there is no other device", async () => {
  devices = [device("a")];
  await opened();
  expect(text()).toContain("There is no other device");
});

it("shows a move as it goes, and its figures afterwards, at the same address", async () => {
  await opened();
  const begun = move({ phase: "copying", bytes_done: 512, bytes_total: 1024, started_at: Date.now() });
  told(TOPICS.MigrationEvents, begun);
  await settle();
  expect(document.querySelector("[role=status]")?.textContent).toContain("Image, files and memory travel to edge-b");
  expect(text()).toContain("512 B of 1.0 KiB (50 %)");
  button("Cancel the move")!.click();
  await settle();
  expect(calls.find((call) => call[3] === PROCEDURES.MigrationCancel)?.[5]).toEqual({ operation: "move-1" });

  const round = (pages: number) => ({ pages, bytes: pages * 4096, milliseconds: 100 });
  const copied = { ...begun, bytes_done: 2048, bytes_sent: 4096, rounds: [round(256), round(64)], estimated_downtime_ms: 460 };
  told(TOPICS.MigrationEvents, copied);
  await settle();
  const rounds = [...document.querySelectorAll("[aria-label='Rounds of memory'] tbody tr")];
  expect(rounds.map((row) => [...row.children].map((cell) => cell.textContent))).toEqual([
    ["1", "1.0 MiB", "–", "100 ms"],
    ["2", "256.0 KiB", "25 %", "100 ms"],
  ]);
  expect(text()).toContain("2.0 KiB of 1.0 KiB (100 %)");
  expect(text()).toContain("4.0 KiB in all");
  expect(text()).toContain("about 460 ms, by estimate");

  told(TOPICS.MigrationEvents, { ...copied, phase: "restoring", cancellable: false });
  await settle();
  expect(button("Cancelling…")).toBeUndefined();

  const phases = [{ phase: "copying", milliseconds: 1234, bytes: 1024 }];
  told(TOPICS.MigrationEvents, { ...copied, state: "done", phase: "finishing", cancellable: false, phases, downtime_ms: 840, ended_at: Date.now() });
  told(TOPICS.ContainerEvents, { device: "b", change: "created", container, at: 1 });
  told(TOPICS.ContainerEvents, { device: "a", change: "deleted", container, at: 1 });
  await settle();
  expect(document.querySelector("[role=status]")?.textContent).toContain("web moved from edge-a to edge-b.");
  expect(text()).toContain("Downtime: 840 ms.");
  expect(text()).toContain("Estimated before the freeze: 460 ms.");
  const history = document.querySelector("[aria-label='Table of moves'] tbody")?.textContent;
  for (const figure of ["840 ms", "4.0 KiB", "Done."]) expect(history).toContain(figure);
  expect(text()).toContain("1234 ms");
  expect(document.querySelector("dl")?.textContent).toContain("edge-b");
  expect(route.get("container")).toBe("c");
});

function fill(label: string, value: string) {
  const found = [...document.querySelectorAll("label")].find((one) => one.textContent?.includes(label))!;
  const field = document.getElementById(found.htmlFor) as HTMLInputElement;
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  flushSync();
  return field;
}

it("orders what was asked for under “Options”, and nothing while a field is wrong", async () => {
  await opened();
  await choose("b");
  const rounds = fill("Rounds of memory at most", "9");
  button("Move")!.click();
  await settle();
  expect(document.querySelector("[role=alert]")?.textContent).toContain("a whole number from 1 to 8");
  expect(rounds.getAttribute("aria-invalid")).toBe("true");
  expect(document.querySelector("details")?.open, "what is wrong is seen").toBe(true);
  expect(calls.some((call) => call[3] === PROCEDURES.ContainerMigrate)).toBe(false);

  fill("Rounds of memory at most", "4");
  fill("Share of the link", "2.5");
  fill("Longest downtime", "700");
  for (const choice of document.querySelectorAll<HTMLInputElement>("details input[type=checkbox]")) choice.click();
  flushSync();
  button("Move")!.click();
  await settle();
  expect(calls.find((call) => call[3] === PROCEDURES.ContainerMigrate)?.[5]).toEqual({
    container: "c",
    destination: "b",
    mode: "live",
    bytes_per_second: 2_500_000,
    max_rounds: 4,
    max_downtime_ms: 700,
    over_downtime: "cold",
    keep_source: true,
  });
});

it("shows copies that moves have left, and deletes one after asking", async () => {
  kept = [{ container: "c", migration: "move-1", name: "web", image: "i", volumes: ["data"], kept_at: 1 }];
  await opened("viewer");
  const copies = () => document.querySelector("ul[aria-label='Kept copies']")?.textContent ?? "";
  expect(copies()).toMatch(/web.*on edge-a, stopped.*volumes data/s);
  expect(document.querySelector("[aria-label^='Delete the copy']"), "a viewer only sees them").toBeNull();
  await unmount(app);

  await opened();
  document.querySelector<HTMLButtonElement>("[aria-label='Delete the copy of web on edge-a']")!.click();
  await settle();
  const question = document.querySelector("dialog")!;
  expect(question.textContent).toContain("its volume data there");
  expect(calls.some((call) => (call[3] as string).endsWith("a.container.kept.delete")), "not before it was agreed to").toBe(false);
  question.querySelector<HTMLButtonElement>("form button")!.click();
  await settle();
  expect(document.querySelector("dialog")).toBeNull();
  expect(calls.find((call) => (call[3] as string).endsWith("a.container.kept.delete"))?.[5]).toEqual({ container: "c", migration: "move-1" });
  expect(copies()).toBe("");
  expect(text()).toContain("The stopped copy of web was deleted.");
});
