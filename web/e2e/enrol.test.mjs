// A device comes in by the commands that the dashboard shows, falls silent, comes back and is taken out, as the person sees it who
// does all of it. The agent is the real one; its engine is in memory, as nothing runs on it.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { env, go, inspect, launch, logIn, open, panel, skip } from "./browser.mjs";

const NAME = "porch";
/** An alert comes after 30 s of silence, or later where the control plane has just started, and goes half a minute after the device is back. */
const OFFLINE_WITHIN = 240_000;

const reason = skip || (env.agent ? false : "set ECEP_AGENT to the agent's program");
let browser;
before(async () => {
  if (!reason) browser = await launch();
});
after(() => browser?.close());

/** Where the shown commands find the agent, and it its things. */
async function machine() {
  const folder = await mkdtemp(join(tmpdir(), "ecep-enrol-"));
  await symlink(env.agent, join(folder, "ecep-agent"));
  const surroundings = {
    ...process.env,
    PATH: `${folder}:${process.env.PATH}`,
    ECEP_AGENT_DATA: join(folder, "data"),
    ECEP_AGENT_ENGINE: "sim",
    ECEP_AGENT_CHANNEL_LISTEN: "127.0.0.1:0",
  };
  let agent;
  return {
    type: (command) => promisify(execFile)("sh", ["-ec", command], { cwd: folder, env: surroundings }),
    start: (command) => {
      agent = spawn("sh", ["-ec", `exec ${command}`], { cwd: folder, env: surroundings, stdio: "ignore" });
    },
    kill: async () => {
      if (agent?.exitCode !== null || agent.signalCode !== null) return;
      agent.kill("SIGKILL");
      await once(agent, "exit");
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

test("a device is enrolled by the commands that are shown, is missed when it falls silent, and is removed", { skip: reason }, async () => {
  const { page, complaints, close } = await open(browser);
  const device = await machine();
  try {
    await logIn(page);
    await go(page, "Devices");
    await panel(page, "Enrol a device");
    await page.getByLabel("Name", { exact: true }).fill(NAME);
    await page.getByLabel("Place").fill("Oslo");
    await page.getByRole("button", { name: "Make a join token" }).click();
    const shown = await page.getByRole("region", { name: "Enrol command" }).innerText();
    // This machine's own engine is not the device's, and is not set up.
    const [setup, token, enroll, run] = shown.trim().split("\n");
    assert.equal(setup, "ecep-agent setup");
    await device.type(`${token}\n${enroll}`);
    device.start(run);
    await page.getByRole("status").filter({ hasText: `${NAME} is here` }).getByText("connected").waitFor();

    await go(page, "Overview");
    await device.kill();
    const alerts = page.getByRole("region", { name: "Active alerts" });
    const alert = alerts.getByRole("listitem").filter({ hasText: NAME });
    await alert.waitFor({ timeout: OFFLINE_WITHIN });
    await inspect(page, "the main screen with an alert");
    await alert.getByRole("button", { name: /seen/ }).click();
    await alert.getByText(/^seen/i).waitFor();
    device.start(run);
    await alert.waitFor({ state: "detached", timeout: OFFLINE_WITHIN });

    await go(page, "Devices");
    await page.getByRole("main").getByRole("link", { name: NAME, exact: true }).click();
    await panel(page, "Remove");
    await page.getByRole("button", { name: "Remove the device…" }).click();
    const question = page.getByRole("dialog");
    assert.ok(await question.getByRole("button", { name: "Remove" }).isDisabled(), "its name must be typed");
    await question.getByRole("textbox").fill(NAME);
    await question.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("heading", { level: 1, name: "Devices" }).waitFor();
    await page.getByRole("main").getByRole("link", { name: NAME, exact: true }).waitFor({ state: "detached" });
    assert.deepEqual(complaints, []);
  } finally {
    await device.kill();
    await device.remove();
    await close();
  }
});
