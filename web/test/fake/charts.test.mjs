// Charts and the page of one container in a real Chromium against a fleet that only pretends. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { becomes, inspect, panel } from "../../e2e/browser.mjs";
import { breakOff, visit } from "./visit.mjs";

const at = (address, serving, run, faults = {}) =>
  visit(address, { serving, prepare: async (_page, fake) => void Object.assign(fake.faults, faults) }, run);

const chart = (page, name) => page.getByRole("figure", { name, exact: true });
/** The places across the chart at which the line's colour is found in a column of its picture. */
async function inked(page, name) {
  await chart(page, name).scrollIntoViewIfNeeded();
  return chart(page, name).locator("canvas").evaluate((canvas) => {
    const ink = getComputedStyle(canvas).getPropertyValue("--series-1").trim();
    const wanted = [1, 3, 5].map((from) => parseInt(ink.slice(from, from + 2), 16));
    // What lies over the picture is as large as what is drawn between the axes.
    const over = canvas.parentElement.querySelector(".u-over");
    const [left, width, height] = [over.offsetLeft, over.offsetWidth, canvas.height].map((size) => Math.round(size * devicePixelRatio));
    const { data } = canvas.getContext("2d").getImageData(left, 0, width, height);
    return Array.from({ length: width }, (_, index) => {
      for (let y = 0; y < height; y += 1) {
        const pixel = 4 * (y * width + index);
        if (wanted.every((value, channel) => Math.abs(data[pixel + channel] - value) < 40) && data[pixel + 3] > 200) return true;
      }
      return false;
    });
  });
}
const share = (columns, from, to) => {
  const part = columns.slice(Math.round(from * columns.length), Math.round(to * columns.length));
  return part.filter(Boolean).length / part.length;
};

test("the chart of all devices does not begin empty, a hole in the past stays one, and one device can be looked at alone", () =>
  at("overview", { count: 3 }, async (page) => {
    await chart(page, "CPU against time").getByText(/edge-1/).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("[data-value]")].every((value) => /\d/.test(value.textContent)));
    await page.getByLabel("Devices in the chart").selectOption("edge-0");
    await page.waitForURL(/cpu=d0/);
    await chart(page, "CPU against time").getByText("edge-1").waitFor({ state: "detached" });
    let columns = [];
    while (share(columns, 0.05, 0.35) < 0.9 || Number.isNaN(share(columns, 0.05, 0.35))) columns = await inked(page, "CPU against time");
    assert.ok(share(columns, 0.44, 0.56) < 0.1, "nothing is known there");
    assert.ok(share(columns, 0.65, 0.9) > 0.9);
  }));

test("of many devices the busiest have a line, and it is said what the last line is", () =>
  at("overview", { count: 40 }, async (page) => {
    await page.getByText("The 5 busiest of 40 devices, and the mean of the others.").waitFor();
    await becomes(() => chart(page, "CPU against time").getByRole("listitem").count(), 6);
    await chart(page, "CPU against time").getByText("mean of the other 35").waitFor();
  }));

test("the time that is shown is in the address, and what is asked for fits it", () =>
  at("container?container=c0", { count: 3 }, async (page, fake) => {
    await page.getByText("The last 5 minutes, each second").waitFor();
    const shown = { "1 h": ["1h", 3_600, "10 s"], "24 h": ["24h", 86_400, "5 min"], "7 d": ["7d", 7 * 86_400, "15 min"], "30 d": ["30d", 30 * 86_400, "45 min"] };
    for (const [name, [id, seconds, step]] of Object.entries(shown)) {
      await page.getByRole("button", { name: `${name}:` }).click();
      await page.getByText(`in steps of ${step}`).waitFor();
      await page.waitForURL(new RegExp(`range=${id}`));
      const { container, from, to } = fake.faults.asked.at(-1);
      assert.deepEqual([container, Math.round((to - from) / 1_000)], ["c0", seconds]);
    }
    await page.reload();
    await page.getByText("The last 30 days, in steps of 45 min").waitFor();
    const drawn = async () => {
      const columns = await inked(page, "Memory");
      return [share(columns, 0.1, 0.38) > 0.95, share(columns, 0.42, 0.58) < 0.05, share(columns, 0.62, 0.9) > 0.95];
    };
    await becomes(drawn, [true, true, true]);
    await chart(page, "CPU").getByText(/lowest .* %, highest .* %/).waitFor();
    await inspect(page, "the page of a container");
  }));

