// Alerts and notices in a real Chromium against a fleet that only pretends: what a person sees of them, and says to have seen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { alertsOf } from "./answers/alerts.mjs";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, { alerts = [], ...serving }, run) =>
  visit(address, { serving: { count: 3, ...serving }, prepare: async (_page, fake) => void (fake.things.alerts = alerts) }, run);

const link = (page) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: /^Alerts/ });

test("without an alert the main screen shows no strip and the column no number", () =>
  at("overview", {}, async (page, fake) => {
    while (!fake.faults.alertsListed) await new Promise((resolve) => setImmediate(resolve));
    await page.getByText("Containers running").waitFor();
    assert.equal(await page.getByRole("region", { name: "Active alerts" }).count(), 0);
    await becomes(async () => (await link(page).innerText()).trim(), "Alerts");
  }));

test("the main screen shows the newest five, links to what they are about, and says how many more", () =>
  at("overview", { alerts: alertsOf(8) }, async (page) => {
    const strip = page.getByRole("region", { name: "Active alerts" });
    await strip.waitFor();
    await becomes(() => strip.getByRole("listitem").count(), 5);
    assert.equal(await strip.getByRole("listitem").first().getByRole("link", { name: "edge-0" }).getAttribute("href"), "#/device?device=d0");
    await strip.getByRole("link", { name: "and 3 more" }).click();
    await page.getByRole("heading", { level: 1, name: "Alerts" }).waitFor();
    await page.getByRole("cell", { name: /Restarts again and again/ }).first().waitFor();
  }));

test("one says to have seen an alert: the number falls, who it was stays, the keyboard stays there", () =>
  at("alerts", { alerts: alertsOf(2) }, async (page) => {
    await page.getByRole("link", { name: /^Alerts ?1?, 2 active, 1 not seen/ }).waitFor();
    await page.route("**/api/tenants/acme/members*", (route) =>
      route.fulfill({ json: { members: [{ account: "ann-1", email: "ann@example.test", role: "owner", is_you: true }], next: null } }),
    );
    await page.reload();
    const button = page.getByRole("button", { name: /^Mark as seen: Device offline/ });
    await button.focus();
    await page.keyboard.press("Enter");
    await page.getByText("Seen by ann@example.test").waitFor();
    await page.getByText("2 active, all seen").waitFor({ state: "attached" });
    await page.waitForFunction(() => /Seen by ann/.test(document.activeElement?.textContent ?? ""));
  }));

test("an alert that comes shows up at once, and goes when it is over", () =>
  at("overview", {}, async (page, fake) => {
    await page.getByText("Containers running").waitFor();
    fake.things.alerts = alertsOf(1);
    fake.faults.tell("Notices", { level: "error", text: "Device edge-0 is offline.", at: Date.now() });
    const strip = page.getByRole("region", { name: "Active alerts" });
    await strip.getByText("Device offline").waitFor();
    fake.things.alerts = fake.things.alerts.map((one) => ({ ...one, cleared_at: Date.now() }));
    fake.faults.tell("Notices", { level: "success", text: "Device edge-0 is connected.", at: Date.now() });
    await strip.waitFor({ state: "detached" });
  }));

test("past alerts are paged in the address, and Back goes to the page before", () =>
  at("alerts?which=all", { alerts: alertsOf(70, 66) }, async (page) => {
    const rows = page.getByRole("region", { name: "Table of alerts" }).getByRole("row");
    await rows.nth(50).waitFor();
    await page.getByRole("link", { name: "Older alerts" }).click();
    await rows.nth(20).waitFor();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 20);
    await page.waitForURL(/which=all&after=/);
    await page.goBack();
    await rows.nth(50).waitFor();
    await page.getByLabel("Which").selectOption("active");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 4);
    await page.waitForURL((url) => !url.hash.includes("which"));
  }));

test("a viewer sees alerts and is not asked to mark them", () =>
  at("alerts", { alerts: alertsOf(1), role: "viewer" }, async (page) => {
    await page.getByText("Not seen", { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: /Mark as seen/ }).count(), 0);
  }));

test("a flood of notices covers nothing, is told as a number, and all of it is in the history", () =>
  at("containers", {}, async (page, fake) => {
    // Notices go by themselves: the time that they wait for passes when the test says so.
    await page.clock.install();
    await page.reload();
    await page.getByRole("heading", { level: 2, name: "All containers" }).waitFor();
    await page.getByRole("cell", { name: /^camera/ }).first().waitFor();
    await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 5_000);
    const notices = page.getByRole("complementary", { name: "Notices" });
    for (let index = 0; index < 50; index += 1) fake.faults.tell("Notices", { level: "warning", text: `Device edge-${index} is degraded.`, at: Date.now() });
    fake.faults.tell("Notices", { level: "error", text: "The disk of the control plane is full.", at: Date.now() });
    await page.getByRole("button", { name: "Notices (51 new)" }).waitFor();
    await page.clock.runFor(1_000);
    await notices.getByText("48 more under Notices.").waitFor();
    assert.ok((await notices.boundingBox()).height < 430, "it leaves room for the page");
    await notices.getByRole("alert").getByText("The disk of the control plane is full.").waitFor();
    await page.getByRole("button", { name: "Notices (51 new)" }).focus();
    await page.keyboard.press("Enter");
    const history = notices.getByRole("region", { name: "What you were told" });
    await becomes(() => history.getByRole("listitem").count(), 51);
    await history.getByRole("listitem").first().getByText("Error").waitFor();
    assert.ok((await notices.boundingBox()).y >= 0, "the history does not leave the screen");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Notices", exact: true }).and(page.locator(":focus")).waitFor();
    // The others go by themselves; the error waits.
    await page.clock.runFor(10_000);
    await notices.getByRole("button", { name: /Dismiss: Device edge-0/ }).waitFor({ state: "detached" });
    await notices.getByRole("button", { name: /Dismiss: The disk/ }).click();
    await notices.getByRole("alert").waitFor({ state: "detached" });
  }));
