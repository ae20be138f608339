// What once broke when something else happened meanwhile, in a real Chromium. Each test is named after what broke.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, told } from "../../e2e/browser.mjs";
import { breakOff, visit } from "./visit.mjs";

const at = (address, run, prepare) => visit(address, { serving: { count: 3 }, prepare }, run);

/** The connection is broken while what is under way comes to its end. */
async function missTheEnd(page, fake) {
  const mend = await breakOff(page, fake);
  fake.faults.held = false;
  await becomes(() => fake.faults.operating, 0);
  await mend();
}

test("a pull whose end was told while the connection was broken went on for ever", () =>
  at("device?device=d0&panel=images", async (page, fake) => {
    fake.faults.held = true;
    await page.getByLabel("Pull an image").fill("team/new:2");
    await page.getByRole("button", { name: "Pull", exact: true }).click();
    await page.getByRole("progressbar", { name: "Progress of pulling team/new:2" }).waitFor();
    await missTheEnd(page, fake);
    await page.getByText("team/new:2 is on edge-0.").waitFor();
    await page.getByRole("region", { name: "Table of images" }).getByText("team/new:2").waitFor();
  }));

test("a file whose end was told while the connection was broken was fetched for ever", () =>
  at("container?container=c0&panel=files", async (page, fake) => {
    fake.faults.held = true;
    await page.getByRole("button", { name: "Fetch reading-1.json" }).click();
    await page.getByText(/^Fetching the file reading-1.json/).waitFor();
    await missTheEnd(page, fake);
    await page.getByRole("link", { name: "Download the file reading-1.json" }).waitFor();
  }));

test("an update whose end was told while the connection was broken kept its button from being pressed again", () =>
  at("container?container=c1&panel=update", async (page, fake) => {
    let error = "the new one did not become healthy";
    fake.faults.update = () => error;
    /** Orders it, and hears nothing of its end. */
    const update = async () => {
      fake.faults.held = true;
      await page.getByRole("button", { name: "Roll back to version 2" }).click();
      await page.getByRole("progressbar", { name: "Progress of the update" }).waitFor();
      await missTheEnd(page, fake);
    };
    await update();
    await page.getByRole("main").getByText(error).waitFor();
    error = null;
    await update();
    await page.getByRole("main").getByText("web runs version 2 now.").waitFor();
    await page.getByRole("button", { name: "Update to version 3" }).and(page.locator(":enabled")).waitFor();
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
    await becomes(() => page.getByLabel("Name", { exact: true }).inputValue(), "hall-3");
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
    await told(page, "edge-1 was removed.");
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
    const create = page.getByRole("button", { name: "Create", exact: true });
    await create.and(page.locator(":disabled")).waitFor();
    await device.selectOption("d0");
    await create.and(page.locator(":enabled")).waitFor();
  }));

test("who deleted a container was left on the page of nothing", () =>
  at("container?container=c0", async (page) => {
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("camera");
    await page.getByRole("dialog").getByRole("button", { name: "Delete container" }).click();
    await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
    await page.getByRole("main").and(page.locator(":focus")).waitFor();
    await told(page, "camera was deleted.");
  }));

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
      await told(page, "The deployment of web version 3 has begun.");
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
    await told(page, "The tenant Tenant 1 was deleted.");
    await told(page, /It is done, but what you may do now could not be read\./);
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
      await told(page, /Acme Ltd: Saved: edge-1/);
    },
    (page) => {
      const memberships = [["acme", "Acme Ltd"], ["beta", "Beta GmbH"]].map(([tenant, tenant_name]) => ({ tenant, tenant_name, role: "owner" }));
      return page.route("**/api/session", (route) => route.fulfill({ json: { email: "ann@example.test", admin: false, memberships, expires_at: Date.now() + 3_600_000 } }));
    },
  ));