test("the same moment is told below all charts while one is pointed at", () =>
  at("container?container=c0&range=24h", { count: 3 }, async (page) => {
    await page.getByText("in steps of 5 min").waitFor();
    const { x, y } = await chart(page, "CPU").locator("canvas").boundingBox();
    await page.mouse.move(x + 150, y + 60);
    const told = (name) => chart(page, name).getByText(/\d:\d\d:\d\d/).innerText();
    await becomes(async () => (await told("CPU")) === (await told("Network")), true);
    await page.mouse.move(5, 5);
    await chart(page, "CPU").getByText("of one core").waitFor();
  }));

test("a past of which nothing was kept says so", () =>
  at("container?container=c0&range=7d", { count: 3 }, (page) => chart(page, "Network").getByText("Nothing was kept of the last 7 days.").waitFor(), { empty: true }));

test("what an older agent does not tell is said not to be measured", () =>
  at("container?container=c0", { count: 3 }, async (page) => {
    await chart(page, "Network").getByText("Not measured").waitFor();
    await chart(page, "Disk").getByText("Not measured").waitFor();
    assert.equal(await chart(page, "Memory").getByText("Not measured").count(), 0);
  }, { older: true }));

test("a past that cannot be loaded says why, and is asked for again", () =>
  at("container?container=c0&range=1h", { count: 3 }, async (page, fake) => {
    const error = page.getByRole("alert").filter({ hasText: "The disk of the control plane is full." });
    await error.waitFor();
    delete fake.faults.history;
    await error.getByRole("button", { name: "Try again" }).click();
    await page.getByText("in steps of 10 s").waitFor();
    await error.waitFor({ state: "detached" });
  }, { history: "The disk of the control plane is full." }));

test("the live chart goes on after the connection was broken, and asks for what it has missed", () =>
  at("container?container=c0", { count: 3 }, async (page, fake) => {
    const value = chart(page, "CPU").locator("[data-value=cpu]");
    await value.filter({ hasText: /\d/ }).waitFor();
    const mend = await breakOff(page, fake);
    const asked = fake.faults.asked.length;
    await mend();
    const then = await value.innerText();
    await page.waitForFunction((then) => {
      const now = document.querySelector("[data-value=cpu]")?.textContent ?? "";
      return /\d/.test(now) && now !== then;
    }, then);
    await becomes(() => fake.faults.asked.length > asked, true);
  }));

/** Counts what is drawn from now on, as `window.drawn`. */
const count = (page) =>
  page.evaluate(() => {
    window.drawn = 0;
    const clear = CanvasRenderingContext2D.prototype.clearRect;
    CanvasRenderingContext2D.prototype.clearRect = function (...area) {
      window.drawn += 1;
      return clear.apply(this, area);
    };
  });
/** What goes through three changes of a text that tells figures: so many have arrived at least. */
async function threeTicks(text) {
  for (let ticks = 0, then = await text.innerText(); ticks < 3; ) {
    const now = await text.innerText();
    if (now !== then) ticks += 1;
    then = now;
  }
}

test("nothing is drawn while nobody looks at the page", () =>
  at("container?container=c0", { count: 3 }, async (page) => {
    await chart(page, "CPU").locator("[data-value=cpu]").filter({ hasText: /\d/ }).waitFor();
    await count(page);
    const hide = (hidden) =>
      page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await page.waitForFunction(() => window.drawn > 0);
    await hide(true);
    const before = await page.evaluate(() => window.drawn);
    await threeTicks(page.getByRole("region", { name: "Facts" }));
    assert.equal(await page.evaluate(() => window.drawn), before);
    await hide(false);
    await page.waitForFunction((before) => window.drawn > before, before);
  }));

