// The panel of checkpoints, in a browser's document, against a scripted router: what each role is offered, what is said
// when devices do not answer, and what goes over the wire.
import { flushSync, unmount } from "svelte";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type CheckpointView, type ContainerState, type DeviceView, PROCEDURES, type Role, TOPICS } from "../src/api/generated";
import { notices } from "../src/state/notices.svelte";
import { route } from "../src/state/route.svelte";
import Checkpoints from "../src/views/Checkpoints.svelte";
import { type Message, ScriptedSocket, welcome } from "./scripted-socket";
import { CALL, device, leave, opened as openedAs, script, settle, SUBSCRIBE } from "./signed-in";

let app: object;
let calls: Message[] = [];
let subscriptions = new Map<string, number>();
let state: ContainerState;
let devices: DeviceView[];
/** By device; a device that is not here does not answer well. */
let kept: Record<string, CheckpointView[]>;

function container(id: string, state: ContainerState) {
  return { id, name: id === "c" ? "web" : id, application: "web", image: "i", state, exit_code: null, created_at: 1, started_at: 1, ports: [] };
}

function checkpoint(name: string, created_at: number, directory: string | null = null): CheckpointView {
  return { container: "c", name, directory, image: "i", bytes: 2048, created_at };
}

function on(template: string, device: string) {
  return template.replace("{device}", device);
}

function router(message: Message, answer: (message: Message) => void) {
  if (welcome(message, answer)) return;
  if (message[0] === SUBSCRIBE) {
    subscriptions.set(message[3] as string, message[1] as number);
    answer([33, message[1], message[1]]);
  }
  if (message[0] !== CALL) return;
  calls.push(message);
  const uri = message[3] as string;
  const reply = (result: object) => answer([50, message[1], {}, [result]]);
  const asked = devices.find(({ id }) => uri === on(PROCEDURES.CheckpointListing, id));
  if (uri === PROCEDURES.DeviceList) reply({ devices, now: Date.now() });
  else if (asked && kept[asked.id]) reply({ checkpoints: kept[asked.id]! });
  else if (asked) answer([8, CALL, message[1], {}, "x.error.unavailable", ["its disk does not answer"], {}]);
  else if (uri === PROCEDURES.FleetContainerList) {
    const placed = [container("c", state), container("twin", "created"), container("busy", "running")];
    reply({ containers: placed.map((container) => ({ device: "a", liveness: "connected", container })) });
  } else if (uri === on(PROCEDURES.ContainerInspect, "a")) reply({ volumes: [] });
  else if (uri === PROCEDURES.CheckpointCopy) reply({ operation: "copy-1", state: "running", container_id: null, container: null });
  else reply({ migrations: [], operation: "o", state: "done", container_id: "c", container: null });
}

beforeEach(() => {
  calls = [];
  subscriptions = new Map();
  state = "exited";
  devices = [device("a"), device("b"), device("d", "offline")];
  kept = { a: [checkpoint("second", 2_000, "big"), checkpoint("first", 1_000)], b: [] };
  script(router);
  route.view = "containers";
  route.query = new URLSearchParams("panel=checkpoints&container=c");
});

afterEach(() => leave(app));

async function opened(role: Role = "operator") {
  app = await openedAs(Checkpoints, role);
}

const text = () => document.body.textContent?.replace(/\s+/g, " ") ?? "";
const items = () => [...document.querySelectorAll("ul li")];
const item = (name: string) => items().find((one) => one.querySelector("strong")?.textContent === name)!;
const question = () => document.querySelector("dialog") as HTMLDialogElement;
const labels = (inside: Element) => [...inside.querySelectorAll("button")].map((one) => one.textContent!.trim());
const button = (inside: Element, label: string) =>
  [...inside.querySelectorAll("button")].find((one) => one.textContent!.trim() === label)!;
/** Each order has an id of its own. */
const operation = expect.stringMatching(/^[0-9a-f]{32}$/);
const sent = (uri: string) => calls.filter((call) => call[3] === uri).map((call) => call[5]);
const told = (uri: string, event: object) =>
  ScriptedSocket.last.onmessage?.({ data: JSON.stringify([36, subscriptions.get(uri.replace("{device}", "")), 1, {}, [], event]) });

function type(selector: string, value: string) {
  const field = document.querySelector<HTMLInputElement | HTMLSelectElement>(selector)!;
  field.value = value;
  field.dispatchEvent(new Event(field instanceof HTMLSelectElement ? "change" : "input", { bubbles: true }));
  flushSync();
}

it("lists the newest first with time, size, directory and device, and says which device is out of reach", async () => {
  await opened();
  expect(items().map((one) => one.querySelector("strong")?.textContent)).toEqual(["second", "first"]);
  expect(item("second").textContent).toContain(new Date(2_000).toLocaleString());
  expect(item("second").textContent!.replace(/\s+/g, " ")).toMatch(/on edge-a, .*2\.0 KiB, directory big/);
  expect(text()).toContain("What edge-d has is not listed: it is offline");
  expect(sent(on(PROCEDURES.CheckpointListing, "b"))).toEqual([{ container: "c" }]);
  expect(sent(on(PROCEDURES.CheckpointListing, "d"))).toEqual([]);
});

