// Every page, in both themes, wide and narrow: usable by everybody, and nothing that the policy forbids.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import AxeBuilder from "@axe-core/playwright";
import { env, go, launch, logIn, open, panel, skip } from "./browser.mjs";

const PAGES = ["Overview", "Containers", "Devices", "Tokens"];

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

async function inspect(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
  assert.deepEqual(told, [], where);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(overflow <= 0, `${where} is ${overflow} px too wide`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    test(`axe finds nothing, ${colorScheme}, ${width} px`, { skip }, async () => {
      const { page, complaints, close } = await open(browser, { colorScheme, viewport: { width, height: 900 } });
      await page.goto(env.url);
      await page.getByLabel("E-mail").waitFor();
      await inspect(page, "login");
      await logIn(page);
      for (const name of PAGES) {
        await go(page, name);
        if (name === "Containers") await panel(page, "Create a container");
        if (name === "Devices") await panel(page, "Enrol a device");
        await inspect(page, name);
      }
      assert.deepEqual(complaints, []);
      await close();
    });
  }
}

test("the keyboard alone opens a page and a panel", { skip }, async () => {
  const { page, close } = await open(browser);
  await logIn(page);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.getByRole("link", { name: "Containers" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
  await page.getByRole("button", { name: "Logs" }).focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Lines").waitFor();
  assert.match(page.url(), /panel=logs/);
  await page.reload();
  await page.getByLabel("Lines").waitFor();
  await close();
});
