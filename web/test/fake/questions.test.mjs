// Questions before something is destroyed, in a real Chromium: nothing is done before they are answered, and they stay until then.
import assert from "node:assert/strict";
import { test } from "node:test";
import AxeBuilder from "@axe-core/playwright";
import { told } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, run) => visit(address, { serving: { count: 3 } }, run);

test("a version goes after a question, an application after its name was typed", () =>
  at("applications", async (page) => {
    await page.getByRole("button", { name: "More about web" }).click();
    await page.getByRole("button", { name: "Delete version 3 of web" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("web, version 3").waitFor();
    assert.deepEqual((await new AxeBuilder({ page }).analyze()).violations.map(({ id }) => id), []);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Delete version 3 of web" }).click();
    await dialog.getByRole("button", { name: "Delete version 3" }).click();
    await told(page, "Version 3 of web was deleted.");
    await page.getByRole("button", { name: "Delete web…" }).click();
    const go = dialog.getByRole("button", { name: "Delete application" });
    await go.and(page.locator(":disabled")).waitFor();
    await dialog.getByLabel(/^Type/).fill("web");
    await go.click();
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("heading", { level: 3, name: "web" }).waitFor({ state: "detached" });
  }));

test("the login is asked for until it is given, however often Escape is pressed", () =>
  at("audit", async (page) => {
    const save = page.getByRole("button", { name: "Export as CSV" });
    // The login ends when the page is there, not before.
    await save.waitFor();
    await page.route("**/api/session", (route) => route.fulfill({ status: 401, json: { detail: "Log in." } }));
    await save.click();
    const dialog = page.getByRole("dialog", { name: "Log in again" });
    await dialog.waitFor();
    for (let times = 0; times < 3; times += 1) await page.keyboard.press("Escape");
    // What a closed dialog is left by is told a moment later; the keyboard still types into this one.
    await page.keyboard.type("secret");
    await dialog.getByLabel("Password").and(page.locator(":focus")).waitFor();
    assert.ok(await dialog.isVisible());
  }));
