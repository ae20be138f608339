// The fleet on the real platform: a device's page, its place on the map, its share and its key; a container's charts; many
// containers at once; and where the keyboard alone leads.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createContainer, env, go, inspect, launch, logIn, open, panel, row, skip } from "./browser.mjs";

/** A key is rotated at an agent's next reports, images are pulled, history is kept by tens of seconds; in milliseconds. */
const DONE_WITHIN = 300_000;

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const fresh = (name) => `${name}-${Date.now().toString(36)}`;
const tenant = (page) => page.getByRole("navigation", { name: "Main" }).getByLabel("Tenant");
const chart = (page, name) => page.getByRole("figure", { name, exact: true });
const confirm = (page, name) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();

async function device(page, name) {
  await go(page, "Devices");
  await page.getByRole("region", { name: "Table of devices" }).getByRole("link", { name, exact: true }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

test("a device's page tells what it is, draws its load, has its images, and puts it on the map", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await device(page, "edge-2");
  await page.getByText(/containers? moves? (live|cold)|can move live|move live/i).filter({ visible: true }).first().waitFor();
  for (const name of ["CPU", "Memory"]) await chart(page, name).locator("[data-value]").first().filter({ hasText: /\d/ }).waitFor();
  await panel(page, "Images");
  await page.getByLabel("Pull an image").fill(`${env.image}-missing`);
  await page.getByRole("button", { name: "Pull", exact: true }).click();
  await page.getByRole("main").getByRole("alert").first().waitFor({ timeout: DONE_WITHIN });
  await inspect(page, "the images of a device");
  await panel(page, "Settings");
  await page.getByRole("combobox", { name: "Place" }).fill("berlin, de");
  await page.getByRole("option", { name: /^Berlin/ }).first().click();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText(/^On the map at 52\.5/).waitFor();
  await go(page, "Overview");
  const card = page.getByRole("region", { name: "Map of devices" });
  await card.scrollIntoViewIfNeeded();
  await card.getByRole("button", { name: /Berlin.*edge-2/ }).click();
  await page.getByRole("heading", { level: 1, name: "edge-2" }).waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test("a device is offered to another tenant on terms, who takes it, sees it, and gives it back", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const slug = fresh("guests");
  await logIn(page);
  await go(page, "Platform");
  await page.getByLabel("Name", { exact: true }).fill(slug);
  await page.getByLabel("Short name").fill(slug);
  await page.getByRole("button", { name: "Make tenant" }).click();
  await page.getByRole("cell", { name: slug }).first().waitFor();
  await page.reload();
  await tenant(page).selectOption({ label: "Acme" });
  await device(page, "edge-1");
  await panel(page, "Sharing");
  await page.getByRole("button", { name: "Offer it to a tenant" }).click();
  await page.getByLabel("Tenant", { exact: true }).and(page.getByRole("textbox")).fill(slug);
  await page.getByLabel("Cores").fill("0.5");
  await page.getByRole("button", { name: "Offer", exact: true }).click();
  await page.getByRole("listitem", { name: slug }).getByText("offered, not accepted yet").waitFor();
  await inspect(page, "a share that is offered");
  await tenant(page).selectOption(slug);
  await go(page, "Devices");
  await page.getByRole("button", { name: /^Accept/ }).click();
  await page.getByRole("region", { name: "Table of devices" }).getByRole("link", { name: "edge-1", exact: true }).waitFor({ timeout: DONE_WITHIN });
  await page.getByText("of acme").filter({ visible: true }).first().waitFor();
  await tenant(page).selectOption({ label: "Acme" });
  await device(page, "edge-1");
  await panel(page, "Sharing");
  await page.getByRole("button", { name: `End the share with ${slug}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End the share" }).click();
  await page.getByRole("listitem", { name: slug }).waitFor({ state: "detached", timeout: DONE_WITHIN });
  assert.deepEqual(complaints, []);
  await close();
});

test("a device's key is rotated while it works", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await device(page, "edge-2");
  await panel(page, "Key");
  const key = page.getByText(/^[0-9a-f]{16}$/).filter({ visible: true }).first();
  const before = await key.innerText();
  await page.getByRole("button", { name: "Rotate the key" }).click();
  await page.waitForFunction(
    (before) => [...document.querySelectorAll("code")].some(({ textContent }) => /^[0-9a-f]{16}$/.test(textContent) && textContent !== before),
    before,
    { timeout: DONE_WITHIN },
  );
  await inspect(page, "the key of a device");
  await go(page, "Devices");
  await page.getByRole("row", { name: /edge-2.*connected/ }).waitFor({ timeout: DONE_WITHIN });
  assert.deepEqual(complaints, []);
  await close();
});

test("a container's page draws what it uses, shows how it was made, and is left for another range and back", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await go(page, "Containers");
  await page.getByRole("link", { name: "counter", exact: true }).first().click();
  for (const name of ["CPU", "Memory", "Network", "Disk"]) {
    await chart(page, name).locator("[data-value]").first().filter({ hasText: /\d/ }).waitFor({ timeout: DONE_WITHIN });
  }
  await page.getByRole("button", { name: "1 h:" }).click();
  await page.getByText(/in steps of (10 s|5 min)/).waitFor();
  await inspect(page, "the charts of a container");
  await panel(page, "Configuration");
  await page.getByText("Restart").filter({ visible: true }).first().waitFor();
  await inspect(page, "the configuration of a container");
  assert.deepEqual(complaints, []);
  await close();
});

test("many containers are selected, stopped and deleted at once, and nothing else is touched", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const prefix = fresh("bulk");
  const names = [1, 2, 3].map((number) => `${prefix}-${number}`);
  await logIn(page);
  for (const name of names) await createContainer(page, name);
  await page.getByLabel("Filter", { exact: true }).fill(prefix);
  await page.getByRole("checkbox", { name: "Select the 3 shown" }).check();
  const bar = page.getByRole("group", { name: "Selected containers" });
  await bar.getByRole("button", { name: "Stop", exact: true }).click();
  await confirm(page, "Stop 3 containers");
  await page.getByText("3 of 3 containers were stopped.").filter({ visible: true }).first().waitFor({ timeout: DONE_WITHIN });
  for (const name of names) await row(page, name).getByText("exited").waitFor();
  // What went well is selected no more.
  const all = page.getByRole("checkbox", { name: "Select the 3 shown" });
  await all.and(page.locator(":not(:checked)")).waitFor();
  await all.check();
  await inspect(page, "containers that are selected");
  await bar.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("dialog").getByLabel(/^Type/).fill("delete");
  await confirm(page, "Delete 3 containers");
  for (const name of names) await row(page, name).waitFor({ state: "detached", timeout: DONE_WITHIN });
  await page.getByLabel("Filter", { exact: true }).fill("");
  await row(page, "counter").getByText("running").waitFor();
  assert.deepEqual(complaints, []);
  await close();
});

test("a place that is typed moves the map, and the nearest device is taken", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await go(page, "Containers");
  await panel(page, "Create a container");
  await page.getByText("Countries: Natural Earth").waitFor();
  await page.getByRole("combobox", { name: "Place" }).fill("san jose, us");
  await page.getByRole("option", { name: /^San Jose/ }).first().click();
  await page.getByText(/edge-1 is the nearest that answers/).waitFor();
  await inspect(page, "the form with a map");
  assert.deepEqual(complaints, []);
  await close();
});

test("the keyboard alone leads to a device, and to what there was to be warned of", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  await page.getByRole("cell", { name: /^counter/ }).first().waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog", { name: "Go to" }).getByRole("combobox").pressSequentially("edge-1");
  await page.getByRole("option", { selected: true }).getByText("edge-1").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "edge-1" }).waitFor();
  await page.keyboard.press("Control+k");
  await page.getByRole("dialog", { name: "Go to" }).getByRole("combobox").pressSequentially("alerts");
  await page.getByRole("option", { selected: true }).getByText("Alerts").waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Alerts" }).waitFor();
  await inspect(page, "alerts");
  assert.deepEqual(complaints, []);
  await close();
});
