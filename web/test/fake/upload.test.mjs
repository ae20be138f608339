// Uploads from a real Chromium to a control plane that only pretends: what arrives is what was chosen, whatever happens on
// the way. `npm run build && npm run pretend`.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { becomes, launch, open, told } from "../../e2e/browser.mjs";
import { serve } from "./server.mjs";

const MIB = 1024 * 1024;
let browser;
let folder;
before(async () => {
  browser = await launch();
  folder = mkdtempSync(join(tmpdir(), "upload-"));
  mkdirSync(join(folder, "app/lib"), { recursive: true });
  writeFileSync(join(folder, "app/main.py"), "#!/usr/bin/env python3\nprint('hello')\n");
  writeFileSync(join(folder, "app/lib/data.bin"), randomBytes(3 * MIB));
  writeFileSync(join(folder, "plain.tar.gz"), Buffer.concat([Buffer.from([0x1f, 0x8b]), randomBytes(20 * MIB)]));
  writeFileSync(join(folder, "hostile.tar.gz"), Buffer.concat([Buffer.from([0x1f, 0x8b]), randomBytes(1000)]));
  writeFileSync(join(folder, "app.zip"), Buffer.from("PK\u0003\u0004 and so on"));
});
after(async () => {
  await browser?.close();
  rmSync(folder, { recursive: true });
});

async function versionForm(page, fake) {
  await page.goto(`${fake.url}/#/applications?panel=version`);
  await page.getByRole("radio", { name: "Files over a base image" }).check();
  await page.getByText(/One upload may have/).waitFor();
}

const choose = (page, name) => page.getByLabel("File", { exact: true }).setInputFiles(join(folder, name));
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");

test("a folder is packed, sent and made a version, and arrives with its files and who may run them", async () => {
  const fake = await serve({ count: 0 });
  const { page, complaints, close } = await open(browser);
  await versionForm(page, fake);
  await page.getByLabel("Application", { exact: true }).fill("hello");
  await page.getByLabel("Base image", { exact: true }).fill("python:3.13-slim");
  await page.getByLabel("Folder", { exact: true }).setInputFiles(join(folder, "app"));
  await page.getByText(/app.tar.gz is uploaded/).waitFor();
  const unpacked = mkdtempSync(join(tmpdir(), "unpacked-"));
  execFileSync("tar", ["-xzf", "-"], { cwd: unpacked, input: fake.uploads.last });
  for (const path of ["main.py", "lib/data.bin"]) {
    assert.equal(sum(readFileSync(join(unpacked, path))), sum(readFileSync(join(folder, "app", path))), path);
  }
  execFileSync("test", ["-x", join(unpacked, "main.py")]);
  rmSync(unpacked, { recursive: true });
  await page.getByRole("button", { name: "Add version" }).click();
  await told(page, "hello has version 1 now.");
  assert.equal(fake.things.applications[0].versions[0].source.artifact, sum(fake.uploads.last));
  assert.deepEqual(complaints, []);
  await close();
  fake.close();
});

test("a link that breaks in the middle is made good, and a pause is one", async () => {
  const fake = await serve({ count: 0 });
  fake.faults.cut = 11 * MIB;
  fake.faults.heldAt = 15 * MIB;
  const { page, close } = await open(browser);
  await versionForm(page, fake);
  await choose(page, "plain.tar.gz");
  await becomes(() => [...fake.uploads.values()].some(({ offset }) => offset > 15 * MIB), true, "it goes on after the cut");
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText(/^Paused at/).waitFor();
  fake.faults.heldAt = undefined;
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText(/plain.tar.gz is uploaded/).waitFor();
  assert.equal(fake.faults.cut, 0, "the link was cut");
  assert.equal(sum(fake.uploads.last), sum(readFileSync(join(folder, "plain.tar.gz"))));
  await close();
  fake.close();
});

test("after a closed tab the same file goes on where it was, and the storage has nothing but its address", async () => {
  const fake = await serve({ count: 0 });
  fake.faults.heldAt = 5 * MIB;
  const { page, close } = await open(browser);
  await versionForm(page, fake);
  await choose(page, "plain.tar.gz");
  await page.getByText(/: (?!0 B)\S+ \S+ of \S+ MiB sent/).waitFor();
  await page.waitForFunction(() => Object.keys(localStorage).length > 0);
  await page.reload();
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert.doesNotMatch(kept, /plain/);
  fake.faults.heldAt = undefined;
  await versionForm(page, fake);
  await choose(page, "plain.tar.gz");
  await page.getByText(/plain.tar.gz is uploaded/).waitFor();
  assert.equal([...fake.uploads.values()].filter((one) => one.length).length, 1, "one upload, not two");
  await becomes(() => page.evaluate(() => localStorage.length), 0);
  // And once more: it is there, so nothing is sent.
  await page.getByRole("button", { name: "Choose something else" }).click();
  await choose(page, "plain.tar.gz");
  await page.getByText("plain.tar.gz was uploaded before, so nothing was sent.").waitFor();
  await close();
  fake.close();
});

test("what is refused is told with the control plane's sentence, which stays; what can't be taken is not sent at all", async () => {
  const fake = await serve({ count: 0, limit: 10 * MIB });
  const { page, close } = await open(browser);
  await versionForm(page, fake);
  await choose(page, "app.zip");
  await page.getByRole("alert").filter({ hasText: "app.zip is an archive of zip" }).waitFor();
  await choose(page, "plain.tar.gz");
  await page.getByRole("alert").filter({ hasText: "one upload may have 10.0 MiB at most" }).first().waitFor();
  await page.getByRole("button", { name: "Choose something else" }).click();
  await choose(page, "hostile.tar.gz");
  await page.getByRole("alert").filter({ hasText: "leads out of the archive" }).first().waitFor();
  assert.equal(fake.uploads.size, 1, "only the small one was sent");
  // To send what is no good once more would only be refused again.
  assert.equal(await page.getByRole("button", { name: "Go on" }).count(), 0);
  await page.getByRole("button", { name: "Choose something else" }).click();
  await page.getByRole("button", { name: "Choose files…" }).waitFor();
  await close();
  fake.close();
});

test("a refusal whose answer was lost is heard without sending everything again", async () => {
  const fake = await serve({ count: 0 });
  fake.faults.lose = true;
  const { page, close } = await open(browser);
  await versionForm(page, fake);
  await choose(page, "hostile.tar.gz");
  await page.getByRole("alert").filter({ hasText: "leads out of the archive" }).first().waitFor();
  assert.equal(fake.uploads.size, 1);
  await becomes(() => page.evaluate(() => localStorage.length), 0);
  await close();
  fake.close();
});
