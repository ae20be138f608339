// How a version runs: what is typed is what is sent, and what was sent can be typed again.
import { expect, it } from "vitest";
import { draftOf, nothingSet, parseVolumes, readSettings, settingFacts, writeCommand } from "../src/state/settings";
import { parseCommand } from "../src/state/format";
import { cleanPath, crumbs, modeWords } from "../src/state/paths";

it("reads what was typed, and writes it so that it is read as the same", () => {
  const draft = {
    ...nothingSet(),
    command: `sh -c 'echo "it'\\''s"'`,
    environment: "A=1\nB=x=y",
    ports: "80:8080, 53/udp",
    volumes: "data:/var/lib/data\nconfig:/etc/app:ro",
    memory: "256",
    cpus: "0.5",
    pids: "64",
    healthyAfter: "30",
  };
  const read = readSettings(draft);
  if (!read.ok) throw new Error(read.error);
  expect(read.value).toMatchObject({
    command: ["sh", "-c", `echo "it's"`],
    env: { A: "1", B: "x=y" },
    volumes: [
      { volume: "data", target: "/var/lib/data", read_only: false },
      { volume: "config", target: "/etc/app", read_only: true },
    ],
    limits: { memory_bytes: 268_435_456, cpus: 0.5, pids: 64 },
    healthy_after_seconds: 30,
  });
  expect(readSettings(draftOf(read.value))).toEqual(read);
});

// The control plane tells what is not set as `null`: read as a number it became a limit of 0 MiB and of “null” cores.
it("takes a limit that is not set for no limit", () => {
  const read = readSettings(nothingSet());
  if (!read.ok) throw new Error(read.error);
  const told = { ...read.value, healthy_after_seconds: null, limits: { memory_bytes: null, cpus: null, pids: null } };
  expect(draftOf(told)).toEqual(nothingSet());
  expect(settingFacts(told).map(([name]) => name)).toEqual(["Restart"]);
});

it("restarts nothing that runs once", () => {
  expect(readSettings({ ...nothingSet(), runOnce: true, restart: "always" })).toMatchObject({ value: { restart: "no", run_once: true } });
});

it("says which field is wrong", () => {
  const errors = [{ volumes: "../x:/y" }, { memory: "much" }, { pids: "1.5" }, { environment: "A" }].map((wrong) => {
    const read = readSettings({ ...nothingSet(), ...wrong });
    return read.ok ? "" : read.error;
  });
  expect(errors).toEqual([
    "“../x:/y” is no volume; write data:/var/lib/data or config:/etc/app:ro.",
    "Memory must be a number above 0.",
    "Processes must be a whole number.",
    "Environment: Line 1 is not NAME=value.",
  ]);
  expect(parseVolumes("data:relative").ok).toBe(false);
});

it("quotes every word that a shell would take apart", () => {
  for (const words of [["a b", "", "'", "$x", "a\\b"], ["plain", "--a=b"]]) {
    expect(parseCommand(writeCommand(words))).toEqual({ ok: true, value: words });
  }
});

it("never leaves the container with a path", () => {
  expect(["", "/a//b/./c/", "../../etc", "/a/../b"].map(cleanPath)).toEqual(["/", "/a/b/c", "/etc", "/b"]);
  expect(crumbs("/a/b")).toEqual([{ name: "/", path: "/" }, { name: "a", path: "/a" }, { name: "b", path: "/a/b" }]);
  expect([0o755, 0o644, 0].map(modeWords)).toEqual(["rwxr-xr-x", "rw-r--r--", "---------"]);
});
