// Looks at the screens against what is pretended, in a real Chromium: takes pictures into test/fake/shots, and says what
// axe, the policy and the console complain about. `node test/fake/look.mjs [counts]`, after `npm run build`.
import { mkdir } from "node:fs/promises";
import AxeBuilder from "@axe-core/playwright";
import { launch, open } from "../../e2e/browser.mjs";
import { serve } from "./server.mjs";

const counts = (process.argv[2] ?? "0,3,300").split(",").map(Number);
const only = process.argv[3];
await mkdir(new URL("shots", import.meta.url), { recursive: true });
const browser = await launch();
let bad = 0;
for (const count of counts) {
  const fake = await serve({ count });
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 390]) {
      const { page, complaints, close } = await open(browser, { colorScheme, viewport: { width, height: 860 } });
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      const shot = async (name) => {
        // The colours are those of three things; axe takes minutes to look at those of a thousand.
        const { violations } = await new AxeBuilder({ page }).disableRules(count > 50 ? ["color-contrast"] : []).analyze();
        const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 2).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        if (wide > 0) told.push(`${wide} px too wide`);
        for (const one of told) console.log(`${name} ${count} ${colorScheme} ${width}: ${one}`);
        bad += told.length;
        await page.screenshot({ path: new URL(`shots/${name}-${count}-${colorScheme}-${width}.png`, import.meta.url).pathname, fullPage: count <= 3 });
      };
      const screens = {
        applications: async () => {
          await page.goto(`${fake.url}/#/applications${count > 50 ? "?filter=we" : ""}`);
          await page.getByText(count === 0 ? "No application yet." : /^web$/).first().waitFor();
          if (count > 0) await page.getByRole("button", { name: "More about web" }).click();
        },
        version: async () => {
          await page.goto(`${fake.url}/#/applications?panel=version`);
          await page.getByRole("radio", { name: "Files over a base image" }).check();
          await page.getByText("How it runs").click();
        },
        deploy: async () => {
          await page.goto(`${fake.url}/#/applications?panel=deploy&application=web`);
          if (count === 0) return page.getByText("There is no application yet.").waitFor();
          await page.getByRole("radio", { name: "Nearest to a place" }).check();
          await page.getByRole("combobox", { name: "Place" }).fill("san j");
          await page.getByRole("option", { name: /San Jose/ }).click();
          await page.getByLabel("On how many devices").fill("3");
          await page.getByRole("region", { name: "Devices that were looked at" }).waitFor();
          if (colorScheme === "dark") {
            await page.getByRole("button", { name: /^Deploy/, exact: false }).and(page.locator(".primary")).click();
            await page.getByText(/Deployed on|Failed on/).first().waitFor();
          }
        },
        update: async () => {
          await page.goto(`${fake.url}/#/applications?panel=update&container=c1`);
          await page.getByText(count === 0 ? "not known here now" : /^It keeps|runs/).first().waitFor();
        },
        runs: async () => {
          await page.goto(`${fake.url}/#/applications?panel=runs`);
          await page.getByText(count === 0 ? "Nothing has run once" : "report-0").first().waitFor();
        },
        uploads: async () => {
          await page.goto(`${fake.url}/#/applications?panel=uploads`);
          await page.getByText(/are used/).waitFor();
        },
        containers: async () => {
          await page.goto(`${fake.url}/#/containers?panel=files`);
          await page.getByText(count === 0 ? "Nothing yet." : "camera-0.log").first().waitFor();
        },
        log: async () => {
          await page.goto(`${fake.url}/#/container?container=c0&panel=logs`);
          await page.getByText(count === 0 ? "not known here" : "request 199").first().waitFor();
        },
        files: async () => {
          await page.goto(`${fake.url}/#/container?container=c0&panel=files`);
          if (count === 0) return;
          await page.getByRole("button", { name: "Fetch reading-1.json" }).click();
          await page.getByRole("link", { name: /Download/ }).first().waitFor();
        },
        terminal: async () => {
          await page.goto(`${fake.url}/#/container?container=c0&panel=terminal`);
          if (count === 0) return;
          await page.getByRole("button", { name: "Open a terminal" }).click();
          await page.getByText("#").first().waitFor();
          await page.keyboard.type("hello\r");
          await page.getByText("you said").first().waitFor();
        },
      };
      for (const [name, go] of Object.entries(screens)) {
        if (only && name !== only) continue;
        try {
          await go();
        } catch (error) {
          bad += 1;
          console.log(`${name} ${count} ${colorScheme} ${width}: ${error.message.split("\n")[0]}`);
        }
        await shot(name);
      }
      for (const one of new Set(complaints)) console.log(`complaint ${count} ${colorScheme} ${width}: ${one}`);
      bad += complaints.length;
      await close();
    }
  }
  fake.close();
}
await browser.close();
console.log(bad === 0 ? "nothing to complain about" : `${bad} complaints`);
