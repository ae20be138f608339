// Pages about people in a real Chromium, against a fleet that only pretends: members, invitations, one's own account, the
// installation's accounts and tenants, and tokens. What a person does with them, by role and label.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, told } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const PASSWORD = "a lamp on the hill";

/** Goes to an address of a pretended platform. `session` answers for who is logged in: nothing is nobody. */
const at = (address, { session, ...serving }, run) => {
  const prepare = async (page, fake) => {
    if (!session) return;
    await page.route("**/api/session", (route) => {
      const view = session(fake);
      return view ? route.fulfill({ json: view }) : route.fulfill({ status: 401, json: { status: 401, detail: "Log in first." } });
    });
  };
  return visit(address, { serving: { count: 3, ...serving }, prepare }, run);
};

const view = (email, ...memberships) => ({
  email,
  admin: true,
  memberships: memberships.map(([tenant, role]) => ({ tenant, tenant_name: tenant === "acme" ? "Acme Ltd" : tenant, role })),
  expires_at: Date.now() + 3_600_000,
});
const confirm = (page, name) => page.getByRole("dialog").getByRole("button", { name, exact: true }).click();

test("an owner invites somebody, copies the link, and withdraws it", () =>
  at("members", {}, async (page, fake) => {
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByLabel("E-mail").fill("person1@a-company-with-a-long-name.example.test");
    await page.getByRole("button", { name: "Make invitation" }).click();
    await page.getByRole("alert").filter({ hasText: "has this address already" }).waitFor();
    assert.match(await page.getByLabel("E-mail").inputValue(), /person1/, "what was typed stays");
    await page.getByLabel("E-mail").fill("maria@example.test");
    await page.getByLabel("Role", { exact: true }).selectOption("operator");
    await page.getByLabel("Good for").selectOption("30 days");
    await page.getByRole("button", { name: "Make invitation" }).click();
    await page.getByRole("region", { name: "Invitation link" }).waitFor();
    await page.getByRole("button", { name: "Copy" }).click();
    await page.getByText("Copied.").waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(`^${fake.url}/#/invitation/inv-\\d+\\.s3cret$`));
    await page.getByRole("button", { name: "Withdraw the invitation of maria@example.test" }).click();
    await confirm(page, "Withdraw");
    await page.getByRole("row", { name: /maria/ }).waitFor({ state: "detached" });
    await becomes(() => page.getByRole("region", { name: "Invitation link" }).count(), 0, "a dead link is not handed over");
    await becomes(() => page.evaluate(() => document.activeElement?.textContent), "Invitations that wait");
  }));

test("an owner changes a role and removes a member, after a question", () =>
  at("members", {}, async (page, fake) => {
    const role = page.getByLabel("Role of person1@a-company-with-a-long-name.example.test", { exact: true });
    const change = page.getByRole("button", { name: "Change the role of person1@a-company-with-a-long-name.example.test" });
    await role.selectOption("viewer");
    await change.click();
    await page.getByRole("dialog", { name: "Change a role from operator to viewer" }).waitFor();
    await page.keyboard.press("Escape");
    await becomes(() => role.inputValue(), "operator", "nothing has changed yet");
    await role.selectOption("viewer");
    await change.click();
    await confirm(page, "Make them viewer");
    await told(page, /is viewer now/);
    assert.equal(fake.things.people.members[1].role, "viewer");
    await page.getByRole("button", { name: "Remove person1@" }).click();
    await confirm(page, "Remove");
    await page.getByRole("cell", { name: "person-0001" }).waitFor({ state: "detached" });
  }));

test("the last owner is told why they cannot leave, and who may leave is in their other tenant", () =>
  at(
    "members",
    { session: (fake) => (fake.things.people.members[0]?.is_you ? view("ann@example.test", ["acme", "owner"], ["beta", "viewer"]) : view("ann@example.test", ["beta", "viewer"])) },
    async (page, fake) => {
      await page.getByRole("button", { name: "Leave Acme Ltd" }).click();
      await confirm(page, "Leave it");
      await page.getByRole("alert").filter({ hasText: "This is the last owner of acme" }).waitFor();
      fake.things.people.members[1].role = "owner";
      await confirm(page, "Leave it");
      await told(page, "You have left Acme Ltd.");
      await page.getByRole("navigation", { name: "Main" }).getByText("beta").waitFor();
    },
  ));

test("a viewer sees who is there, and is offered no changes but to leave", () =>
  at("members", { role: "viewer" }, async (page) => {
    await page.getByRole("cell", { name: "person-0001" }).waitFor();
    await becomes(() => page.getByRole("main").getByRole("button").allInnerTexts(), ["Leave"]);
    assert.equal(await page.getByRole("main").getByRole("combobox").count(), 0);
    assert.equal(await page.getByRole("heading", { name: /nvit/ }).count(), 0);
  }));

