// A real Chromium on the real platform. Where the platform is comes from the environment; without it the tests
// say what they skip. Nothing is found by CSS class: only by role, label and text, as a person would.
import { chromium } from "playwright-core";

export const env = {
  url: process.env.ECEP_URL,
  email: process.env.ECEP_EMAIL,
  password: process.env.ECEP_PASSWORD,
  image: process.env.ECEP_IMAGE,
  restartRouter: process.env.ECEP_RESTART_ROUTER,
};

export const skip = env.url ? false : "set ECEP_URL, ECEP_EMAIL, ECEP_PASSWORD to a running platform";

/** Far beyond what anything takes; only a defect reaches it. */
export const PATIENCE = 30_000;

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

export async function go(page, name) {
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
}

export async function panel(page, name) {
  const button = page.getByRole("button", { name, exact: true }).and(page.locator("[aria-expanded]"));
  if ((await button.getAttribute("aria-expanded")) !== "true") await button.click();
}

/** The table row of a container. */
export function row(page, name) {
  return page.getByRole("row").filter({ has: page.getByRole("cell", { name: new RegExp(`^${name}`) }) });
}
