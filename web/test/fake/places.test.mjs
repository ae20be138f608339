// Going from page to page, in a real Chromium: where one comes to, where the keyboard is then, and where Back leads.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

test("Back leads to where one was in a long list, and another page begins at its top", () =>
  visit("devices", { serving: { count: 300 } }, async (page) => {
    const link = page.getByRole("main").getByRole("link", { name: "edge-200", exact: true });
    await link.evaluate((element) => element.scrollIntoView({ block: "center" }));
    await page.waitForFunction(() => history.state?.top === scrollY);
    const top = await page.evaluate(() => scrollY);
    assert.ok(top > 1_000, `edge-200 is only ${top} px down`);
    await link.click();
    await page.getByRole("heading", { level: 1, name: "edge-200" }).waitFor();
    await page.waitForFunction(() => scrollY === 0);
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    await page.waitForFunction((top) => Math.abs(scrollY - top) < 2, top);
  }));

test("the keyboard goes on in the page that a link leads to", () =>
  visit("overview", {}, async (page) => {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Devices" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("main", { name: "Devices" }).and(page.locator(":focus")).waitFor();
  }));

test("a page for others says for whom it is", () =>
  visit("tokens", { serving: { role: "viewer" } }, async (page) => {
    await page.getByText("This page is for owners of the tenant.").waitFor();
    await page.getByRole("heading", { level: 1, name: "Tokens" }).waitFor();
  }));

test("a name without a space does not widen a telephone", () =>
  visit(
    "overview",
    {
      browsing: { viewport: { width: 320, height: 700 } },
      prepare: async (_, fake) => {
        Object.assign(fake.things.devices[0], { name: "d".repeat(63), liveness: "offline", reasons: ["r".repeat(80)] });
      },
    },
    async (page) => {
      await page.getByRole("main").getByText("d".repeat(63)).first().waitFor();
      for (const name of ["Overview", "Devices", "Containers"]) {
        await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).click();
        await page.getByRole("heading", { level: 1, name }).waitFor();
        await page.getByRole("main").getByText("d".repeat(63)).first().waitFor();
        await becomes(() => page.evaluate(() => document.documentElement.scrollWidth <= 320), true, name);
      }
    },
  ));
