// What once broke in what a page says, shows and keeps, in a real Chromium. Each test is named after what broke.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, inspect } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const HOUR = 3_600_000;
const at = (address, run, prepare) => visit(address, { serving: { count: 3 }, prepare }, run);

test("a failed update was told where it was ordered, in a notice, and once more among what is under way", () =>
  at("container?container=c1&panel=update", async (page, fake) => {
    const error = "the new one did not become healthy";
    fake.faults.update = () => error;
    fake.faults.held = true;
    await page.getByRole("button", { name: "Roll back to version 2" }).click();
    await page.getByRole("heading", { name: "Under way" }).waitFor();
    fake.faults.held = false;
    await page.getByRole("complementary", { name: "Notices" }).getByRole("alert").filter({ hasText: error }).waitFor();
    await page.getByRole("heading", { name: "Under way" }).waitFor({ state: "detached" });
    await becomes(() => page.getByRole("main").getByText(error).allInnerTexts(), [error]);
    // What others have ordered is told nowhere else.
    fake.faults.tell("OperationEvents", {
      device: "d0", operation: "of-others", kind: "app.update", state: "failed", phase: "failed", bytes_done: null, bytes_total: null,
      container_id: null, error: { uri: "ecep.error.engine", message: "the disk is full", details: {} }, at: Date.now(),
    });
    await page.getByRole("region", { name: "Under way" }).getByText("the disk is full").waitFor();
  }));

test("the login page of a network that answers for the control plane was shown as a parser's error", () =>
  at(
    "members",
    async (page) => {
      await page.getByRole("alert").filter({ hasText: "Something else than the control plane has answered" }).waitFor();
    },
    (page) => page.route("**/api/tenants/*/members*", (route) => route.fulfill({ contentType: "text/html", body: "<html>Log in to the network</html>" })),
  ));

test("nothing could be uploaded where the browser's storage is forbidden", () =>
  at(
    "applications?panel=version",
    async (page) => {
      await page.getByRole("radio", { name: "Files over a base image" }).check();
      await page.getByLabel("File", { exact: true }).setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("hello") });
      await page.getByText(/^a.txt.* is uploaded/).waitFor();
    },
    (page) =>
      page.addInitScript(() =>
        Object.defineProperty(window, "localStorage", {
          get() {
            throw new DOMException("forbidden", "SecurityError");
          },
        }),
      ),
  ));

test("an invitation was gone without a word when its page was loaded anew", () =>
  at("invitation/inv-1.s3cret", async (page, fake) => {
    await page.getByRole("heading", { name: "Join Beta GmbH" }).waitFor();
    await page.reload();
    await page.getByRole("alert").filter({ hasText: "Open the invitation's link again." }).waitFor();
    await inspect(page, "an invitation that is gone");
    const kept = await page.evaluate(() => JSON.stringify([location.href, history.state, { ...localStorage }, { ...sessionStorage }]));
    assert.doesNotMatch(kept, /s3cret/);
    await page.goto(`${fake.url}/#/invitation/inv-1.s3cret`);
    await page.getByRole("button", { name: "Not now" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  }));

test("the secret of a token stayed to be copied after the token had been revoked, or had expired", () =>
  at(
    "tokens",
    async (page, fake) => {
      await page.getByLabel("Name", { exact: true }).fill("grafana");
      await page.getByRole("button", { name: "Make token" }).click();
      await page.getByText("shown-once").waitFor();
      const revoke = async (name) => {
        await page.getByRole("button", { name: `Revoke ${name}` }).click();
        await page.getByRole("dialog").getByRole("button", { name: "Revoke", exact: true }).click();
        await page.getByRole("button", { name: `Revoke ${name}` }).waitFor({ state: "detached" });
      };
      await revoke("program 0");
      await page.getByText("shown-once").waitFor();
      await revoke("grafana");
      await page.getByText("shown-once").waitFor({ state: "detached" });
      await page.getByText("Made. The secret is shown only now.").waitFor({ state: "detached" });

      for (const [address, button] of [["devices?panel=enrol", "Make a join token"], ["device?device=d1&panel=key", "Make a token to enrol it again"]]) {
        await page.goto(`${fake.url}/#/${address}`);
        await page.getByRole("button", { name: button }).and(page.locator(":enabled")).click();
        await page.getByText("soon-dead").waitFor();
        // The control plane's clock goes on.
        fake.faults.ahead = (fake.faults.ahead ?? 0) + 2 * HOUR;
        fake.dropConnections();
        await page.getByText("The token has expired. Make another one.").waitFor();
        await becomes(() => page.getByText("soon-dead").count(), 0);
      }
    },
    (page, fake) =>
      page.route("**/join-tokens", (route) =>
        route.request().method() === "POST"
          ? route.fulfill({ json: { id: "join-9", secret: "join-9.soon-dead", expires_at: Date.now() + (fake.faults.ahead ?? 0) + HOUR } })
          : route.continue(),
      ),
  ));

test("the address was written at each letter of a filter, more often than Safari lets a page", () =>
  at(
    "containers",
    async (page) => {
      const filter = page.getByLabel("Filter", { exact: true });
      const table = page.getByRole("region", { name: "Table of containers" });
      await table.getByRole("link", { name: "camera" }).waitFor();
      const began = Date.now();
      const before = await page.evaluate(() => written);
      await filter.pressSequentially("w e b ".repeat(10));
      await filter.fill("web");
      await page.waitForURL(/filter=web$/);
      const most = 1 + (Date.now() - began) / 300;
      const times = (await page.evaluate(() => written)) - before;
      assert.ok(times >= 1 && times <= most, `written ${times} times`);

      // What was typed last is there again for whoever comes back, however soon it was left.
      await filter.fill("camera");
      await filter.fill("cam");
      await page.getByRole("link", { name: "Devices", exact: true }).click();
      await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
      await page.goBack();
      await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
      await becomes(() => filter.inputValue(), "cam");
    },
    (page) =>
      page.addInitScript(() => {
        window.written = 0;
        const { replaceState } = history;
        history.replaceState = function (...all) {
          window.written += 1;
          return replaceState.apply(this, all);
        };
      }),
  ));

test("a container that was made of an image was an application on the main screen, and none under Applications", () =>
  at(
    "overview",
    async (page, fake) => {
      await page.getByRole("heading", { level: 2, name: "Containers", exact: true }).waitFor();
      await page.getByRole("region", { name: "Table of containers" }).getByRole("link", { name: "counter" }).waitFor();
      await page.goto(`${fake.url}/#/applications`);
      await page.getByText("Without a version here: counter. What runs of it is under Containers.").waitFor();
      await inspect(page, "applications beside what is none");
      fake.things.applications = [];
      await page.reload();
      await page.getByText("No application yet.").waitFor();
      await page.getByText(/^Without a version here: camera, counter/).waitFor();
    },
    async (page, fake) => {
      const [{ device, container }] = fake.things.containers;
      fake.things.containers.push({ device, container: { ...container, id: "cx", name: "counter", application: "counter", version: null } });
    },
  ));
