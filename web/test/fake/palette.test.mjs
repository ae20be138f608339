// The command palette in a real Chromium: by keyboard alone, with a large fleet, on a telephone, and for a viewer.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, serving, run, browsing = {}) =>
  visit(address, { serving: { count: 3, ...serving }, browsing }, async (page, fake) => {
    await page.getByRole("cell", { name: /^camera/ }).first().waitFor();
    await run(page, fake);
  });

const dialog = (page) => page.getByRole("dialog", { name: "Go to" });
const field = (page) => dialog(page).getByRole("combobox");
const chosen = (page) => dialog(page).getByRole("option", { selected: true });

test("Ctrl-K, some letters and Enter go there, and the focus is in what was gone to", () =>
  at("overview", {}, async (page) => {
    await page.keyboard.press("Control+k");
    await field(page).pressSequentially("log cam");
    await chosen(page).getByText("Logs: camera").waitFor();
    assert.equal(await field(page).getAttribute("aria-activedescendant"), await chosen(page).getAttribute("id"));
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "camera" }).waitFor();
    await page.waitForURL(/container=c0&panel=logs/);
    await page.waitForFunction(() => document.activeElement?.id === "content");
  }));

test("arrows go round the list, Escape closes, and the focus goes back to where it was", () =>
  at("overview", {}, async (page) => {
    const filter = page.getByRole("searchbox", { name: "Filter" });
    await filter.focus();
    await page.keyboard.press("Control+k");
    await chosen(page).getByText("Overview").waitFor();
    await page.keyboard.press("ArrowDown");
    await chosen(page).getByText("Applications").first().waitFor();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowUp");
    await dialog(page).getByRole("option").last().and(page.locator("[aria-selected=true]")).waitFor();
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    await filter.and(page.locator(":focus")).waitFor();
    await page.waitForURL(/overview$/);
  }));

test("an application that runs nowhere is found, and a restart leads to its panel with the container picked", () =>
  at("overview", {}, async (page, fake) => {
    fake.things.applications.push({ name: "zürich", versions: [], created_at: 1 });
    await page.getByRole("button", { name: "Go to…" }).click();
    await field(page).fill("zurich");
    await chosen(page).getByText("zürich").waitFor();
    await field(page).fill("restart web");
    await chosen(page).getByText("Restart: web").waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
    await page.waitForFunction(() => document.querySelector("#restart-container")?.value === "c1");
    await page.getByRole("button", { name: "Restart container" }).waitFor();
  }));

test("a thousand containers stay a short list", () =>
  at("containers?filter=camera", { count: 1_000 }, async (page) => {
    await page.keyboard.press("Control+k");
    await field(page).fill("service");
    await dialog(page).getByText(/^20 of [\d.,]+; another word narrows it/).waitFor();
    await becomes(() => dialog(page).getByRole("option").count(), 20);
    await field(page).fill("service 777");
    await chosen(page).getByText("service-777", { exact: true }).waitFor();
    await field(page).fill("nothing is called so");
    await dialog(page).getByText("Nothing is called that.").waitFor();
  }));

test("a viewer is offered to look, and nothing else", () =>
  at("overview", { role: "viewer" }, async (page) => {
    await page.keyboard.press("Control+k");
    await field(page).fill("camera");
    await dialog(page).getByRole("option", { name: /Logs: camera/ }).waitFor();
    for (const word of ["terminal", "restart", "audit", "tokens", "enrol"]) {
      await field(page).fill(word);
      await dialog(page).getByText("Nothing is called that.").waitFor();
    }
  }));

test("on a telephone it fits, and a touch goes there", () =>
  at("overview", {}, async (page) => {
    await page.getByRole("button", { name: "Go to…" }).tap();
    await field(page).fill("edge-2");
    const { x, width } = await dialog(page).boundingBox();
    assert.ok(x >= 0 && x + width <= 390);
    await dialog(page).getByRole("option", { name: /^edge-2/ }).tap();
    await page.waitForFunction(() => location.hash === "#/device?device=d2");
  }, { viewport: { width: 390, height: 780 }, hasTouch: true }));

test("a question mark shows the keys, but not where it is typed into a field", () =>
  at("overview", {}, async (page) => {
    const keys = page.getByRole("dialog", { name: "Keys" });
    const filter = page.getByRole("searchbox", { name: "Filter" });
    await filter.focus();
    await page.keyboard.press("?");
    await page.waitForFunction(() => location.hash.endsWith("filter=%3F"));
    assert.equal(await keys.count(), 0);
    await page.getByRole("main").focus();
    await page.keyboard.press("?");
    await keys.getByText("Show these keys").waitFor();
    await page.keyboard.press("Control+k");
    assert.equal(await dialog(page).count(), 0, "nothing comes over an open dialog");
    await page.keyboard.press("Escape");
    await keys.waitFor({ state: "detached" });
  }));
