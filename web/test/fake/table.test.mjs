// The table of containers in a real Chromium against a fleet that only pretends: what stands in the address, what is selected,
// and what one order to many containers does. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, inspect, PATIENCE, told } from "../../e2e/browser.mjs";
import { browser, visit } from "./visit.mjs";

const at = (address, serving, run) => visit(address, { serving: { busy: true, ...serving } }, run);

const table = (page) => page.getByRole("region", { name: "Table of containers" });
const bar = (page) => page.getByRole("group", { name: "Selected containers" });
/** The names of the containers on the page, from above. */
const names = (page) => table(page).getByRole("link").allInnerTexts();
const states = (fake) => Object.fromEntries(fake.things.containers.map(({ container }) => [container.id, container.state]));
const box = (page, name) => page.getByRole("checkbox", { name: new RegExp(`^Select ${name} on`) });

/** Presses a button of the bar, and agrees. */
async function order(page, name) {
  await bar(page).getByRole("button", { name: new RegExp(`^${name}`) }).click();
  await page.getByRole("dialog").getByRole("button", { name: new RegExp(`^${name}`) }).click();
}

test("a thousand containers come in pages, and order and page survive a reload and a copied address", () =>
  at("containers", { count: 1_000 }, async (page, fake) => {
    await page.getByText("1–100 of 1,000").waitFor();
    await becomes(async () => (await names(page)).length, 100);
    await table(page).getByRole("button", { name: "Container" }).click();
    await page.getByRole("columnheader", { name: "Container" }).and(page.locator("[aria-sort=ascending]")).waitFor();
    await table(page).getByRole("button", { name: "Container" }).click();
    await page.getByRole("columnheader", { name: "Container" }).and(page.locator("[aria-sort=descending]")).waitFor();
    const pages = page.getByRole("navigation", { name: "Pages of the table" });
    await pages.getByRole("button", { name: "Next" }).click();
    await page.getByText("101–200 of 1,000").waitFor();
    await page.waitForURL((url) => url.hash.includes("sort=-container") && url.hash.includes("page=2"));
    const before = await names(page);
    await page.reload();
    await page.getByText("101–200 of 1,000").waitFor();
    await becomes(() => names(page), before);

    await page.getByLabel("Filter", { exact: true }).fill("service-99");
    await page.getByRole("link", { name: "service-999" }).waitFor();
    // Who looks for something else begins at its first page.
    await page.waitForURL((url) => !url.hash.includes("page="));
    await becomes(async () => (await names(page)).length, 11);
    assert.equal(fake.things.containers.length, 1_000);
  }));

test("select all takes what is seen and nothing else; what a filter hides leaves the selection", () =>
  at("containers", { count: 250 }, async (page) => {
    await page.getByRole("checkbox", { name: "Select the 100 shown" }).check();
    await bar(page).getByText("100 selected").waitFor();
    await page.getByRole("navigation", { name: "Pages of the table" }).getByRole("button", { name: "Last" }).click();
    await bar(page).getByText("(100 on other pages)").waitFor();
    assert.equal(await page.getByRole("checkbox", { name: "Select the 50 shown" }).isChecked(), false);
    await page.getByLabel("Filter", { exact: true }).fill("camera");
    await bar(page).getByText("1 selected").waitFor();
    await page.getByLabel("Filter", { exact: true }).fill("");
    await page.getByText("1–100 of 250").waitFor();
    await bar(page).getByText("1 selected").waitFor();
  }));

test("a selection outlives a new order and what devices tell, and what is gone leaves it", () =>
  at("containers", { count: 5 }, async (page, fake) => {
    await box(page, "web").check();
    await box(page, "metrics").check();
    await table(page).getByRole("button", { name: "Device" }).click();
    await page.getByRole("columnheader", { name: "Device" }).and(page.locator("[aria-sort]")).waitFor();
    await bar(page).getByText("2 selected").waitFor();
    const elsewhere = await browser.newPage();
    elsewhere.setDefaultTimeout(PATIENCE);
    await elsewhere.goto(`${fake.url}/#/containers?filter=metrics`);
    await elsewhere.getByRole("checkbox", { name: "Select the 1 shown" }).check();
    await bar(elsewhere).getByRole("button", { name: "Delete" }).click();
    await elsewhere.getByLabel(/^Type/).fill("delete");
    await elsewhere.getByRole("dialog").getByRole("button", { name: "Delete 1 container" }).click();
    await bar(page).getByText("1 selected").waitFor();
    assert.ok(await box(page, "web").isChecked());
    await elsewhere.close();
  }));