test("a long list comes page by page, and the filter looks beyond the page", () =>
  at("members", { count: 300 }, async (page) => {
    await page.getByText("100 are here; there are more.").waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    await page.getByText("200 are here; there are more.").waitFor();
    await page.getByLabel("Filter").fill("person299@");
    await page.getByRole("cell", { name: "person-0299" }).waitFor();
    await page.waitForURL(/filter=person299/);
  }));

test("what could not be loaded is said, and tried again", () =>
  at("account", {}, async (page, fake) => {
    fake.faults.members = true;
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Members" }).click();
    await page.getByRole("alert").filter({ hasText: "is starting" }).waitFor();
    fake.faults.members = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("cell", { name: "person-0001" }).waitFor();
  }));

test("somebody new accepts an invitation: an account is made, and the secret leaves the address", () =>
  at(
    "invitation/inv-1.s3cret",
    { session: () => null },
    async (page, fake) => {
      await page.getByRole("heading", { name: "Join Beta GmbH" }).waitFor();
      assert.doesNotMatch(page.url(), /s3cret|invitation/);
      await page.getByLabel("Password", { exact: true }).fill("a lamp on a hill");
      await page.getByLabel("Password, repeated").fill("a lamp on the hill");
      await page.getByRole("button", { name: "Make the account and join" }).click();
      await page.getByRole("alert").filter({ hasText: "not the same" }).waitFor();
      await page.getByLabel("Password, repeated").fill("a lamp on a hill");
      await page.getByRole("button", { name: "Make the account and join" }).click();
      await told(page, "You belong to Beta GmbH now, as operator.");
      assert.deepEqual(fake.things.people.accepted, { password: "a lamp on a hill" });
    },
  ));

test("somebody who has an account and does not say so is told, and gets in by its password", () =>
  at("invitation/inv-1.s3cret", { session: () => null }, async (page, fake) => {
    fake.faults.hasAccount = true;
    await page.getByLabel("Password", { exact: true }).fill("some other words");
    await page.getByLabel("Password, repeated").fill("some other words");
    await page.getByRole("button", { name: "Make the account and join" }).click();
    await page.getByRole("alert").filter({ hasText: "choose “Yes”" }).waitFor();
    await page.getByRole("radio", { name: "Yes, I have one" }).check();
    await page.getByLabel("Password", { exact: true }).fill(PASSWORD);
    await page.getByRole("button", { name: "Log in and join" }).click();
    await told(page, "You belong to Beta GmbH now, as operator.");
  }));

test("whoever is logged in joins without a password, and is in the new tenant", () =>
  at(
    "invitation/inv-1.s3cret",
    { session: (fake) => view("ann@example.test", ["acme", "owner"], ...(fake.things.people.accepted ? [["beta", "operator"]] : [])) },
    async (page, fake) => {
      await page.getByRole("button", { name: "Join Beta GmbH" }).click();
      await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
      await becomes(() => page.getByLabel("Tenant").inputValue(), "beta");
      assert.deepEqual(fake.things.people.accepted, { password: null });
    },
  ));

