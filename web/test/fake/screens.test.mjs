// Screens of applications and of a container in a real Chromium against a fleet that only pretends: what a person does
// with them, by role and label. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, panel } from "../../e2e/browser.mjs";
import { breakOff, visit } from "./visit.mjs";

const at = (address, serving, run) => visit(address, { serving }, run);

test("a deployment to a place says why, then how it goes on each device", () =>
  at("applications?panel=deploy&application=web", { count: 5 }, async (page) => {
    await page.getByRole("radio", { name: "Nearest to a place" }).check();
    await page.getByRole("combobox", { name: "Place" }).fill("san j");
    await page.getByRole("option", { name: "San Jose, CA, US" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByLabel("On how many devices").fill("3");
    await page.getByRole("row", { name: /edge-0 .*yes.*nearest with room/ }).waitFor();
    await page.getByRole("row", { name: /edge-3 .*no.*offline/ }).waitFor();
    await page.getByRole("button", { name: "Deploy to 3 devices" }).click();
    await page.getByText("Deployed on 1 of 3 devices, failed on 2.").waitFor();
    await page.getByText("The build ended with exit code 1").first().waitFor();
  }));

test("a container is rolled back, and the page says which version it runs", () =>
  at("container?container=c1&panel=update", { count: 3 }, async (page) => {
    await page.getByText("runs version 3 of web").waitFor();
    await page.getByRole("button", { name: "Roll back to version 2" }).click();
    await page.getByText("web, version 2").waitFor();
    await page.getByRole("button", { name: "Update to version 3" }).waitFor();
  }));

test("a flood of output stays bounded, is cut in width, and ends when it is left", () =>
  at("container?container=c0&panel=logs", { count: 3 }, async (page, fake) => {
    await page.getByText("request 199").first().waitFor();
    assert.equal(await page.locator("main b").count(), 0, "output is no markup");
    fake.faults.flood = 1_000;
    await page.getByText(/older lines skipped/).waitFor();
    fake.faults.flood = 0;
    await page.getByText(/more characters/).first().waitFor({ state: "attached" });
    const lines = await page.getByRole("region", { name: "Output" }).locator("time").count();
    assert.ok(lines <= 5_000, `${lines} lines are in the page`);
    await page.getByLabel("Search").fill("request 7");
    await page.getByText("request 70").first().waitFor();
    await page.getByLabel("Search").fill("answered");
    await page.getByLabel("Stream").selectOption("stderr");
    await page.getByLabel("in UTC").check();
    await page.getByText(/\d\dZ/).first().waitFor();
    await page.goto(`${fake.url}/#/containers`);
    await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
    while (fake.faults.follows > 0) await new Promise((resolve) => setImmediate(resolve));
  }));

test("folders are walked, and a file comes as a download", () =>
  at("container?container=c0&panel=files", { count: 3 }, async (page) => {
    await page.getByRole("button", { name: "secret/" }).click();
    await page.getByRole("alert").filter({ hasText: "permission denied" }).waitFor();
    await page.getByRole("navigation", { name: "Folder" }).getByRole("button", { name: "/" }).click();
    await page.getByRole("button", { name: "Fetch reading-1.json" }).click();
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "Download the file reading-1.json" }).click();
    assert.equal((await download).suggestedFilename(), "fetched.txt");
  }));

test("a terminal takes what is typed, tells how it ended, and lets the keyboard out", () =>
  at("container?container=c0&panel=terminal", { count: 3 }, async (page) => {
    await page.getByRole("button", { name: "Open a terminal" }).click();
    await page.getByText("root@web").first().waitFor();
    await page.keyboard.type("hello\r");
    await page.getByText("you said").first().waitFor();
    await page.keyboard.press("Shift+Tab");
    await page.getByRole("button", { name: "Close the terminal" }).and(page.locator(":focus")).waitFor();
    await page.getByRole("textbox", { name: "Terminal input" }).focus();
    await page.keyboard.type("exit 3\r");
    await page.getByText("The terminal has ended with exit code 3.").waitFor();
    await page.getByText("you said").first().waitFor();
    await page.getByRole("button", { name: "Open a new terminal" }).and(page.locator(":focus")).press("Enter");
    await page.getByText("root@web").first().waitFor();
    await becomes(() => page.getByText("you said").count(), 0, "the next one begins anew");
  }));

test("a viewer is offered to look, and nothing else", () =>
  at("applications", { count: 3, role: "viewer" }, async (page, fake) => {
    await page.getByRole("heading", { name: "camera" }).waitFor();
    const offered = () => page.getByRole("main").getByRole("button").allInnerTexts();
    assert.doesNotMatch((await offered()).join(), /New version|Update|Delete/);
    await panel(page, "Deploy");
    await page.getByLabel("Application", { exact: true }).selectOption("web");
    assert.equal(await page.getByRole("button", { name: /^Deploy \d|^Deploy$/ }).and(page.locator(":not([aria-expanded])")).count(), 0);
    await page.goto(`${fake.url}/#/container?container=c0`);
    await page.getByRole("heading", { level: 1, name: "camera" }).waitFor();
    assert.doesNotMatch((await offered()).join(), /Files|Terminal|Update/);
  }));

test("a broken connection says so, and what was shown stays", () =>
  at("applications", { count: 3 }, async (page, fake) => {
    await page.getByRole("heading", { name: "camera" }).waitFor();
    const mend = await breakOff(page, fake);
    await page.getByRole("heading", { name: "camera" }).waitFor();
    await mend();
  }));