test("many are stopped, four at a time; one fails, says why, and stays selected", () =>
  at("containers", { count: 30 }, async (page, fake) => {
    fake.faults.lasting = fake.faults.held = true;
    fake.faults.refused = { c7: "The engine did not answer." };
    await page.getByRole("checkbox", { name: "Select the 30 shown" }).check();
    await bar(page).getByRole("button", { name: "Stop", exact: true }).click();
    await becomes(() => page.getByRole("dialog").getByRole("listitem").count(), 30, "all that it touches are named");
    await page.getByRole("dialog").getByRole("button", { name: "Stop 30 containers" }).click();
    await page.getByRole("progressbar", { name: "Stopping 30 containers" }).waitFor();
    await becomes(() => fake.faults.atWork, 4);
    fake.faults.held = false;
    await told(page, "29 of 30 containers were stopped, 1 failed.");
    await page.getByRole("region", { name: "What failed" }).getByText("The engine did not answer.").waitFor();
    await bar(page).getByText("1 selected").waitFor();
    assert.ok(await box(page, "service-7").isChecked());
    assert.equal(fake.faults.most, 4);
    assert.deepEqual(Object.entries(states(fake)).filter(([, state]) => state === "running"), [["c7", "running"]]);
    await inspect(page, "the containers after a failure");
  }));

test("an order touches only those that it fits, and says which it leaves", () =>
  at("containers", { count: 4 }, async (page, fake) => {
    await box(page, "web").check();
    await order(page, "Stop");
    await told(page, "1 of 1 container was stopped.");
    await page.getByRole("checkbox", { name: "Select the 4 shown" }).check();
    await bar(page).getByRole("button", { name: "Stop 3 of them" }).click();
    await page.getByRole("dialog").getByText("web on edge-1 (it does not run)").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await bar(page).getByRole("button", { name: "Start 1 of them" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Start 1 container" }).click();
    await told(page, "1 of 1 container was started.");
    assert.deepEqual([...new Set(Object.values(states(fake)))], ["running"]);
  }));

test("what is selected is picked in the panels of one container, and what was picked by hand stays until another is selected", () =>
  at("containers?panel=stop", { count: 4 }, async (page, fake) => {
    const picked = page.getByLabel("Container", { exact: true });
    await picked.getByRole("option", { name: /^camera on/ }).waitFor({ state: "attached" });
    const select = await picked.elementHandle();
    const is = (id) => page.waitForFunction(([select, id]) => select.value === id, [select, id]);
    await box(page, "web").check();
    await is("c1");
    await picked.selectOption("c2");
    await box(page, "web").uncheck();
    await is("c2");
    await box(page, "web").check();
    await is("c1");
    await page.getByRole("button", { name: "Stop container" }).click();
    await page.getByRole("main").getByText("web was stopped.").waitFor();
    await is("");
    await page.getByRole("button", { name: "Start", exact: true }).and(page.locator("[aria-expanded]")).click();
    await page.getByRole("button", { name: "Start container" }).click();
    await page.getByRole("main").getByText("web was started.").waitFor();
    assert.equal(states(fake).c1, "running");
    await box(page, "camera").check();
    await page.getByRole("button", { name: "Delete", exact: true }).and(page.locator("[aria-expanded]")).click();
    await page.getByText("2 are selected in the table; the buttons there are for all of them.").waitFor();
    await becomes(() => page.getByLabel("Container", { exact: true }).inputValue(), "");
    await inspect(page, "a panel beside a selection");
  }));

test("deleting wants its word typed, and only what the filter leaves is touched", () =>
  at("containers?filter=service-", { count: 6 }, async (page, fake) => {
    await page.getByRole("checkbox", { name: "Select the 3 shown" }).check();
    await bar(page).getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    const button = dialog.getByRole("button", { name: "Delete 3 containers" });
    assert.ok(await button.isDisabled());
    await inspect(page, "the question");
    await dialog.getByLabel(/^Type/).fill("delete");
    await button.click();
    await told(page, "3 of 3 containers were deleted.");
    await page.getByText("Nothing matches “service-”.").waitFor();
    assert.deepEqual(Object.keys(states(fake)), ["c0", "c1", "c2"]);
  }));

test("containers of a device out of reach say as of when, can be picked out, and nothing is offered to a viewer", () =>
  at("containers", { count: 8, role: "viewer", busy: false }, async (page) => {
    await page.getByLabel("State").selectOption({ label: "device out of reach (2)" });
    await page.getByRole("row", { name: /service-7 .*last known.* as of/ }).waitFor();
    await page.waitForURL(/state=unreachable/);
    await becomes(async () => (await names(page)).length, 2);
    assert.equal(await table(page).getByRole("checkbox").count(), 0);
    await page.setViewportSize({ width: 390, height: 800 });
    await inspect(page, "the table on a phone");
  }));
