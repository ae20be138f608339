// A real Chromium on the real platform. Where the platform is comes from the environment; without it the tests
// say what they skip. Nothing is found by CSS class: only by role, label and text, as a person would.
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import AxeBuilder from "@axe-core/playwright";
import { chromium } from "playwright-core";

export const env = {
  url: process.env.ECEP_URL,
  email: process.env.ECEP_EMAIL,
  password: process.env.ECEP_PASSWORD,
  image: process.env.ECEP_IMAGE,
  restartRouter: process.env.ECEP_RESTART_ROUTER,
  agent: process.env.ECEP_AGENT,
};

export const skip = env.url ? false : "set ECEP_URL, ECEP_EMAIL, ECEP_PASSWORD to a running platform";

/** Far beyond what anything takes, also on a machine that is busy with other things; only a defect reaches it. */
export const PATIENCE = 120_000;

export function launch() {
  return chromium.launch({
    executablePath: process.env.ECEP_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A page that collects what the browser complains about. */
export async function open(browser, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  page.on("console", (message) => {
    if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  return { page, complaints, close: () => context.close() };
}

export async function logIn(page, password = env.password) {
  await page.goto(env.url);
  await page.getByLabel("E-mail").fill(env.email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Goes to a page by the left-hand column, and is there once what its address opens and closes is opened and closed. */
export async function go(page, name) {
  const link = page.getByRole("navigation", { name: "Main" }).getByRole("link", { name });
  // It names the tenant, for who has several, once it is touched.
  await link.focus();
  const leads = !page.url().endsWith(await link.getAttribute("href"));
  const heard = leads && page.evaluate(() => new Promise((done) => addEventListener("hashchange", () => setTimeout(done), { once: true })));
  await link.click();
  await heard;
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

export async function panel(page, name) {
  const button = page.getByRole("button", { name, exact: true }).and(page.locator("[aria-expanded]"));
  if ((await button.getAttribute("aria-expanded")) !== "true") await button.click();
}

/** Creates a container from the form, on the page of containers, and waits until it runs. */
export async function createContainer(page, name, ports = "") {
  await go(page, "Containers");
  await panel(page, "Create a container");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Image").fill(env.image);
  await page.getByLabel("Ports").fill(ports);
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await row(page, name).getByText("running").waitFor();
}

/** The table row of a container. */
export function row(page, name) {
  return page.getByRole("row").filter({ has: page.getByRole("cell", { name: new RegExp(`^${name}`) }) });
}

/** The port of the device at which a container that serves 8080 is reached, as its row tells. */
export async function portOf(page, name) {
  const cell = row(page, name).getByRole("cell").filter({ hasText: /^\d+:8080$/ });
  return (await cell.innerText()).split(":")[0];
}

/** The device in the row of a container. */
export async function deviceOf(page, name) {
  const heads = await page.getByRole("region", { name: "Table of containers" }).getByRole("columnheader").allInnerTexts();
  return row(page, name).getByRole("cell").nth(heads.findIndex((head) => head.startsWith("Device"))).innerText();
}

/** The address of a device, as its page tells; ends at the containers. */
export async function addressOf(page, device) {
  await go(page, "Devices");
  await page.getByRole("main").getByRole("link", { name: device, exact: true }).click();
  await page.getByRole("heading", { level: 1, name: device }).waitFor();
  const text = await page.getByRole("region", { name: "Facts" }).getByText(/^\d+\.\d+\.\d+\.\d+/).first().innerText();
  await go(page, "Containers");
  return text.split(",")[0];
}

/** Picks a container in the open panel. */
export async function pickContainer(page, name) {
  const option = page.getByRole("option").filter({ hasText: `${name} on ` });
  // By its id: what is said of it changes with its state.
  await page.getByLabel("Container", { exact: true }).selectOption(await option.getAttribute("value"));
}

/** Chooses the first device that a move can go to; answers its name. */
export async function chooseDestination(page) {
  const select = page.getByLabel("Destination");
  const option = select.locator("option:not([disabled])").first();
  const id = await option.getAttribute("value");
  await select.selectOption(id);
  return (await select.locator(`option[value="${id}"]`).innerText()).trim();
}

/** Every device has told which checkpoints it has. */
export async function checkpointsListed(page) {
  await page.getByRole("region", { name: "Checkpoints" }).and(page.locator("[aria-busy=false]")).waitFor();
}

/** What is read is this by and by: what a page draws, or a machine does, comes after what has caused it. */
export async function becomes(read, wanted, where) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const value = await read();
    if (isDeepStrictEqual(value, wanted)) return;
    if (Date.now() > end) assert.deepEqual(value, wanted, where);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** It was told by a notice, which may have gone by itself: all of them stay in the history. */
export function told(page, text) {
  const history = page.getByRole("region", { name: "What you were told", includeHidden: true });
  return history.getByText(text).first().waitFor({ state: "attached" });
}

/** Usable by everybody, and not wider than the window. */
export async function inspect(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
  assert.deepEqual(told, [], where);
  const overflow = () => page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
  await becomes(overflow, 0, `${where} is too wide`);
}
