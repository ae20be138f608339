// The router dies and comes back; the dashboard repairs itself without a reload.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { env, launch, logIn, open, skip } from "./browser.mjs";

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const reason = skip || (env.restartRouter ? false : "set ECEP_RESTART_ROUTER to a command that restarts the router");

test("a restart of the router shows a banner, and everything is live again without a reload", { skip: reason }, async () => {
  const { page, complaints, close } = await open(browser);
  await logIn(page);
  const cpu = page.locator("[data-value]").first();
  await cpu.filter({ hasText: /\d/ }).waitFor();
  await page.evaluate(() => {
    window.notReloaded = true;
  });
  const banner = page.getByRole("status").filter({ hasText: "Reconnecting" });

  // Looked for with each frame that the page draws: a router may be back within the same second, and long before the command has ended.
  const broken = page.waitForFunction(() => [...document.querySelectorAll("[role=status]")].some(({ textContent }) => textContent.includes("Reconnecting")));
  await Promise.all([broken, promisify(execFile)("sh", ["-c", env.restartRouter])]);
  await banner.waitFor({ state: "hidden" });
  const then = await cpu.innerText();
  await page.waitForFunction((then) => {
    const now = document.querySelector("[data-value]")?.textContent ?? "";
    return /\d/.test(now) && now !== then;
  }, then);

  assert.equal(await page.evaluate(() => window.notReloaded), true);
  assert.deepEqual(complaints, []);
  await close();
});
