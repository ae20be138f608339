// Measures the built dashboard in a headless Chromium against a fleet that only pretends: sizes of what is loaded, the time to
// the first live number, the main thread's work under 1,000 containers, and its memory. One JSON object on stdout, progress on
// stderr. What is good enough is not known here: `cargo xtask bench web` judges.
// `node bench/bench.mjs [--seconds 60] [--minutes 10] [--rounds 5] [--containers 1000] [--only bundle,first,work,memory] [--profile FOLDER]`
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { launch } from "../e2e/browser.mjs";
import { serve } from "../test/fake/server.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    minutes: { type: "string", default: "10" },
    rounds: { type: "string", default: "5" },
    containers: { type: "string", default: "1000" },
    only: { type: "string", default: "bundle,first,work,memory" },
    profile: { type: "string" },
  },
});
const only = values.only.split(",");
const [seconds, minutes, rounds, containers] = ["seconds", "minutes", "rounds", "containers"].map((name) => Number(values[name]));
const dist = new URL("../dist/", import.meta.url).pathname;
/** What loading has left to do is done before the work is measured, in milliseconds. */
const SETTLE = 10_000;
/** How often the heap is looked at for one sample, and how long after the last look, in milliseconds. */
const LOOKS = 5;
const LOOK_EVERY = 700;
const say = (text) => process.stderr.write(`${text}\n`);

/** What `index.html` pulls before anything is asked for, and every file that is loaded only when it is needed. */
function bundle() {
  const first = new Set(["index.html"]);
  const pull = (name) => {
    if (first.has(name)) return;
    first.add(name);
    if (!name.endsWith(".js")) return;
    const text = readFileSync(join(dist, name), "utf8");
    for (const [, other] of text.matchAll(/(?:\bfrom|\bimport)\s*"\.\/([^"]+\.js)"/g)) pull(`assets/${other}`);
  };
  const html = readFileSync(join(dist, "index.html"), "utf8");
  for (const [, name] of html.matchAll(/(?:src|href)="\/?((?:assets\/)?[^"]+\.(?:js|css|svg))"/g)) pull(name);
  const size = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
  const later = readdirSync(join(dist, "assets")).map((name) => `assets/${name}`).filter((name) => !first.has(name) && !name.endsWith(".gz"));
  const told = (names) =>
    names.map((name) => ({ file: name.replace(/^assets\//, "").replace(/-[\w-]{8}(?=\.\w+$)/, ""), gzip_bytes: size(name) }))
      .sort((a, b) => b.gzip_bytes - a.gzip_bytes);
  const files = told([...first]);
  return { first_load_gzip_bytes: files.reduce((sum, file) => sum + file.gzip_bytes, 0), first_load: files, lazy: told(later) };
}

/** A page with a fresh cache, and the ways to look into it. */
async function opened(browser, address) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.goto(address);
  return { page, close: () => context.close() };
}

/** Waits until a container's CPU is drawn as a number; answers the milliseconds since the navigation. */
function firstNumber(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () => {
          const there = [...document.querySelectorAll("table td")].some((cell) => /^\d+(\.\d+)? %$/.test(cell.textContent.trim()));
          requestAnimationFrame(() => (there ? resolve(performance.now()) : look()));
        };
        look();
      }),
  );
}

async function metrics(session) {
  const { metrics: all } = await session.send("Performance.getMetrics");
  return Object.fromEntries(all.map(({ name, value }) => [name, value]));
}

/** How much of the time the main thread works, in which the page shows what arrives. */
async function work(browser, url, view) {
  const { page, close } = await opened(browser, `${url}/#/${view}`);
  await firstNumber(page);
  await wait(SETTLE);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  if (values.profile) {
    await session.send("Profiler.enable");
    await session.send("Profiler.start");
  }
  const numbers = () => page.evaluate(() => [...document.querySelectorAll("table td.number")].map((cell) => cell.textContent).join());
  const shown = await numbers();
  const before = await metrics(session);
  await wait(seconds * 1_000);
  const after = await metrics(session);
  if (shown === (await numbers())) throw new Error(`${view}: no number has changed, so nothing was measured`);
  if (values.profile) {
    const { profile } = await session.send("Profiler.stop");
    writeFileSync(join(values.profile, `${view}.cpuprofile`), JSON.stringify(profile));
  }
  await close();
  const span = after.Timestamp - before.Timestamp;
  const share = (name) => (after[name] - before[name]) / span;
  return {
    view,
    containers,
    seconds: span,
    main_thread_share: share("TaskDuration"),
    processor_share: share("ThreadTime"),
    script_share: share("ScriptDuration"),
    layout_share: share("LayoutDuration"),
    style_share: share("RecalcStyleDuration"),
    nodes: after.Nodes,
  };
}

/** The heap after each minute, rubbish collected. */
async function memory(browser, url) {
  const { page, close } = await opened(browser, `${url}/#/overview`);
  await firstNumber(page);
  await wait(SETTLE);
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const samples = [];
  for (let minute = 0; minute <= minutes; minute += 1) {
    if (minute > 0) await wait(60_000 - LOOKS * LOOK_EVERY);
    const sample = { minute, heap_bytes: Infinity, nodes: 0, listeners: 0 };
    // What has just arrived is rubbish a moment later: the least of several looks is what is kept.
    for (let look = 0; look < LOOKS; look += 1) {
      await session.send("HeapProfiler.collectGarbage");
      const { JSHeapUsedSize, Nodes, JSEventListeners } = await metrics(session);
      if (JSHeapUsedSize < sample.heap_bytes) Object.assign(sample, { heap_bytes: JSHeapUsedSize, nodes: Nodes, listeners: JSEventListeners });
      await wait(LOOK_EVERY);
    }
    samples.push(sample);
    say(`memory, minute ${minute}: ${(sample.heap_bytes / 2 ** 20).toFixed(2)} MiB`);
  }
  await close();
  return samples;
}

const told = {};
if (only.includes("bundle")) told.bundle = bundle();
if (only.some((what) => what !== "bundle")) {
  const fake = await serve({ count: containers, busy: true });
  const browser = await launch();
  try {
    if (only.includes("first")) {
      told.first_number_ms = [];
      for (let round = 0; round < rounds; round += 1) {
        const { page, close } = await opened(browser, `${fake.url}/#/overview`);
        told.first_number_ms.push(await firstNumber(page));
        say(`first live number: ${told.first_number_ms.at(-1).toFixed(0)} ms`);
        await close();
      }
    }
    if (only.includes("work")) {
      told.work = [];
      for (const view of ["overview", "containers"]) {
        told.work.push(await work(browser, fake.url, view));
        say(`${view}: ${JSON.stringify(told.work.at(-1))}`);
      }
    }
    if (only.includes("memory")) told.memory = await memory(browser, fake.url);
  } finally {
    await browser.close();
    fake.close();
  }
}
process.stdout.write(`${JSON.stringify(told)}\n`);
