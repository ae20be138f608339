// A person moves a container to the other device: looks first, orders it, watches it, and finds it there.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chooseDestination, createContainer, deviceOf, inspect, launch, logIn, open, panel, PATIENCE, pickContainer, row, skip } from "./browser.mjs";

/** A move of a small container takes seconds; on a busy machine, with its image, much longer. In milliseconds. */
const MOVED_WITHIN = 300_000;

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

test("a container is moved to the other device, stays on the page all the while, and has its figures", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const name = `mover-${Date.now().toString(36)}`;
  await logIn(page);
  await createContainer(page, name);
  const from = await deviceOf(page, name);
  await page.evaluate(() => {
    window.notReloaded = true;
  });

  await panel(page, "Move to another device");
  await pickContainer(page, name);
  const address = page.url();
  const to = await chooseDestination(page);
  await allowed(page);
  await page.getByText(/^By estimate the move takes about/).waitFor();
  await page.getByText("Options", { exact: true }).click();
  await page.getByLabel(`Keep a stopped copy on ${from}`).check();
  await inspect(page, "the options of a move");
  await page.getByRole("button", { name: /^Move( cold)?$/ }).click();

  const moved = page.getByRole("status").filter({ hasText: `${name} moved from ${from} to ${to}` });
  await moved.waitFor({ timeout: MOVED_WITHIN });
  await page.getByText(/Downtime: \d+ ms/).waitFor();
  await page.getByRole("region", { name: "Phases of the last move" }).getByText("Sending").waitFor();
  await page.getByRole("region", { name: "Table of moves" }).getByText("Done.").waitFor();
  await row(page, name).getByRole("cell", { name: to, exact: true }).first().waitFor();
  await row(page, name).getByText("running").waitFor();
  assert.equal(page.url(), address, "the page of the container is the same");
  assert.equal(await page.evaluate(() => window.notReloaded), true);

  await page.reload();
  await moved.waitFor();
  await page.setViewportSize({ width: 390, height: 900 });
  const copy = page.getByRole("button", { name: `Delete the copy of ${name} on ${from}` });
  await copy.waitFor();
  await inspect(page, "a move that is over");
  await copy.click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("status").filter({ hasText: `The stopped copy of ${name} was deleted.` }).waitFor();
  await copy.waitFor({ state: "detached" });
  await panel(page, "Delete");
  await pickContainer(page, name);
  await page.getByLabel("Type the name to confirm").fill(name);
  await page.getByRole("button", { name: "Delete container" }).click();
  await row(page, name).waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
  await close();
});

/** Presses what may have gone meanwhile, since the page looks again by itself. */
const press = (button) => button.click({ timeout: 5_000 }).catch(() => undefined);

/** Waits for a verdict, and says yes to a cold move where only that can be. */
async function allowed(page) {
  const checks = page.getByRole("list", { name: "Checks" });
  const tryAgain = page.getByRole("button", { name: "Try again" });
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    await checks.or(tryAgain).first().waitFor();
    // The control plane hears of a new container within seconds.
    if (await tryAgain.isVisible()) await press(tryAgain);
    // An agent that has just started tries out for some seconds whether it can move containers live.
    else if ((await checks.getByText(/being tried out/).count()) > 0) await press(page.getByRole("button", { name: "Check again" }));
    else break;
    assert.ok(Date.now() < deadline, await page.getByRole("main").innerText());
  }
  const cold = page.getByLabel(/^Move cold/);
  if ((await cold.count()) > 0) {
    assert.ok(await page.getByRole("button", { name: "Move cold" }).isDisabled(), "a cold move must be chosen first");
    await cold.check();
  }
}
