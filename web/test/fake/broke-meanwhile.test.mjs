// What once broke when something else happened meanwhile, in a real Chromium. Each test is named after what broke.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const HOUR = 3_600_000;
const at = (address, run, prepare) => visit(address, { serving: { count: 3 }, prepare }, run);

/** The connection breaks, and stays away until the answer is called. */
async function breakOff(page, fake) {
  await page.route("**/api/wamp-ticket", (route) => route.abort());
  fake.dropConnections();
  await page.getByText(/^Reconnecting/).waitFor();
  return async () => {
    await page.unroute("**/api/wamp-ticket");
    await page.getByRole("button", { name: "Retry now" }).click();
    await page.getByText(/^Reconnecting/).waitFor({ state: "detached" });
  };
}

test("a pull whose end was told while the connection was broken went on for ever", () =>
  at("device?device=d0&panel=images", async (page, fake) => {
    await page.getByLabel("Pull an image").fill("team/new:2");
    await page.getByRole("button", { name: "Pull", exact: true }).click();
    await page.getByRole("progressbar", { name: "Progress of pulling team/new:2" }).waitFor();
    const mend = await breakOff(page, fake);
    await mend();
    await page.getByText("team/new:2 is on edge-0.").waitFor();
    await page.getByRole("region", { name: "Table of images" }).getByText("team/new:2").waitFor();
  }));

test("a file whose end was told while the connection was broken was fetched for ever", () =>
  at("container?container=c0&panel=files", async (page, fake) => {
    await page.getByRole("button", { name: "Fetch reading-1.json" }).click();
    await page.getByText(/^Fetching the file reading-1.json/).waitFor();
    const mend = await breakOff(page, fake);
    await mend();
    await page.getByRole("link", { name: "Download the file reading-1.json" }).waitFor();
  }));

test("an update whose end was told while the connection was broken kept its button from being pressed again", () =>
  at("container?container=c1&panel=update", async (page, fake) => {
    let error = "the new one did not become healthy";
    let ends;
    const ended = () => new Promise((resolve) => (ends = resolve));
    fake.faults.update = () => {
      ends();
      return error;
    };
    /** Orders it, and hears nothing of its end. */
    const update = async () => {
      const over = ended();
      await page.getByRole("button", { name: "Roll back to version 2" }).click();
      await page.getByRole("progressbar", { name: "Progress of the update" }).waitFor();
      const mend = await breakOff(page, fake);
      await over;
      await mend();
    };
    await update();
    await page.getByRole("main").getByText(error).waitFor();
    error = null;
    await update();
    await page.getByRole("main").getByText("web runs version 2 now.").waitFor();
    await page.getByRole("button", { name: "Update to version 3" }).and(page.locator(":enabled")).waitFor();
  }));

test("a failed update was told where it was ordered, in a notice, and once more among what is under way", () =>
  at("container?container=c1&panel=update", async (page, fake) => {
    const error = "the new one did not become healthy";
    fake.faults.update = () => error;
    await page.getByRole("button", { name: "Roll back to version 2" }).click();
    await page.getByRole("heading", { name: "Under way" }).waitFor();
    await page.getByRole("complementary", { name: "Notices" }).getByRole("alert").filter({ hasText: error }).waitFor();
    await page.getByRole("heading", { name: "Under way" }).waitFor({ state: "detached" });
    assert.deepEqual(await page.getByRole("main").getByText(error).allInnerTexts(), [error]);
    // What others have ordered is told nowhere else.
    fake.faults.tell("OperationEvents", {
      device: "d0", operation: "of-others", kind: "app.update", state: "failed", phase: "failed", bytes_done: null, bytes_total: null,
      container_id: null, error: { uri: "ecep.error.engine", message: "the disk is full", details: {} }, at: Date.now(),
    });
    await page.getByRole("region", { name: "Under way" }).getByText("the disk is full").waitFor();
  }));

test("a device that says the same twice took its page and the main one away", () =>
  at(
    "overview",
    async (page, fake) => {
      await page.getByText(": Its disk is full.: Its disk is full.").waitFor();
      await page.goto(`${fake.url}/#/device?device=d2`);
      await page.getByRole("heading", { level: 1, name: "edge-2" }).waitFor();
      await page.getByRole("button", { name: "Images", exact: true }).waitFor();
    },
    async (page, fake) => {
      const [device] = fake.things.devices.slice(-1);
      device.reasons = ["Its disk is full.", "Its disk is full."];
      device.facts.engine.problems = ["the engine is slow", "the engine is slow"];
    },
  ));

test("who saved a device's place took back the name that somebody else had given it meanwhile", () =>
  at("device?device=d2&panel=settings", async (page, fake) => {
    await page.getByLabel("Name", { exact: true }).waitFor();
    const device = { ...fake.things.devices[2], name: "hall-3" };
    fake.things.devices[2] = device;
    fake.faults.tell("DeviceStatusEvents", device);
    await page.getByRole("heading", { level: 1, name: "hall-3" }).waitFor();
    assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "hall-3");
    await page.getByLabel("Place in words").fill("Hall 3");
    const saved = page.waitForRequest((request) => request.method() === "PATCH");
    await page.getByRole("button", { name: "Save" }).click();
    assert.deepEqual((await saved).postDataJSON(), { place: "Hall 3" });
  }));

