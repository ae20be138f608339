// The list of devices and one device's page in a real Chromium against a fleet that only pretends: what a person does with
// them, by role and label. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, inspect, panel } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, { window = {}, ...serving }, run) => visit(address, { serving, browsing: window }, run);
const table = (page) => page.getByRole("region", { name: "Table of devices" });
const firstCell = (page) => table(page).getByRole("row").nth(1).getByRole("cell").first();

test("the list is sorted and filtered, and a copied address shows the same", () =>
  at("devices", { count: 300 }, async (page, fake) => {
    await table(page).getByRole("link", { name: "edge-299" }).waitFor();
    await becomes(() => table(page).getByRole("row").count(), 301);
    await firstCell(page).filter({ hasText: /^edge-0\b/ }).waitFor();
    const head = page.getByRole("columnheader", { name: "State" });
    await head.getByRole("button").click();
    await head.and(page.locator("[aria-sort=ascending]")).waitFor();
    await firstCell(page).filter({ hasText: /^edge-3\b/ }).waitFor();
    await page.getByLabel("State", { exact: true }).selectOption({ label: "offline (75)" });
    await page.getByRole("searchbox", { name: "Filter" }).fill("berlin");
    await page.getByText("8 of 300 devices are shown.").waitFor({ state: "attached" });
    await page.waitForURL(/sort=state/);
    const address = new URL(page.url()).hash;

    await page.goto(`${fake.url}/#/overview`);
    await page.goto(`${fake.url}/${address}`);
    await page.getByText("8 of 300 devices are shown.").waitFor({ state: "attached" });
    await page.getByRole("searchbox", { name: "Filter" }).fill("nowhere");
    await page.getByRole("button", { name: "Show all 300" }).click();
    await page.getByText("300 of 300 devices are shown.").waitFor({ state: "attached" });
    await table(page).getByRole("link", { name: "edge-7", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "edge-7" }).waitFor();
  }));

test("a device says whether containers move live, why not, and what to do", () =>
  at("device?device=d1", { count: 3 }, async (page) => {
    await page.getByText("Its containers cannot move live.").waitFor();
    await page.getByText(/^Criu is not installed/).waitFor();
    await page.getByText(/ecep-agent setup/).waitFor();
    await page.getByText("192.0.2.2, 2001:db8::17").waitFor();
    await page.getByRole("region", { name: "Table of the containers on it" }).getByRole("link", { name: "web" }).click();
    await page.getByRole("heading", { level: 1, name: "web" }).waitFor();
  }));

test("a device is renamed, and put on the map at a place", () =>
  at("device?device=d2&panel=settings", { count: 3 }, async (page) => {
    await page.getByText("Not on the map").waitFor();
    assert.ok(await page.getByRole("button", { name: "Save" }).isDisabled());
    await page.getByLabel("Name", { exact: true }).fill("hall-3");
    await page.getByRole("combobox", { name: "Place" }).fill("san j");
    await page.getByRole("option", { name: /San José, CR/ }).click();
    await becomes(() => page.getByLabel("Place in words").inputValue(), "San José, CR");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("heading", { level: 1, name: "hall-3" }).waitFor();
    await page.getByText("On the map at 9.933, -84.083.").waitFor();
  }));

