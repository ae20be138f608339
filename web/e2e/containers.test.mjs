// A person logs in, creates a container, watches it work, stops and deletes it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { addressOf, becomes, createContainer, deviceOf, env, go, launch, logIn, open, panel, pickContainer, portOf, row, skip } from "./browser.mjs";

/** How long a container is kept busy at most, in milliseconds; what is looked for is seen long before. */
const BURNS_FOR = 60_000;
/** A device tells of its load by itself every ten seconds; only one that is looked at tells it so often in that time. */
const TOLD = 8;
/** Percent of one core that a burning container certainly uses, even beside twenty other programs; idle it uses none. */
const BUSY = 3;

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

test("a wrong password is refused with a sentence, and the right one opens the dashboard", { skip }, async () => {
  const { page, close } = await open(browser);
  await logIn(page, "not the password");
  await page.getByRole("alert").filter({ hasText: /password/i }).waitFor();
  await page.getByLabel("Password").fill(env.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await close();
});

test("a container is created from the form, its load is seen second by second, it is stopped and deleted", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const name = `browser-${Date.now().toString(36)}`;
  let container;
  let told = 0;
  page.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => {
      const [, , , , , event] = JSON.parse(payload);
      if (event?.containers?.some(({ id, cpu_percent }) => id === container && cpu_percent > BUSY)) told += 1;
    }),
  );
  await logIn(page);
  await createContainer(page, name, "8080");
  const published = await portOf(page, name);
  const address = await addressOf(page, await deviceOf(page, name));
  const link = await row(page, name).getByRole("link", { name, exact: true }).getAttribute("href");
  container = new URLSearchParams(link.split("?")[1]).get("container");

  await go(page, "Overview");
  const cpu = async () => Number.parseFloat(await row(page, name).getByRole("cell").nth(2).innerText());
  const enough = new AbortController();
  let burning = true;
  const burnt = fetch(`http://${address}:${published}/burn?ms=${BURNS_FOR}`, { signal: enough.signal }).catch(() => undefined);
  void burnt.finally(() => (burning = false));
  await becomes(async () => !burning || ((await cpu()) > BUSY && told >= TOLD), true);
  assert.ok(burning, `its load was told ${told} times in ${BURNS_FOR} ms`);
  enough.abort();
  await burnt;

  await go(page, "Containers");
  await panel(page, "Stop");
  await pickContainer(page, name);
  await page.getByRole("button", { name: "Stop container" }).click();
  await row(page, name).getByText(/exited/).waitFor();

  await panel(page, "Delete");
  await pickContainer(page, name);
  const button = page.getByRole("button", { name: "Delete container" });
  assert.ok(await button.isDisabled(), "deleting must ask for the name first");
  await page.getByLabel("Type the name to confirm").fill(name);
  await button.click();
  await row(page, name).waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
  await close();
});

test("what the device refuses is told in the form and stays as a notice", { skip }, async () => {
  const { page, close } = await open(browser);
  await logIn(page);
  await go(page, "Containers");
  await panel(page, "Create a container");
  await page.getByLabel("Name", { exact: true }).fill("Not A Name");
  await page.getByLabel("Image").fill(env.image);
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.getByRole("alert").filter({ hasText: /at place 1/ }).first().waitFor();
  await page.getByRole("button", { name: /^Dismiss/ }).waitFor();
  assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Not A Name", "what was typed stays");
  await close();
});

test("a terminal runs a command in the container, shows what it says, and tells how it ended", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await go(page, "Containers");
  await page.getByRole("region", { name: "Table of containers" }).getByRole("link", { name: "counter", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "counter" }).waitFor();
  await panel(page, "Terminal");
  // The image has no shell. A second counter finds the ports of the first one taken, says so and ends.
  await page.getByLabel("Command").fill("/ecep-counter");
  await page.getByRole("button", { name: "Open a terminal" }).click();
  await page.getByRole("status").filter({ hasText: "ended with exit code 1." }).waitFor();
  await page.getByText(/^counter: .*in use/).first().waitFor();
  await page.getByLabel("Command").fill("/no-such-program");
  await page.getByRole("button", { name: "Open a new terminal" }).click();
  await page.getByText(/a command was not found|no such file/).first().waitFor();
  await go(page, "Audit log");
  await page.getByRole("row").filter({ hasText: /terminal/i }).first().waitFor();
  assert.deepEqual(complaints, []);
  await close();
});
