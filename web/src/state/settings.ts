// How an application's containers run, as it is typed and as it goes over the wire. Pure.
import type { RestartPolicy, Settings, VolumeMount } from "../api/generated";
import { numberText, type Parsed, parseCommand, parseEnvironment, parseNumber, parsePorts, ports } from "./format";

const MEBIBYTE = 1024 * 1024;

export interface SettingsDraft {
  command: string;
  environment: string;
  ports: string;
  volumes: string;
  memory: string;
  cpus: string;
  pids: string;
  restart: RestartPolicy;
  runOnce: boolean;
  tty: boolean;
  healthyAfter: string;
}

export const restarts: [RestartPolicy, string][] = [
  ["no", "Never"],
  ["on-failure", "When it fails"],
  ["unless-stopped", "Unless stopped by a person"],
  ["always", "Always"],
];

export function nothingSet(): SettingsDraft {
  return {
    command: "",
    environment: "",
    ports: "",
    volumes: "",
    memory: "",
    cpus: "",
    pids: "",
    restart: "unless-stopped",
    runOnce: false,
    tty: false,
    healthyAfter: "",
  };
}

/** As they can be typed. Values of environment variables are not told by the control plane, so they are empty. */
export function draftOf(settings: Settings): SettingsDraft {
  const { command, env, limits, healthy_after_seconds: after } = settings;
  return {
    command: command ? writeCommand(command) : "",
    environment: Object.entries(env).map(([name, value]) => `${name}=${value ?? ""}`).join("\n"),
    ports: ports(settings.ports),
    volumes: settings.volumes.map(writeVolume).join("\n"),
    memory: numberText(limits.memory_bytes, MEBIBYTE),
    cpus: numberText(limits.cpus),
    pids: numberText(limits.pids),
    restart: settings.restart,
    runOnce: settings.run_once,
    tty: settings.tty,
    healthyAfter: numberText(after),
  };
}

export function readSettings(draft: SettingsDraft): Parsed<Settings> {
  const command = parseCommand(draft.command);
  const env = parseEnvironment(draft.environment);
  const mapped = parsePorts(draft.ports);
  const volumes = parseVolumes(draft.volumes);
  const memory = parseNumber(draft.memory, "Memory");
  const cpus = parseNumber(draft.cpus, "CPUs");
  const pids = parseWhole(draft.pids, "Processes");
  const after = parseWhole(draft.healthyAfter, "Healthy after");
  if (!command.ok) return named("Command", command.error);
  if (!env.ok) return named("Environment", env.error);
  if (!mapped.ok) return mapped;
  if (!volumes.ok) return volumes;
  if (!memory.ok) return memory;
  if (!cpus.ok) return cpus;
  if (!pids.ok) return pids;
  if (!after.ok) return after;
  const settings: Settings = {
    env: env.value,
    ports: mapped.value,
    volumes: volumes.value,
    limits: {},
    restart: draft.runOnce ? "no" : draft.restart,
    tty: draft.tty,
    privileges: { privileged: false, cap_add: [], devices: [], binds: [], security_opt: [] },
    run_once: draft.runOnce,
  };
  if (command.value.length > 0) settings.command = command.value;
  if (memory.value !== null) settings.limits.memory_bytes = Math.round(memory.value * MEBIBYTE);
  if (cpus.value !== null) settings.limits.cpus = cpus.value;
  if (pids.value !== null) settings.limits.pids = pids.value;
  if (after.value !== null && !draft.runOnce) settings.healthy_after_seconds = after.value;
  return { ok: true, value: settings };
}

/** Volumes such as `data:/var/lib/data` or `config:/etc/app:ro`, one a line. */
export function parseVolumes(text: string): Parsed<VolumeMount[]> {
  const volumes: VolumeMount[] = [];
  for (const line of text.split("\n").map((line) => line.trim()).filter((line) => line !== "")) {
    const match = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):(\/[^:]*?)(:ro)?$/.exec(line);
    if (!match) return { ok: false, error: `“${line}” is no volume; write data:/var/lib/data or config:/etc/app:ro.` };
    volumes.push({ volume: match[1] as string, target: match[2] as string, read_only: match[3] !== undefined });
  }
  return { ok: true, value: volumes };
}

/** Words as they can be typed so that they are read as the same words. */
export function writeCommand(words: string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(" ");
}

/** What is set, as short facts for a list. */
export function settingFacts(settings: Settings): [string, string][] {
  const facts: [string, string][] = [];
  const { limits } = settings;
  if (settings.command) facts.push(["Command", writeCommand(settings.command)]);
  const names = Object.keys(settings.env);
  if (names.length > 0) facts.push(["Environment", names.join(", ")]);
  if (settings.ports.length > 0) facts.push(["Ports", ports(settings.ports)]);
  if (settings.volumes.length > 0) facts.push(["Volumes", settings.volumes.map(writeVolume).join(", ")]);
  if (limits.memory_bytes != null) facts.push(["Memory", `${limits.memory_bytes / MEBIBYTE} MiB`]);
  if (limits.cpus != null) facts.push(["CPUs", String(limits.cpus)]);
  if (limits.pids != null) facts.push(["Processes", String(limits.pids)]);
  if (settings.run_once) facts.push(["Runs", "once"]);
  else facts.push(["Restart", restarts.find(([policy]) => policy === settings.restart)?.[1] ?? settings.restart]);
  return facts;
}

function writeVolume({ volume, target, read_only }: VolumeMount): string {
  return `${volume}:${target}${read_only ? ":ro" : ""}`;
}

function parseWhole(text: string, what: string): Parsed<number | null> {
  const number = parseNumber(text, what);
  if (number.ok && number.value !== null && !Number.isInteger(number.value)) {
    return { ok: false, error: `${what} must be a whole number.` };
  }
  return number;
}

function named(field: string, error: string): { ok: false; error: string } {
  return { ok: false, error: `${field}: ${error}` };
}
