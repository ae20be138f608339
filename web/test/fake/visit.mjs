// One visit of a person to what is pretended, in a real Chromium that all tests of a program share: it ends also where the test
// fails, and nothing that the browser complains about stays unsaid.
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { launch, open } from "../../e2e/browser.mjs";
import { serve } from "./server.mjs";

/** The browser, once the tests have begun. */
export let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/** The connection breaks, and stays away until the answer is called. */
export async function breakOff(page, fake) {
  let away = true;
  let letIn;
  const open = new Promise((resolve) => (letIn = resolve));
  await page.route("**/api/wamp-ticket", async (route) => {
    if (away) return route.abort();
    await open;
    await route.continue();
  });
  fake.dropConnections();
  await page.getByText(/^Reconnecting/).waitFor();
  return async () => {
    // The page tries again by itself, too: what would end the breach waits until the button was pressed.
    away = false;
    await page.getByRole("button", { name: "Retry now" }).click();
    letIn();
    await page.getByText(/^Reconnecting/).waitFor({ state: "detached" });
  };
}

/**
 * Opens an address of a platform that pretends (`serving`, as `serve` takes it) in a window (`browsing`, as Playwright takes it);
 * `prepare` is called before, with the page and the platform.
 */
export async function visit(address, { serving = {}, browsing = {}, prepare = async () => {} }, run) {
  const fake = await serve(serving);
  const { page, complaints, close } = await open(browser, browsing);
  try {
    await prepare(page, fake);
    await page.goto(`${fake.url}/#/${address}`);
    await run(page, fake);
    assert.deepEqual(complaints, []);
  } finally {
    await close();
    fake.close();
  }
}
