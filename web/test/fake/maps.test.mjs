// The maps in a real Chromium against a fleet that only pretends: the one on the main screen, and the one that follows a
// place while it is typed. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, inspect } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const at = (address, { setting = {}, prepare, ...serving }, run) =>
  visit(address, { serving, browsing: { reducedMotion: "reduce", ...setting }, prepare }, run);

const mapOf = (page, name = "Map: the place and the devices") => page.getByRole("group", { name });
/** The map is drawn. */
const drawn = (page) => page.getByText("Countries: Natural Earth").waitFor();
/** The middle of the map is at this mark. */
const centred = async (page, mark) => {
  const [map, box] = await Promise.all([mapOf(page).boundingBox(), mark.boundingBox()]);
  const off = [map.x + map.width / 2 - box.x - box.width / 2, map.y + map.height / 2 - box.y - box.height / 2];
  return off.every((pixels) => Math.abs(pixels) < 60);
};

test("the main screen shows where the devices are, how they are, and which have no place", () =>
  at("overview", { count: 5 }, async (page) => {
    const card = page.getByRole("region", { name: "Map of devices" });
    await card.scrollIntoViewIfNeeded();
    await drawn(page);
    await card.getByRole("button", { name: "San Jose: edge-0 connected" }).waitFor();
    await card.getByRole("listitem").filter({ hasText: /^○ 1 offline$/ }).waitFor();
    await card.getByText("1 device has no place on the map.").waitFor();
    await card.getByRole("listitem").filter({ hasText: "Potsdam: edge-3 offline" }).waitFor({ state: "attached" });
    await inspect(page, "the main screen");
  }));

test("the map is not loaded before the main screen is scrolled to it", async () => {
  const asked = [];
  await at(
    "overview",
    { count: 300, setting: { viewport: { width: 1280, height: 500 } }, prepare: async (page) => page.on("request", (request) => asked.push(request.url())) },
    async (page) => {
      await page.getByRole("heading", { name: "Map of devices" }).waitFor();
      const maps = () => asked.filter((url) => /\/(draw|FleetMap|countries)-/.test(url)).length;
      assert.equal(maps(), 0);
      await page.getByRole("heading", { name: "Map of devices" }).scrollIntoViewIfNeeded();
      await drawn(page);
      assert.ok(maps() > 0);
    },
  );
});

test("by keyboard one goes from device to device on the map, and to its page", () =>
  at("overview", { count: 5 }, async (page) => {
    const card = page.getByRole("region", { name: "Map of devices" });
    await card.scrollIntoViewIfNeeded();
    await drawn(page);
    await mapOf(page, "Map of devices").focus();
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    const device = async () => /edge-\d/.test(await focused());
    await becomes(device, true);
    const first = await focused();
    await page.keyboard.press("ArrowRight");
    await becomes(async () => (await device()) && (await focused()) !== first, true);
    await page.keyboard.press("ArrowLeft");
    await becomes(focused, first);
    await card.getByRole("button", { name: "San Jose: edge-0 connected" }).focus();
    await page.keyboard.press("Enter");
    await page.waitForURL(/#\/device\?device=d0$/);
  }));

test("devices of one place are one mark with their number, and each can be opened", () =>
  at("overview", { count: 0 }, async (page, fake) => {
    const device = (id, liveness) => ({
      id, name: `twin-${id}`, place: "Nairobi", owner: "acme", liveness, reasons: [], last_seen_at: Date.now(), enrolled_at: 1, facts: null,
      location: { lat: -1.283, lon: 36.817 },
    });
    fake.things.devices.push(device("a", "connected"), { ...device("b", "offline"), name: "<b>twin</b>" });
    await page.reload();
    const card = page.getByRole("region", { name: "Map of devices" });
    await card.scrollIntoViewIfNeeded();
    await drawn(page);
    const mark = card.getByRole("button", { name: "Nairobi: 2 devices, <b>twin</b> offline, twin-a connected" });
    await mark.focus();
    await page.keyboard.press("Enter");
    await card.getByRole("button", { name: "<b>twin</b>", exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await card.getByRole("button", { name: "twin-a", exact: true }).waitFor({ state: "detached" });
    await mark.click();
    await card.getByRole("button", { name: "twin-a", exact: true }).click();
    await page.waitForURL(/#\/device\?device=a$/);
  }));

test("the map follows what is typed, and the nearest device that answers is taken, until a person takes another", () =>
  at("containers?panel=create", { count: 5 }, async (page) => {
    await drawn(page);
    const device = page.getByLabel("Device", { exact: true });
    const berlin = mapOf(page).getByRole("button", { name: /^(Berlin|Potsdam).*edge-1/ });
    await page.getByRole("combobox", { name: "Place" }).fill("berl");
    await page.getByRole("option", { name: "Berlin, DE" }).waitFor();
    await berlin.waitFor();
    await becomes(() => centred(page, berlin), true, "the map is where the first place is that was found");
    await page.keyboard.press("Enter");
    await page.getByText("edge-1 is the nearest that answers: under 1 km away").waitFor();
    await becomes(() => device.inputValue(), "d1");
    const options = async () => (await device.locator("option").allInnerTexts()).map((text) => text.trim()).join("|");
    await becomes(async () => /^edge-1, under 1 km\|edge-3, 27 km \(offline\)\|edge-0, [^()]* km\|/.test(await options()), true);
    await device.selectOption("d0");
    await page.getByText("edge-1 would be the nearest: under 1 km").waitFor();
    await inspect(page, "the form with a place");
  }));

test("a click on the map picks that point, and a device on it the place where it stands", () =>
  at("containers?panel=create", { count: 5 }, async (page) => {
    await drawn(page);
    const box = await mapOf(page).boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height - 40);
    const place = page.getByRole("combobox", { name: "Place" });
    await page.getByText(/is the nearest that answers/).waitFor();
    await becomes(async () => /^-?\d+\.\d{3}, -?\d+\.\d{3} \(near /.test(await place.inputValue()), true);
    await mapOf(page).getByRole("button", { name: "San Jose: edge-0 connected" }).click();
    await page.getByText("edge-0 is the nearest that answers: under 1 km away").waitFor();
    await becomes(async () => /^37\.339, -121\.895 /.test(await place.inputValue()), true);
  }));

test("where the map cannot be loaded it says so, and the form works", () =>
  at(
    "containers?panel=create",
    { count: 3, prepare: (page) => page.route(/\/assets\/draw-.*\.js/, (request) => request.abort()) },
    async (page) => {
      await page.getByRole("alert").filter({ hasText: "The map could not be loaded" }).waitFor();
      await page.getByRole("combobox", { name: "Place" }).fill("san jos");
      await page.getByRole("option", { name: "San Jose, CA, US" }).click();
      await page.getByText("edge-0 is the nearest that answers").waitFor();
    },
  ));
