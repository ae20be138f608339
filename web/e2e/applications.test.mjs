// A person makes an application, deploys it, watches its output, brings it another version and back, and lets it run once.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { env, go, inspect, launch, logIn, open, panel, pickContainer, row, skip } from "./browser.mjs";

/** Pulls, builds and health checks take their time on a busy machine, in milliseconds. */
const DONE_WITHIN = 300_000;

let browser;
let folder;
before(async () => {
  if (skip) return;
  browser = await launch();
  folder = mkdtempSync(join(tmpdir(), "application-"));
  mkdirSync(join(folder, "app/data"), { recursive: true });
  writeFileSync(join(folder, "app/data/hello.txt"), "hello from a folder\n");
  writeFileSync(join(folder, "app/Dockerfile"), `FROM ${env.image}\nCOPY data /data\n`);
});
after(async () => {
  await browser?.close();
  if (folder) rmSync(folder, { recursive: true });
});

const fresh = (name) => `${name}-${Date.now().toString(36)}`;

async function addVersion(page, application, number, note) {
  await panel(page, "New version");
  await page.getByLabel("Application", { exact: true }).fill(application);
  await page.getByLabel("What is new").fill(note);
  await page.getByRole("radio", { name: "Image of a registry" }).check();
  await page.getByLabel("Image", { exact: true }).fill(env.image);
  await page.getByRole("button", { name: "Add version" }).click();
  await page.getByRole("status").filter({ hasText: `${application} has version ${number} now.` }).waitFor();
}

async function deployAnywhere(page, application) {
  await page.getByRole("link", { name: "Deploy it" }).click();
  await page.getByRole("radio", { name: "Where there is most room" }).check();
  await page.getByText(/^It would go to/).waitFor();
  await page.getByRole("button", { name: "Deploy", exact: true }).and(page.locator(":not([aria-expanded])")).click();
  await page.getByText("Deployed on 1 device.").waitFor({ timeout: DONE_WITHIN });
  await go(page, "Containers");
  await row(page, application).getByText("running").waitFor();
}

async function remove(page, name) {
  await go(page, "Containers");
  await panel(page, "Delete");
  await pickContainer(page, name);
  await page.getByLabel("Type the name to confirm").fill(name);
  await page.getByRole("button", { name: "Delete container" }).click();
  await row(page, name).waitFor({ state: "detached" });
}

test("an application is deployed, brought another version and back, and its container's page shows all of it", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const application = fresh("shop");
  await logIn(page);
  await go(page, "Applications");
  await addVersion(page, application, 1, "the first");
  await deployAnywhere(page, application);
  await go(page, "Applications");
  await addVersion(page, application, 2, "the second");
  await go(page, "Containers");
  await row(page, application).getByRole("link", { name: application }).click();
  await page.getByRole("heading", { level: 1, name: application }).waitFor();
  await panel(page, "Update or roll back");
  for (const button of ["Update to version 2", "Roll back to version 1"]) {
    await page.getByRole("button", { name: button }).click();
    await page.getByText(`${application}, version ${button.at(-1)}`).waitFor({ timeout: DONE_WITHIN });
  }
  await panel(page, "Logs");
  await page.getByText(/^Following: |It has written nothing yet/).filter({ visible: true }).first().waitFor();
  await inspect(page, "the output of a container");
  await page.getByRole("button", { name: "Fetch all of it" }).click();
  const fetched = page.getByRole("link", { name: /^Download/ });
  await fetched.waitFor({ timeout: DONE_WITHIN });
  const download = page.waitForEvent("download");
  await fetched.click();
  await download;
  await panel(page, "Files");
  await page.getByRole("region", { name: "Files in /" }).waitFor();
  await inspect(page, "the files of a container");
  await remove(page, application);
  assert.deepEqual(complaints, []);
  await close();
});

test("a folder with a Dockerfile is uploaded, built on the device and run; its file can be fetched", { skip }, async () => {
  const { page, complaints, close } = await open(browser);
  const application = fresh("built");
  await logIn(page);
  await go(page, "Applications");
  await panel(page, "New version");
  await page.getByLabel("Application", { exact: true }).fill(application);
  await page.getByRole("radio", { name: "Source with a Dockerfile" }).check();
  await page.getByText(/One upload may have/).waitFor();
  await page.getByLabel("Folder", { exact: true }).setInputFiles(join(folder, "app"));
  await page.getByText(/app\.tar\.gz is uploaded/).waitFor();
  await page.getByRole("button", { name: "Add version" }).click();
  await page.getByRole("status").filter({ hasText: `${application} has version 1 now.` }).waitFor();
  await deployAnywhere(page, application);
  await row(page, application).getByRole("link", { name: application }).click();
  await panel(page, "Files");
  await page.getByRole("button", { name: "data/", exact: true }).click();
  await page.getByRole("button", { name: "Fetch hello.txt" }).click();
  const fetched = page.getByRole("link", { name: "Download the file hello.txt" });
  await fetched.waitFor({ timeout: DONE_WITHIN });
  const download = page.waitForEvent("download");
  await fetched.click();
  assert.equal((await download).suggestedFilename(), "hello.txt");
  await remove(page, application);
  assert.deepEqual(complaints, []);
  await close();
});
