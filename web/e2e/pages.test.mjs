// Every page, in both themes, wide and narrow: usable by everybody, and nothing that the policy forbids.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { checkpointsListed, chooseDestination, env, go, inspect, launch, logIn, open, panel, pickContainer, skip } from "./browser.mjs";

const PAGES = ["Overview", "Applications", "Containers", "Devices", "Alerts", "Members", "Tokens", "Audit log", "Platform"];

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

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
        if (name === "Applications") {
          for (const title of ["Deploy", "Update or roll back", "Runs", "Uploads", "New version"]) {
            await panel(page, title);
            await inspect(page, title);
          }
        }
        if (name === "Containers") await panel(page, "Create a container");
        if (name === "Devices") await panel(page, "Enrol a device");
        await inspect(page, name);
        if (name === "Containers") {
          await panel(page, "Move to another device");
          await pickContainer(page, "counter");
          await chooseDestination(page);
          await page.getByRole("list", { name: "Checks" }).waitFor();
          await inspect(page, "Move to another device");
          await panel(page, "Checkpoints");
          await checkpointsListed(page);
          await inspect(page, "Checkpoints");
        }
      }
      assert.deepEqual(complaints, []);
      await close();
    });
  }
}

test("nothing secret is where a script, another person or a log could find it", { skip }, async () => {
  const { page, close } = await open(browser);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("websocket", (socket) => asked.push(socket.url()));
  await logIn(page);
  for (const name of PAGES) await go(page, name);
  const kept = await page.evaluate(() => ({ cookie: document.cookie, local: { ...localStorage }, session: { ...sessionStorage } }));
  assert.deepEqual(kept, { cookie: "", local: {}, session: {} });
  for (const address of [page.url(), ...asked]) {
    assert.doesNotMatch(address, /ticket=|token=|password=|secret=/i);
    assert.ok(!address.includes(env.password), address);
  }
  const policy = (await page.request.get(env.url)).headers()["content-security-policy"];
  assert.match(policy, /script-src 'self'|default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe-/);
  await close();
});

test("the keyboard alone opens a page and a panel", { skip }, async () => {
  const { page, close } = await open(browser);
  await logIn(page);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.getByRole("link", { name: "Containers" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
  await page.getByRole("button", { name: "Logs" }).focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Container", { exact: true }).waitFor();
  await page.waitForURL(/panel=logs/);
  await page.reload();
  await page.getByLabel("Container", { exact: true }).waitFor();
  await close();
});
