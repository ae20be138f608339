// What once broke at questions and at the keyboard, in a real Chromium. Each test is named after what broke.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, run, more = {}) => visit(address, { serving: { count: 3, admin: true }, ...more }, run);
/** What has the keyboard, as a person would call it. */
const keyboardAt = (page) => page.evaluate(() => {
  const { activeElement: at, body } = document;
  return at === body ? "nowhere" : at.getAttribute("aria-label") ?? at.textContent.trim();
});

test("a double click on what opens a question closed the question again", () =>
  at("tokens", async (page) => {
    await page.getByRole("button", { name: "Revoke program 0" }).dblclick();
    await page.getByRole("dialog", { name: "Revoke an API token" }).waitFor();
    // A press beside it still closes it.
    await page.mouse.click(5, 5);
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }));

test("selecting what was typed past the edge of a question closed it, and what was typed was lost", () =>
  at("device?device=d0&panel=remove", async (page) => {
    await page.getByRole("button", { name: "Remove the device…" }).click();
    const word = page.getByRole("dialog").getByRole("textbox");
    await word.fill("edge-");
    const { x, y, height } = await word.boundingBox();
    await page.mouse.move(x + 30, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(5, y, { steps: 4 });
    await page.mouse.up();
    // The next press is one beside the question by itself, so what the first would have done is done by now.
    assert.equal(await word.inputValue(), "edge-");
  }));

test("the word that a question wants had to be gone to first", () =>
  at("device?device=d1&panel=remove", async (page) => {
    await page.getByRole("button", { name: "Remove the device…" }).click();
    await page.getByRole("dialog").waitFor();
    await page.keyboard.type("edge-1");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
  }));

test("the keyboard was nowhere after the thing went whose button had opened the question", () =>
  at("device?device=d0&panel=images", async (page) => {
    const remove = page.getByRole("button", { name: "Delete team/base:3, team/base:latest" });
    await remove.press("Enter");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).press("Enter");
    await remove.waitFor({ state: "detached" });
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await becomes(() => keyboardAt(page), "Table of images");
  }));

test("the keyboard was nowhere after a form's button was pressed by it", () =>
  at("tokens", async (page) => {
    await page.getByLabel("Name", { exact: true }).fill("grafana");
    await page.getByRole("button", { name: "Make token" }).press("Enter");
    await page.getByText("Made. The secret is shown only now.").waitFor();
    await page.getByRole("button", { name: "Make token" }).and(page.locator(":focus")).waitFor();
  }));

test("the way back left the palette open over another page", () =>
  at("overview", async (page) => {
    await page.getByRole("link", { name: "Tokens" }).click();
    await page.getByRole("heading", { level: 1, name: "Tokens" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog", { name: "Go to" }).waitFor();
    await page.goBack();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  }));

test("there was no way out of the login that is asked for in place but that of the same person", () =>
  at("audit", async (page) => {
    await page.getByRole("button", { name: "Export as CSV" }).waitFor();
    await page.route("**/api/session", (route) => route.fulfill({ status: 401, json: { detail: "Log in." } }));
    await page.getByRole("button", { name: "Export as CSV" }).click();
    await page.getByRole("dialog", { name: "Log in again" }).getByRole("button", { name: "Use another account" }).click();
    await page.getByRole("heading", { level: 1, name: "Log in to ECEP" }).waitFor();
    await becomes(() => page.title(), "Log in · ECEP", "the title was that of the page before");
    await page.getByLabel("E-mail").fill("bob@example.test");
  }));

test("no role but the next one could be chosen by keyboard: each arrow asked whether it is meant", () =>
  at("members", async (page, fake) => {
    const role = page.getByLabel("Role of person2@a-company-with-a-long-name.example.test", { exact: true });
    await becomes(() => role.inputValue(), "viewer");
    await role.press("ArrowDown");
    await role.press("ArrowDown");
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog", { name: "Change a role from viewer to owner" }).waitFor();
    await page.keyboard.press("Escape");
    await role.and(page.locator(":focus")).waitFor();
    await becomes(() => role.inputValue(), "viewer", "it shows what is");
    await role.press("ArrowDown");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("button", { name: "Make them operator" }).press("Enter");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await role.and(page.locator(":focus")).waitFor();
    assert.equal(fake.things.people.members[2].role, "operator");
  }));
