// Tables on a telephone, in a real Chromium: what has no room beside is said below, and nothing is scrolled to sideways.
import { test } from "node:test";
import { becomes } from "../../e2e/browser.mjs";
import { visit } from "./visit.mjs";

const TABLES = {
  overview: "Table of containers",
  devices: "Table of devices",
  "containers?panel=files": "Table of stored files",
  "container?container=c0&panel=files": "Files in /",
  "applications?panel=runs": "Table of runs",
  "applications?panel=uploads": "Table of uploads",
  members: "Table: People",
  tokens: "Table: API tokens",
  audit: "Table of entries",
  platform: "Table: Tenants",
  "platform?part=accounts": "Table: Accounts",
  account: "Table: Where you are logged in",
};

for (const [address, name] of Object.entries(TABLES)) {
  test(`${name} fits a telephone`, () =>
    visit(address, { serving: { count: 5, admin: true }, browsing: { viewport: { width: 390, height: 844 } } }, async (page) => {
      await page.getByRole("region", { name, exact: true }).getByRole("row").nth(1).waitFor();
      const wider = () =>
        page.getByRole("main").getByRole("region").evaluateAll((regions) =>
          regions.filter((one) => one.scrollWidth > one.clientWidth).map((one) => `${one.getAttribute("aria-label")}: ${one.scrollWidth - one.clientWidth} px`),
        );
      await becomes(wider, []);
    }));
}