test("a slow removal of a device carried off who had gone to another page", () =>
  at("overview", async (page, fake) => {
    await page.getByText("Containers running").waitFor();
    let go;
    const held = new Promise((resolve) => (go = resolve));
    await page.route("**/api/tenants/acme/devices/d1", async (route) => {
      await held;
      await route.continue();
    });
    await page.goto(`${fake.url}/#/device?device=d1&panel=remove`);
    await page.getByRole("button", { name: "Remove the device…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox").fill("edge-1");
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    go();
    await page.getByText("edge-1 was removed.").first().waitFor();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    assert.match(page.url(), /overview$/);
  }));

test("the device that was chosen for a new container became another one without a word when it went", () =>
  at("containers?panel=create", async (page, fake) => {
    const device = page.getByLabel("Device", { exact: true });
    await device.selectOption("d1");
    await page.getByLabel("Name", { exact: true }).fill("camera");
    fake.things.devices.splice(1, 1);
    // The next listing tells of it.
    await device.getByRole("option", { name: /a device that is gone/ }).waitFor({ state: "attached" });
    assert.ok(await page.getByRole("button", { name: "Create", exact: true }).isDisabled());
    await device.selectOption("d0");
    assert.ok(await page.getByRole("button", { name: "Create", exact: true }).isEnabled());
  }));

test("who deleted a container was left on the page of nothing", () =>
  at("container?container=c0", async (page) => {
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("camera");
    await page.getByRole("dialog").getByRole("button", { name: "Delete container" }).click();
    await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
    await page.getByRole("main").and(page.locator(":focus")).waitFor();
    await page.getByText("camera was deleted.").first().waitFor();
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

test("a deployment that was not answered was begun a second time when it was ordered again", () => {
  const ordered = [];
  return at(
    "applications?panel=deploy&application=web",
    async (page, fake) => {
      await page.getByLabel("edge-0").check();
      const deploy = page.getByRole("button", { name: "Deploy", exact: true }).and(page.locator(".primary"));
      await deploy.and(page.locator(":enabled")).waitFor();
      // The router goes away with the order.
      const candidates = fake.things.candidates;
      fake.things.candidates = (target) => {
        fake.things.candidates = candidates;
        fake.dropConnections();
        return candidates(target);
      };
      await deploy.click();
      await page.getByRole("main").getByRole("alert").filter({ hasText: "The connection to the router broke" }).waitFor();
      await deploy.and(page.locator(":enabled")).click();
      await page.getByText("The deployment of web version 3 has begun.").first().waitFor();
      assert.equal(ordered.length, 2);
      assert.equal(ordered[0], ordered[1], "it is the same order");
    },
    (page) =>
      page.on("websocket", (socket) =>
        socket.on("framesent", ({ payload }) => {
          const [kind, , , uri, , kwargs] = JSON.parse(payload);
          if (kind === 48 && uri.endsWith(".app.deploy")) ordered.push(kwargs.operation);
        }),
      ),
  );
});

test("the keyboard was nowhere after a terminal was closed, or an offer accepted", () =>
  at("container?container=c0&panel=terminal", async (page, fake) => {
    await page.getByRole("button", { name: "Open a terminal" }).press("Enter");
    await page.getByText("root@web").first().waitFor();
    await page.getByRole("button", { name: "Close the terminal" }).press("Enter");
    await page.getByRole("button", { name: "Open a new terminal" }).and(page.locator(":focus")).waitFor();
    await page.goto(`${fake.url}/#/devices`);
    await page.getByRole("button", { name: "Accept gate-1" }).press("Enter");
    await page.getByRole("main").and(page.locator(":focus")).waitFor();
  }));

test("what was done looked as if it had failed where only the session could not be read afterwards", () =>
  visit("platform", { serving: { count: 3, admin: true } }, async (page) => {
    await page.getByRole("button", { name: "Delete Tenant 1" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("tenant-0001");
    await page.route("**/api/session", (route) => route.fulfill({ status: 503, json: { detail: "The control plane is starting. Try again in a moment." } }));
    await page.getByRole("dialog").getByRole("button", { name: "Delete the tenant" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByText("The tenant Tenant 1 was deleted.").first().waitFor();
    await page.getByText(/^.*It is done, but what you may do now could not be read\./).first().waitFor();
  }));

test("what became of a slow change of one tenant was told in the other as if it had been done there", () =>
  at(
    "device?device=d1&panel=settings&tenant=acme",
    async (page) => {
      let go;
      const held = new Promise((resolve) => (go = resolve));
      await page.route("**/api/tenants/acme/devices/d1", async (route) => {
        await held;
        await route.continue();
      });
      await page.getByLabel("Place in words").fill("Hall 3");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByLabel("Tenant").selectOption("beta");
      await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
      go();
      await page.getByText(/^.*Acme Ltd: Saved: edge-1/).first().waitFor();
    },
    (page) => {
      const memberships = [["acme", "Acme Ltd"], ["beta", "Beta GmbH"]].map(([tenant, tenant_name]) => ({ tenant, tenant_name, role: "owner" }));
      return page.route("**/api/session", (route) => route.fulfill({ json: { email: "ann@example.test", admin: false, memberships, expires_at: Date.now() + 3_600_000 } }));
    },
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
        assert.equal(await page.getByText("soon-dead").count(), 0);
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
      assert.equal(await filter.inputValue(), "cam");
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