test("an invitation of somebody else asks to log out first, and a dead one says so", () =>
  at("overview", { session: () => view("bob@example.test", ["acme", "owner"]) }, async (page, fake) => {
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.goto(`${fake.url}/#/invitation/inv-1.s3cret`);
    await page.getByText("this invitation is for somebody else").waitFor();
    await page.getByRole("button", { name: "Stay logged in" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.goto(`${fake.url}/#/invitation/inv-2.gone`);
    await page.getByRole("alert").filter({ hasText: "There is no such invitation" }).waitFor();
    await page.getByRole("button", { name: "Go to ECEP" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  }));

test("the password is changed by the right present one alone, and the other logins end", () =>
  at("account", {}, async (page) => {
    await page.getByRole("row", { name: /Safari on iOS/ }).waitFor();
    const form = async (current, password, repeated = password) => {
      await page.getByLabel("Present password").fill(current);
      await page.getByLabel("New password", { exact: true }).fill(password);
      await page.getByLabel("New password, repeated").fill(repeated);
      await page.getByRole("button", { name: "Change password" }).click();
    };
    await form("not this one", "a boat under a bridge");
    await page.getByRole("alert").filter({ hasText: "The present password is wrong" }).waitFor();
    assert.equal(await page.getByLabel("New password", { exact: true }).inputValue(), "a boat under a bridge", "what was typed stays");
    await form(PASSWORD, "a boat under a bridge", "a boat under the bridge");
    await page.getByRole("alert").filter({ hasText: "not the same" }).waitFor();
    await form(PASSWORD, "a boat under a bridge");
    await page.getByRole("status").filter({ hasText: "Your password is changed" }).waitFor();
    await page.getByRole("row", { name: /Safari on iOS/ }).waitFor({ state: "detached" });
  }));

test("one login is ended, then all others, and never the one that is used", () =>
  at("account", { count: 5 }, async (page, fake) => {
    await page.getByRole("row", { name: /this one/ }).waitFor();
    assert.equal(await page.getByRole("row", { name: /this one/ }).getByRole("button").count(), 0);
    await page.getByRole("button", { name: /End the login of Safari on iOS/ }).first().click();
    await confirm(page, "End it");
    await told(page, "The login has ended.");
    assert.equal(fake.things.people.logins.length, 4);
    await page.getByRole("button", { name: "End all others" }).click();
    await page.getByRole("dialog", { name: "End 3 logins" }).waitFor();
    await confirm(page, "End them");
    await told(page, "All your other logins have ended.");
    assert.deepEqual(fake.things.people.logins.map(({ is_this }) => is_this), [true]);
  }));

test("an administrator makes, renames and deletes a tenant; deleting wants its short name typed", () =>
  at("platform", { admin: true }, async (page, fake) => {
    await page.getByLabel("Name", { exact: true }).fill("Großes Haus");
    await page.getByLabel("Short name").fill("acme");
    await page.getByRole("button", { name: "Make tenant" }).click();
    await page.getByRole("alert").filter({ hasText: "There is a tenant acme already" }).waitFor();
    await page.getByLabel("Short name").fill("haus");
    await page.getByRole("button", { name: "Make tenant" }).click();
    await page.getByRole("button", { name: "Rename Großes Haus" }).click();
    await page.getByLabel("New name of haus").fill("Kleines Haus");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Delete Kleines Haus" }).click();
    const go = page.getByRole("dialog").getByRole("button", { name: "Delete the tenant" });
    await go.and(page.locator(":disabled")).waitFor();
    await page.getByLabel("Type haus to confirm").fill("haus");
    await go.click();
    await page.getByRole("button", { name: "Delete Kleines Haus" }).waitFor({ state: "detached" });
    assert.ok(!fake.things.people.tenants.some(({ slug }) => slug === "haus"));
    await page.getByRole("button", { name: "Delete Acme Ltd" }).click();
    await page.getByLabel("Type acme to confirm").fill("acme");
    await go.click();
    await page.getByRole("alert").filter({ hasText: "has 3 devices" }).waitFor();
  }));

test("an administrator makes an account in a tenant, disables one and enables it, but not their own", () =>
  at("platform?part=accounts", { admin: true }, async (page, fake) => {
    await page.getByLabel("E-mail").fill("new@example.test");
    await page.getByLabel("First password", { exact: true }).fill(PASSWORD);
    await page.getByLabel("First password, repeated").fill(PASSWORD);
    await page.getByLabel("Belongs to").selectOption("acme");
    await page.getByLabel("Role in acme").selectOption("operator");
    await page.getByRole("button", { name: "Make account" }).click();
    await page.getByRole("cell", { name: /^new@example.test/ }).waitFor();
    assert.deepEqual(fake.things.people.accounts.at(-1).memberships, [{ tenant: "acme", role: "operator" }]);
    await page.getByRole("button", { name: "Disable person1@example.test" }).click();
    await confirm(page, "Disable");
    await page.getByRole("button", { name: "Enable person1@example.test" }).click();
    await page.getByRole("button", { name: "Disable person1@example.test" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /Disable ann@/ }).count(), 0);
  }));

test("whoever is no administrator is offered no platform", () =>
  at("platform", {}, async (page) => {
    await page.getByText("This page is for administrators of this installation.").waitFor();
    assert.equal(await page.getByRole("link", { name: "Platform" }).count(), 0);
  }));

test("tokens say when they were used, and are revoked and deleted after a question", () =>
  at("tokens", {}, async (page, fake) => {
    await page.getByLabel("Name").fill("grafana");
    await page.getByRole("button", { name: "Make token" }).click();
    await page.getByRole("region", { name: "New token" }).getByText("shown-once").waitFor();
    await page.getByRole("row", { name: /program 0 .*from 192\.0\.2\.7/ }).waitFor();
    await page.getByRole("row", { name: /grafana .*never/ }).waitFor();
    await page.getByRole("button", { name: "Revoke program 0" }).click();
    await confirm(page, "Revoke");
    await page.getByRole("button", { name: "Revoke program 0" }).waitFor({ state: "detached" });
    await page.getByRole("row", { name: /join-0002 edge-1 3/ }).waitFor();
    await page.getByRole("button", { name: "Delete the join token join-0002" }).click();
    await confirm(page, "Delete");
    await page.getByRole("row", { name: /join-0002/ }).waitFor({ state: "detached" });
    assert.equal(fake.things.people.joinTokens.length, 2);
  }));