test("a device is offered on terms, they are changed, and the offer is withdrawn", () =>
  at("device?device=d0&panel=sharing", { count: 3 }, async (page) => {
    await page.getByText("It is shared with nobody.").waitFor();
    await page.getByRole("button", { name: "Offer it to a tenant" }).click();
    await page.getByLabel("Tenant", { exact: true }).fill("acme");
    await page.getByLabel("Cores").fill("many");
    await page.getByRole("button", { name: "Offer", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "The number of cores must be a number" }).waitFor();
    await page.getByLabel("Cores").fill("1.5");
    await page.getByRole("button", { name: "Offer", exact: true }).click();
    await page.getByRole("alert").filter({ hasText: "belongs to this tenant already" }).waitFor();
    assert.equal(await page.getByLabel("Cores").inputValue(), "1.5", "a refusal loses nothing");
    await page.getByLabel("Tenant", { exact: true }).fill("beta");
    await page.getByLabel("publish ports of the device").check();
    await page.getByRole("button", { name: "Offer", exact: true }).click();
    const share = page.getByRole("listitem", { name: "beta" });
    await share.getByText("offered, not accepted yet").waitFor();
    await share.getByText(/at most 1.5 cores; may publish ports/).waitFor();
    await share.getByRole("button", { name: "Change the terms of beta" }).click();
    await share.getByLabel("Memory (MiB)").fill("256");
    await share.getByRole("button", { name: "Save terms" }).click();
    await share.getByText(/at most 1.5 cores, 256.0 MiB of memory/).waitFor();
    await share.getByRole("button", { name: "Withdraw the offer to beta" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
    await page.getByText("It is shared with nobody.").waitFor();
  }));

test("the end of a share names what runs there, and deletes it only for the typed tenant", () =>
  at("device?device=d0&panel=sharing", { count: 3 }, async (page) => {
    await page.getByRole("button", { name: "Offer it to a tenant" }).click();
    await page.getByLabel("Tenant", { exact: true }).fill("busy");
    await page.getByRole("button", { name: "Offer", exact: true }).click();
    await page.getByRole("button", { name: "End the share with busy" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End the share" }).click();
    const second = page.getByRole("dialog", { name: /busy still has 2 containers/ });
    await second.getByText("db", { exact: true }).waitFor();
    await page.getByRole("listitem", { name: "busy" }).getByText("ends once no container is left").waitFor();
    assert.ok(await second.getByRole("button", { name: "Stop and delete them" }).isDisabled());
    await second.getByRole("textbox").fill("busy");
    await second.getByRole("button", { name: "Stop and delete them" }).click();
    await page.getByText("It is shared with nobody.").waitFor();
  }));

test("an image is pulled with progress, one that no registry has is refused, and one is deleted", () =>
  at("device?device=d0&panel=images", { count: 3 }, async (page, fake) => {
    const images = page.getByRole("region", { name: "Table of images" });
    await images.getByRole("row", { name: /ecep-app\/acme\/camera/ }).getByRole("link", { name: "camera" }).waitFor();
    assert.equal(await images.getByRole("button", { name: /Delete ecep-app/ }).count(), 0, "what is in use is not offered");
    await page.getByLabel("Pull an image").fill("team/missing:1");
    await page.getByRole("button", { name: "Pull", exact: true }).click();
    await page.getByRole("main").getByRole("alert").filter({ hasText: "No registry has the image team/missing:1" }).waitFor();
    assert.equal(await page.getByLabel("Pull an image").inputValue(), "team/missing:1");
    fake.faults.held = true;
    await page.getByLabel("Pull an image").fill("team/new:2");
    await page.getByRole("button", { name: "Pull", exact: true }).click();
    await page.getByRole("progressbar", { name: "Progress of pulling team/new:2" }).waitFor();
    fake.faults.held = false;
    await page.getByText("team/new:2 is on edge-0.").waitFor();
    await images.getByText("team/new:2").waitFor();
    await images.getByRole("button", { name: "Delete team/base:3, team/base:latest" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await images.getByText("team/base:3").waitFor({ state: "detached" });
  }));

test("a key is rotated, and a lost one has a way back", () =>
  at("device?device=d0&panel=key", { count: 3 }, async (page, fake) => {
    await page.getByText("9f2c44a01b7de853").waitFor();
    await page.getByRole("button", { name: "Rotate the key" }).click();
    await page.getByRole("status").filter({ hasText: "a new one is ordered" }).waitFor();
    fake.faults.rotated();
    await page.getByText("0a1b2c3d4e5f6a7b").waitFor();
    await page.getByRole("button", { name: "Make a token to enrol it again" }).click();
    await page.getByRole("region", { name: "Command to enrol it again" }).getByText(/join-1.secret/).waitFor();
  }));

test("a device is removed once its name is typed, and what runs there is told", () =>
  at("device?device=d1&panel=remove", { count: 3 }, async (page) => {
    await page.getByText("You have 1 container on it: web.").waitFor();
    await page.getByRole("button", { name: "Remove the device…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("web, which goes on running there").waitFor();
    await dialog.getByRole("textbox").fill("edge-2");
    assert.ok(await dialog.getByRole("button", { name: "Remove", exact: true }).isDisabled());
    await dialog.getByRole("textbox").fill("edge-1");
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    await table(page).getByRole("link", { name: "edge-0" }).waitFor();
    await becomes(() => table(page).getByRole("link", { name: "edge-1" }).count(), 0);
  }));

test("an offer is accepted and another declined; the shared device shows its terms, and is left", () =>
  at("devices", { count: 1 }, async (page) => {
    await page.getByRole("button", { name: "Decline gate-2" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Decline" }).click();
    await page.getByRole("button", { name: "Decline gate-2" }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Accept gate-1" }).click();
    await table(page).getByRole("row", { name: /gate-1 of Beta GmbH/ }).getByRole("link").click();
    await page.getByText(/at most 1.5 cores, 512.0 MiB of memory, and may publish ports/).waitFor();
    for (const name of ["Settings", "Sharing", "Key", "Remove"]) {
      assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, `${name} is the owner's`);
    }
    await panel(page, "Images");
    await page.getByRole("region", { name: "Table of images" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /^Delete/ }).count(), 0, "images are the owner's");
    await page.getByRole("button", { name: "Leave the device" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    await page.getByText("1 of 1 devices are shown.").waitFor({ state: "attached" });
  }));

test("who enrols a device gets the command, and sees it come", () =>
  at("devices?panel=enrol", { count: 1 }, async (page, fake) => {
    await page.getByRole("button", { name: "Make a join token" }).click();
    await page.getByRole("region", { name: "Enrol command" }).getByText(/--name 'edge-1'/).waitFor();
    await page.getByText("Waiting for the device…").waitFor();
    // The next listing tells of it.
    fake.things.devices.push({ ...fake.things.devices[0], id: "new", name: "edge-1" });
    await page.getByRole("status").getByRole("link", { name: "edge-1" }).waitFor();
    await page.getByText(/--name 'edge-1'/).waitFor();
  }));

test("a viewer looks and is offered no change", () =>
  at("device?device=d0&panel=images", { count: 3, role: "viewer" }, async (page, fake) => {
    await page.getByRole("region", { name: "Table of images" }).waitFor();
    const offered = (await page.getByRole("main").getByRole("button").allInnerTexts()).join();
    assert.doesNotMatch(offered, /Pull|Delete|Settings|Sharing|Key|Remove/);
    await page.goto(`${fake.url}/#/devices`);
    await table(page).getByRole("link", { name: "edge-0" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /Enrol|Accept/ }).count(), 0);
  }));

test("an unknown device says so, and one that is offline says since when and takes no orders", () =>
  at("device?device=nobody", { count: 4 }, async (page, fake) => {
    await page.getByText(/There is no device nobody here/).waitFor();
    await page.goto(`${fake.url}/#/device?device=d3&panel=images`);
    await page.getByText(/Offline, last seen \d+ .* ago\. What is shown of it is as it was then/).waitFor();
    await page.getByText("out of reach now").waitFor();
    await page.getByLabel("Pull an image").fill("team/new:2");
    assert.ok(await page.getByRole("button", { name: "Pull", exact: true }).isDisabled());
  }));

test("everybody can use it, in both themes, on a phone and on a desk", async () => {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [390, 1280]) {
      await at("devices", { count: 4, window: { colorScheme, viewport: { width, height: 860 } } }, async (page, fake) => {
        await page.getByRole("button", { name: "Accept gate-1" }).waitFor();
        await table(page).waitFor();
        await inspect(page, `devices ${colorScheme} ${width}`);
        for (const name of ["images", "settings", "sharing", "key", "remove"]) {
          await page.goto(`${fake.url}/#/device?device=d2&panel=${name}`);
          await page.locator(`#panel-${name}`).waitFor();
          if (name === "images") await page.getByRole("region", { name: "Table of images" }).waitFor();
          if (name === "sharing") await page.getByRole("button", { name: "Offer it to a tenant" }).click();
          await inspect(page, `${name} ${colorScheme} ${width}`);
        }
      });
    }
  }
});
