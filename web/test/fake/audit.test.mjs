// The audit log in a real Chromium against a control plane that only pretends: filters, pages, all fields, exports, logins that end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { auditOf } from "./answers/audit.mjs";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, { audit, ...serving }, run) => {
  const prepare = async (page, fake) => {
    if (audit) fake.things.audit = audit;
    await page.route("**/api/tenants/acme/members*", (route) =>
      route.fulfill({ json: { members: [{ account: "ann-1", email: "ann@example.test", role: "owner", is_you: true }], next: null } }),
    );
    await page.route("**/api/tenants/acme/api-tokens", (route) =>
      route.fulfill({ json: [{ id: "t-7", name: "grafana", role: "telemetry", uses_left: null, expires_at: 1, made_by: null, last_used_at: null }] }),
    );
  };
  return visit(address, { serving: { count: 3, ...serving }, prepare }, run);
};

const rows = (page) => page.getByRole("region", { name: "Table of entries" }).getByRole("row");

test("an owner reads who did what to what, by which right, from where and with which outcome", () =>
  at("audit", {}, async (page) => {
    await page.getByRole("row", { name: /ann@example\.test login .* Stop a container camera .*done/ }).waitFor();
    await page.getByRole("row", { name: /somebody unknown .* Log in .*refused 12 times not logged in \(401\)/ }).waitFor();
    await page.getByRole("row", { name: /grafana API token grafana .* Deploy an application web .*failed unavailable/ }).waitFor();
    await page.getByRole("button", { name: /More about Stop a container/ }).click();
    await page.getByText("Asked: grace_seconds").waitFor();
    await page.getByText(/^ab.*000006$/).waitFor();
    await page.getByRole("link", { name: "the same target" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length <= 3);
    await page.waitForURL(/target=c0/);
  }));

test("filters are in the address, are asked of the control plane, and can be taken back", () =>
  at("audit", {}, async (page, fake) => {
    // Who is known by a name is found by it.
    await page.getByRole("row", { name: /ann@example\.test login/ }).first().waitFor();
    await page.getByLabel("Who").fill("ann@example.test");
    await page.getByLabel("Who").press("Enter");
    await page.getByLabel("What", { exact: true }).selectOption("Move a container");
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
    const { actor, action } = fake.faults.auditAsked.at(-1);
    assert.equal(actor, "ann-1");
    assert.match(action, /migrate$/);
    await page.waitForURL(/actor=ann-1/);
    await page.getByLabel("From").fill("2037-01-01T00:00");
    await page.getByText("No entry is like that.").waitFor();
    await page.getByRole("button", { name: "Show all" }).click();
    await rows(page).nth(6).waitFor();
    await becomes(() => page.getByLabel("Who").inputValue(), "");
  }));

test("older entries are a page of their own", () =>
  at("audit", { audit: auditOf(230) }, async (page) => {
    await rows(page).nth(100).waitFor();
    await page.getByRole("link", { name: "Older entries" }).click();
    await page.waitForFunction(() => location.hash.includes("after="));
    await page.getByRole("link", { name: "Newest entries" }).waitFor();
    await page.getByRole("link", { name: "Older entries" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 30);
    await page.getByRole("link", { name: "Newest entries" }).click();
    await rows(page).nth(100).waitFor();
  }));

test("what cannot be read says so and is tried again; a filter stays", () =>
  at("audit?target=c0", {}, async (page, fake) => {
    await rows(page).nth(2).waitFor();
    fake.faults.audit = "The store is busy. Try again.";
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByRole("alert").filter({ hasText: "The store is busy." }).waitFor();
    fake.faults.audit = null;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("alert").filter({ hasText: "The store is busy." }).waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("To what").inputValue(), "c0");
  }));

test("an export has the filters, and a login that has ended is asked for in place", () =>
  at("audit?target=c0", {}, async (page) => {
    await rows(page).nth(2).waitFor();
    let ended = true;
    await page.route("**/api/session", (route) => (ended ? route.fulfill({ status: 401, json: { detail: "Log in." } }) : route.continue()));
    await page.getByLabel("To what").fill("not sent yet");
    await page.getByRole("button", { name: "Export as CSV" }).click();
    const dialog = page.getByRole("dialog", { name: "Log in again" });
    await dialog.getByLabel("Password").fill("secret");
    ended = false;
    await dialog.getByRole("button", { name: "Log in" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("To what").inputValue(), "not sent yet");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export as CSV" }).click();
    assert.match((await download).url(), /\/api\/tenants\/acme\/audit\?format=csv&target=not\+sent\+yet$/);
  }));

test("an administrator reads the platform's, newest first; an owner who is none is not offered it", async () => {
  const entries = auditOf(130, null).reverse();
  await at("audit?of=platform", { admin: true, role: "viewer" }, async (page) => {
    await page.route("**/api/accounts*", (route) => route.fulfill({ json: { accounts: [{ id: "ann-1", email: "root@example.test", admin: true, disabled: false, created_at: 1 }], next: null } }));
    await page.route("**/api/audit?*", (route) => route.fulfill({ contentType: "application/x-ndjson", body: entries.map((one) => `${JSON.stringify(one)}\n`).join("") }));
    await page.reload();
    await rows(page).nth(100).waitFor();
    await page.getByRole("row", { name: /root@example\.test .* Stop a container/ }).first().waitFor();
    await page.getByRole("button", { name: "Show 30 more" }).click();
    await rows(page).nth(130).waitFor();
  });
  await at("audit?of=platform", {}, async (page) => {
    await rows(page).nth(6).waitFor();
    assert.equal(await page.getByLabel("Of", { exact: true }).count(), 0);
  });
});

test("who owns nothing is not shown the page", () =>
  at("audit", { role: "operator" }, async (page) => {
    await page.getByText("This page is for owners of the tenant and administrators.").waitFor();
    assert.equal(await page.getByRole("link", { name: "Audit log" }).count(), 0);
  }));
