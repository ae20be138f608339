// A person saves a container, brings it back as it was, copies what was saved to the other device, and deletes it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  addressOf,
  createContainer,
  deviceOf,
  inspect,
  launch,
  logIn,
  open,
  panel,
  PATIENCE,
  pickContainer,
  portOf,
  row,
  skip,
  told,
} from "./browser.mjs";

/** A checkpoint of a small container takes seconds; on a busy machine much longer. In milliseconds. */
const DONE_WITHIN = 300_000;

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

test("a container is saved, brought back with what it had in memory, copied to the other device and deleted", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const name = `saved-${Date.now().toString(36)}`;
  await logIn(page);
  await createContainer(page, name, "8080");
  const from = await deviceOf(page, name);
  const address = await addressOf(page, from);
  const before = await count(page, address, name);
  const add = async () => Number(await ask(`http://${address}:${await portOf(page, name)}/add`, "POST"));
  const saved = await add();
  assert.equal(saved, before + 1);

  await panel(page, "Checkpoints");
  await pickContainer(page, name);
  await page.getByText("No checkpoint yet.").waitFor();
  const list = page.getByRole("list", { name: "Checkpoints" });
  const item = (device) => list.getByRole("listitem").filter({ hasText: `on ${device}` });
  const save = page.getByRole("button", { name: /^Save checkpoint/ });
  await page.getByLabel("Name of the checkpoint").fill("Not A Name");
  await save.click();
  await page.getByRole("alert").filter({ hasText: "at place 1" }).waitFor();
  assert.ok(await page.getByLabel("It goes on running afterwards").isChecked());
  await page.getByLabel("Name of the checkpoint").fill("first");
  await page.getByText("More", { exact: true }).click();
  await page.getByLabel("Directory").fill("kept");
  await save.click();
  await item(from).getByText("directory kept").waitFor({ timeout: DONE_WITHIN });
  assert.equal(await add(), saved + 1, "it goes on");
  assert.ok(await item(from).getByRole("button", { name: "Restore (it runs; stop it first)" }).isDisabled());

  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [390, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      await inspect(page, `checkpoints, ${colorScheme}, ${width} px`);
    }
  }

  await panel(page, "Stop");
  await pickContainer(page, name);
  await page.getByRole("button", { name: "Stop container" }).click();
  await row(page, name).getByText(/exited/).waitFor();
  await panel(page, "Checkpoints");
  await item(from).getByRole("button", { name: "Restore", exact: true }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Restore", exact: true }).click();
  await row(page, name).getByText("running").waitFor({ timeout: DONE_WITHIN });
  assert.equal(await count(page, address, name), saved, "as it was saved");

  await item(from).getByRole("button", { name: "Copy…" }).click();
  const select = item(from).getByLabel("Copy to");
  const other = await select.locator("option:not([disabled])").first().getAttribute("value");
  await select.selectOption(other);
  const to = (await select.locator(`option[value="${other}"]`).innerText()).trim();
  await inspect(page, "where to copy a checkpoint");
  await item(from).getByRole("button", { name: "Copy", exact: true }).click();
  await item(to).getByText("directory kept").waitFor({ timeout: DONE_WITHIN });
  await told(page, `Checkpoint first was copied to ${to}.`);

  for (const device of [from, to]) {
    await item(device).getByRole("button", { name: `Delete first on ${device}` }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    // The question names the checkpoint, too.
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await item(device).waitFor({ state: "detached" });
  }
  await page.getByText("No checkpoint yet.").waitFor();

  await panel(page, "Delete");
  await pickContainer(page, name);
  await page.getByLabel("Type the name to confirm").fill(name);
  await page.getByRole("button", { name: "Delete container" }).click();
  await row(page, name).waitFor({ state: "detached" });
  assert.deepEqual(complaints, []);
  await close();
});

/** What the counter says, as soon as it does: a container runs before its port is served, and has another one then. */
async function count(page, address, name) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    try {
      return Number(await ask(`http://${address}:${await portOf(page, name)}/count`));
    } catch (problem) {
      assert.ok(Date.now() < deadline, `${name} does not answer: ${problem}`);
    }
  }
}

async function ask(url, method = "GET") {
  const answer = await fetch(url, { method, headers: { connection: "close" } });
  return answer.text();
}
