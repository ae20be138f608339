// People: one is invited, accepts, may do what their role says and no more, changes their password, and is removed. And what
// an administrator, an owner of tokens and a reader of the audit log do.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { env, go, inspect, launch, logIn, open, skip } from "./browser.mjs";

let browser;
before(async () => {
  if (!skip) browser = await launch();
});
after(() => browser?.close());

const fresh = (name) => `${name}-${Date.now().toString(36)}`;
const confirm = (page, name) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();
const PASSWORDS = ["a lamp on the hill", "a boat under the bridge"];

/** Logs in with an address and a password of one's own. */
async function enter(page, email, password) {
  await page.goto(env.url);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

test("somebody is invited, joins, sees what a viewer may, becomes an operator, and is removed", { skip }, async () => {
  const email = `${fresh("maria")}@example.test`;
  const owner = await open(browser, { permissions: ["clipboard-read", "clipboard-write"] });
  await logIn(owner.page);
  await go(owner.page, "Members");
  await owner.page.getByLabel("E-mail").fill(email);
  await owner.page.getByLabel("Role", { exact: true }).selectOption("viewer");
  await owner.page.getByRole("button", { name: "Make invitation" }).click();
  await owner.page.getByRole("region", { name: "Invitation link" }).waitFor();
  await owner.page.getByRole("button", { name: "Copy" }).click();
  await owner.page.getByText("Copied.").waitFor();
  const link = await owner.page.evaluate(() => navigator.clipboard.readText());
  await inspect(owner.page, "members with an invitation");

  const guest = await open(browser);
  await guest.page.goto(link);
  await guest.page.getByRole("heading", { name: /^Join / }).waitFor();
  await inspect(guest.page, "an invitation");
  await guest.page.getByLabel("Password", { exact: true }).fill(PASSWORDS[0]);
  await guest.page.getByLabel("Password, repeated").fill(PASSWORDS[0]);
  await guest.page.getByRole("button", { name: "Make the account and join" }).click();
  await guest.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const navigation = guest.page.getByRole("navigation", { name: "Main" });
  for (const name of ["Tokens", "Audit log", "Platform"]) assert.equal(await navigation.getByRole("link", { name }).count(), 0, name);
  await go(guest.page, "Containers");
  assert.equal(await guest.page.getByRole("button", { name: "Create a container" }).count(), 0);

  await owner.page.reload();
  await owner.page.getByLabel(`Role of ${email}`, { exact: true }).selectOption("operator");
  await owner.page.getByRole("button", { name: `Change the role of ${email}` }).click();
  await confirm(owner.page, "Make them operator");
  await owner.page.getByRole("dialog").waitFor({ state: "detached" });
  // The session of the old role has ended; the page joins again by itself, as who they are now.
  await guest.page.reload();
  await guest.page.getByRole("button", { name: "Create a container" }).waitFor();

  await owner.page.getByRole("button", { name: `Remove ${email}` }).click();
  await confirm(owner.page, "Remove");
  await owner.page.getByRole("row").filter({ hasText: email }).waitFor({ state: "detached" });
  await guest.page.reload();
  await guest.page.getByRole("heading", { level: 1, name: "No tenant" }).waitFor();
  assert.deepEqual([...owner.complaints, ...guest.complaints], []);
  await owner.close();
  await guest.close();
});

test("an administrator makes an account and a tenant; its person changes the password, and the old one is worth nothing", { skip }, async () => {
  const email = `${fresh("otto")}@example.test`;
  const slug = fresh("works");
  const admin = await open(browser);
  await logIn(admin.page);
  await go(admin.page, "Platform");
  await admin.page.getByLabel("Name", { exact: true }).fill("The works");
  await admin.page.getByLabel("Short name").fill(slug);
  await admin.page.getByRole("button", { name: "Make tenant" }).click();
  await admin.page.getByRole("row").filter({ hasText: slug }).waitFor();
  await inspect(admin.page, "tenants");
  await admin.page.goto(`${env.url}/#/platform?part=accounts`);
  await admin.page.getByLabel("E-mail").fill(email);
  await admin.page.getByLabel("First password", { exact: true }).fill(PASSWORDS[0]);
  await admin.page.getByLabel("First password, repeated").fill(PASSWORDS[0]);
  await admin.page.getByLabel("Belongs to").selectOption(slug);
  await admin.page.getByLabel(`Role in ${slug}`).selectOption("owner");
  await admin.page.getByRole("button", { name: "Make account" }).click();
  await admin.page.getByRole("row").filter({ hasText: email }).waitFor();
  await inspect(admin.page, "accounts");

  const { page, close } = await open(browser);
  await enter(page, email, PASSWORDS[0]);
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await page.getByRole("link", { name: email }).click();
  await page.getByRole("row", { name: /this one/ }).waitFor();
  await inspect(page, "one's own account");
  await page.getByLabel("Present password").fill(PASSWORDS[0]);
  await page.getByLabel("New password", { exact: true }).fill(PASSWORDS[1]);
  await page.getByLabel("New password, repeated").fill(PASSWORDS[1]);
  await page.getByRole("button", { name: "Change password" }).click();
  await page.getByRole("status").filter({ hasText: "Your password is changed" }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { level: 1, name: "Log in to ECEP" }).waitFor();
  await enter(page, email, PASSWORDS[0]);
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password", { exact: true }).fill(PASSWORDS[1]);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await close();

  await admin.page.getByRole("button", { name: `Disable ${email}` }).click();
  await confirm(admin.page, "Disable");
  await admin.page.getByRole("button", { name: `Enable ${email}` }).waitFor();
  assert.deepEqual(admin.complaints, []);
  await admin.close();
});

test("a token is made, shown once and revoked, and the audit log tells it", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const name = fresh("grafana");
  await logIn(page);
  await go(page, "Tokens");
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Make token" }).click();
  await page.getByRole("region", { name: "New token" }).waitFor();
  await page.getByRole("button", { name: `Revoke ${name}` }).click();
  await confirm(page, "Revoke");
  await page.getByRole("button", { name: `Revoke ${name}` }).waitFor({ state: "detached" });
  await go(page, "Audit log");
  await page.getByRole("row").filter({ hasText: env.email }).first().waitFor();
  await inspect(page, "the audit log");
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export as CSV" }).click();
  assert.match((await download).suggestedFilename(), /\.csv$/);
  assert.deepEqual(complaints, []);
  await close();
});
