// Takes a picture of each page at two widths in both themes, into e2e/shots. `cargo xtask shots`, or `npm run shots` with the
// same environment as the browser tests; ECEP_SHOT=FILE also writes the one for the README.
import { mkdir } from "node:fs/promises";
import { checkpointsListed, chooseDestination, createContainer, env, go, launch, logIn, open, panel, pickContainer, skip } from "./browser.mjs";

if (skip) throw new Error(skip);
/** So that the chart has something to show, in milliseconds. */
const WARM_UP = Number(process.env.ECEP_SHOT_WARM_UP ?? 20_000);

await mkdir(new URL("shots", import.meta.url), { recursive: true });
const browser = await launch();
const into = (name) => new URL(`shots/${name}.png`, import.meta.url).pathname;
const first = await open(browser);
await logIn(first.page);
for (const name of ["camera", "metrics"]) await createContainer(first.page, name);
await first.close();
for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 390]) {
    const { page, close } = await open(browser, { colorScheme, viewport: { width, height: 860 } });
    await page.goto(env.url);
    await page.getByLabel("E-mail").waitFor();
    await page.screenshot({ path: into(`login-${colorScheme}-${width}`) });
    await logIn(page);
    await page.locator("[data-value]").first().filter({ hasText: /\d/ }).waitFor();
    if (width === 1280) await page.waitForTimeout(WARM_UP);
    await page.screenshot({ path: into(`overview-${colorScheme}-${width}`), fullPage: true });
    if (process.env.ECEP_SHOT && width === 1280 && colorScheme === "light") {
      await page.screenshot({ path: process.env.ECEP_SHOT });
    }
    await go(page, "Members");
    await page.getByRole("row").nth(1).waitFor();
    await page.screenshot({ path: into(`members-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Audit log");
    await page.getByRole("row").nth(1).waitFor();
    await page.screenshot({ path: into(`audit-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Containers");
    await page.getByRole("link", { name: "counter", exact: true }).click();
    await page.locator("[data-value]").first().filter({ hasText: /\d/ }).waitFor();
    await page.screenshot({ path: into(`container-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Applications");
    await panel(page, "New version");
    await page.screenshot({ path: into(`applications-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Containers");
    await panel(page, "Create a container");
    // On a phone it is opened when it is wanted.
    if (width === 390) await page.getByRole("button", { name: "Show the map" }).click();
    await page.getByText("Countries: Natural Earth").waitFor();
    await page.screenshot({ path: into(`containers-${colorScheme}-${width}`), fullPage: true });
    await panel(page, "Move to another device");
    await pickContainer(page, "counter");
    await chooseDestination(page);
    await page.getByRole("list", { name: "Checks" }).waitFor();
    await page.screenshot({ path: into(`move-${colorScheme}-${width}`), fullPage: true });
    await panel(page, "Checkpoints");
    await checkpointsListed(page);
    await page.screenshot({ path: into(`checkpoints-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Devices");
    await panel(page, "Enrol a device");
    await page.getByRole("button", { name: "Make a join token" }).click();
    await page.getByText("Waiting for the device").waitFor();
    await page.screenshot({ path: into(`devices-${colorScheme}-${width}`), fullPage: true });
    await page.getByRole("region", { name: "Table of devices" }).getByRole("link", { name: "edge-1", exact: true }).click();
    await page.locator("[data-value]").first().filter({ hasText: /\d/ }).waitFor();
    await page.screenshot({ path: into(`device-${colorScheme}-${width}`), fullPage: true });
    await go(page, "Tokens");
    await page.screenshot({ path: into(`tokens-${colorScheme}-${width}`), fullPage: true });
    await close();
  }
}
await browser.close();