test("a chart is not drawn while it is scrolled away", () =>
  at("overview", { count: 40 }, async (page) => {
    await page.getByText("The 5 busiest of 40 devices").scrollIntoViewIfNeeded();
    await chart(page, "CPU against time").locator("[data-value=others]").filter({ hasText: /\d/ }).waitFor();
    await count(page);
    await page.waitForFunction(() => window.drawn > 0);
    await page.getByRole("row").last().scrollIntoViewIfNeeded();
    await page.waitForFunction(() => document.querySelector("canvas").getBoundingClientRect().bottom < -200);
    const row = page.getByRole("row").filter({ hasText: "edge-1" }).last();
    // The browser tells a moment later that the chart has gone; then it stays as it is.
    const drawn = () => page.evaluate(() => window.drawn);
    let now = await drawn();
    for (let before = -1; now !== before; now = await drawn()) {
      before = now;
      await threeTicks(row);
    }
    await threeTicks(row);
    assert.equal(await drawn(), now);
  }));

test("a container is stopped, started and deleted from its page; what fails is said there", () =>
  at("container?container=c1", { count: 3 }, async (page, fake) => {
    const actions = page.getByRole("group", { name: "Actions" });
    const action = (name) => actions.getByRole("button", { name, exact: true });
    assert.ok(await action("Start").isDisabled());
    fake.faults.order = "The engine does not answer. Start it on the device.";
    await action("Restart").click();
    await page.getByRole("region", { name: "Facts" }).getByRole("alert").filter({ hasText: "The engine does not answer" }).waitFor();
    delete fake.faults.order;
    await action("Stop").click();
    await page.getByText("exited (143)").first().waitFor();
    await action("Start").click();
    await page.getByRole("region", { name: "Facts" }).getByText("running").waitFor();
    await action("Delete").click();
    const question = page.getByRole("dialog", { name: "Delete web" });
    assert.ok(await question.getByRole("button", { name: "Delete container" }).isDisabled());
    await question.getByLabel("Type web to confirm").fill("web");
    await question.getByRole("button", { name: "Delete container" }).click();
    await page.getByRole("heading", { level: 1, name: "Containers" }).waitFor();
  }));

test("the configuration tells names of variables but no values, and after an error it is asked for again", () =>
  at("container?container=c0&panel=configuration", { count: 3 }, async (page, fake) => {
    await page.getByRole("alert").filter({ hasText: "The engine does not answer." }).waitFor();
    delete fake.faults.inspect;
    await page.getByRole("button", { name: "Try again" }).click();
    for (const text of ["hello world", "TOKEN", "256.0 MiB of memory, 0.5 cores", "always, unless it was stopped", "/var/lib/data"]) await page.getByText(text, { exact: true }).waitFor();
    await inspect(page, "the configuration");
  }, { inspect: "The engine does not answer." }));

test("charts are open at first, can be closed, and make room for another panel", () =>
  at("container?container=c0", { count: 3 }, async (page) => {
    await chart(page, "CPU").waitFor();
    await page.getByRole("button", { name: "Charts" }).click();
    await chart(page, "CPU").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Charts" }).click();
    await chart(page, "CPU").waitFor();
    await panel(page, "Move, and moves so far");
    await page.getByLabel("Destination").waitFor();
    await chart(page, "CPU").waitFor({ state: "detached" });
    await panel(page, "Checkpoints");
    await page.getByText("No checkpoint").first().waitFor();
  }));

test("a viewer sees charts and configuration, and no actions", () =>
  at("container?container=c0", { count: 3, role: "viewer" }, async (page) => {
    await chart(page, "CPU").waitFor();
    assert.equal(await page.getByRole("group", { name: "Actions" }).count(), 0);
    const offered = await page.getByRole("main").getByRole("button").allInnerTexts();
    assert.doesNotMatch(offered.join(), /Start|Stop|Delete|Terminal|Files|Update/);
    await panel(page, "Configuration");
    await page.getByText("hello world").waitFor();
  }));