it("says what a device answered that cannot list, and asks it again", async () => {
  delete kept.a;
  await opened();
  expect(document.querySelector("[role=alert]")?.textContent).toBe("What edge-a has is not known. Its disk does not answer.");
  expect(text()).toContain("No checkpoint on the devices that answered.");
  kept.a = [];
  button(document.body, "Try again").click();
  await settle();
  expect(document.querySelector("[role=alert]")).toBeNull();
});

it("shows a viewer the list and nothing to press in it", async () => {
  await opened("viewer");
  expect(items()).toHaveLength(2);
  expect(labels(document.body)).toEqual(["Refresh"]);
  expect(document.querySelector("form")).toBeNull();
});

it("saves what runs, by a name that the device will take, into the directory that was typed", async () => {
  state = "running";
  await opened();
  const save = button(document.body, "Save checkpoint");
  const uri = on(PROCEDURES.ContainerCheckpoint, "a");
  type("#checkpoint-name", "Not A Name");
  save.click();
  await settle();
  expect(document.querySelector("[role=alert]")?.textContent).toContain("“N” at place 1");
  expect(document.activeElement?.id).toBe("checkpoint-name");
  type("#checkpoint-name", "third");
  type("#checkpoint-directory", "big/");
  save.click();
  await settle();
  expect(document.querySelector("[role=alert]")?.textContent).toContain("The directory has “/” at place 4");
  expect(document.querySelector("details")!.open, "what is wrong must be seen").toBe(true);
  expect(sent(uri)).toEqual([]);
  type("#checkpoint-directory", "big");
  document.querySelector<HTMLInputElement>("input[type=checkbox]")!.click();
  save.click();
  await settle();
  expect(sent(uri)).toEqual([{ container: "c", name: "third", directory: "big", leave_running: false, operation }]);
  expect(text()).toContain("web was saved as third, and does not run now.");
});

it("says at the buttons why it cannot save what is stopped, nor restore into what runs", async () => {
  await opened();
  expect(button(document.body, "Save checkpoint (it does not run; start it first)").disabled).toBe(true);
  await unmount(app);
  state = "running";
  await opened();
  expect(button(item("first"), "Restore (it runs; stop it first)").disabled).toBe(true);
});

it("restores only after the loss was confirmed, and without a question where there is none", async () => {
  await opened();
  const uri = on(PROCEDURES.ContainerRestore, "a");
  button(item("second"), "Restore").click();
  await settle();
  button(question(), "Cancel").click();
  await settle();
  expect(sent(uri)).toEqual([]);
  button(item("second"), "Restore").click();
  await settle();
  button(question(), "Restore").click();
  await settle();
  expect(sent(uri)).toEqual([{ container: "c", name: "second", directory: "big", operation }]);

  button(item("first"), "Restore into another…").click();
  flushSync();
  const into = item("first").querySelector("select")!;
  expect([...into.options].map(({ value }) => value), "stopped, and of the same image").toEqual(["", "twin"]);
  type(`#${into.id}`, "twin");
  button(item("first"), "Restore into it").click();
  await settle();
  expect(question()).toBeNull();
  expect(sent(uri)[1]).toEqual({ container: "c", name: "first", into: "twin", operation });
  expect(text()).toContain("twin was restored from first and runs.");
  expect(document.activeElement?.textContent, "the keyboard goes on where the form was").toBe("Checkpoints");
});

it("copies to another device, lists it when the copy has ended there, and tells the end with a notice", async () => {
  await opened();
  button(item("first"), "Copy…").click();
  flushSync();
  const to = item("first").querySelector("select")!;
  expect([...to.options].map(({ value, disabled }) => [value, disabled])).toEqual([["", true], ["b", false], ["d", true]]);
  type(`#${to.id}`, "b");
  button(item("first"), "Copy").click();
  await settle();
  expect(sent(PROCEDURES.CheckpointCopy)).toEqual([{ container: "c", name: "first", source: "a", destination: "b", operation }]);
  const event = { device: "b", operation: "copy-1", kind: "container.checkpoint.copy", phase: "receiving", container_id: "c", error: null, at: 1 };
  told(TOPICS.OperationEvents, { ...event, state: "running" });
  await settle();
  expect(text()).toContain("It takes a while");
  kept.b = [checkpoint("first", 1_000)];
  told(TOPICS.OperationEvents, { ...event, state: "done", phase: "done", container_id: null });
  await settle();
  await settle();
  expect(items()).toHaveLength(3);
  expect(text()).not.toContain("It takes a while");
  expect(notices.history[0]).toMatchObject({ level: "success", text: "Checkpoint first was copied to edge-b." });
});

it("offers of one that lies elsewhere to bring it to the container, and deletes it when that was confirmed", async () => {
  kept = { a: [], b: [checkpoint("left-behind", 1_000)] };
  await opened();
  expect(labels(item("left-behind"))).toEqual(["Copy…", "Delete"]);
  button(item("left-behind"), "Copy…").click();
  flushSync();
  expect(item("left-behind").querySelector("select")!.value).toBe("a");
  kept.b = [];
  button(item("left-behind"), "Delete").click();
  await settle();
  button(question(), "Delete").click();
  await settle();
  expect(sent(on(PROCEDURES.CheckpointDelete, "b"))).toEqual([{ container: "c", name: "left-behind" }]);
  expect(items()).toHaveLength(0);
});
