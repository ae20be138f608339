// Shares of devices: what terms say in words, and how a person's input becomes terms. Pure.
import type { Allowance, Quota, ShareState, Terms } from "../api/generated";
import { bytes, numberText, type Parsed, parseNumber } from "./format";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

export const allowances: [Allowance, string][] = [
  ["publish_ports", "publish ports of the device"],
  ["checkpoints", "save containers and bring them back"],
  ["move_in", "move containers to it from other devices"],
  ["move_away", "move containers from it to other devices"],
  ["terminal", "open terminals in its containers"],
  ["device_policy", "whatever the device's policy file allows its owner"],
];

export const shareStates: Record<ShareState, string> = {
  offered: "offered, not accepted yet",
  accepted: "shared",
  ending: "ends once no container is left",
};

export function quotaWords(quota: Quota): string {
  const parts = [
    quota.cpus == null ? "" : `${quota.cpus} ${quota.cpus === 1 ? "core" : "cores"}`,
    quota.memory_bytes == null ? "" : `${bytes(quota.memory_bytes)} of memory`,
    quota.disk_bytes == null ? "" : `${bytes(quota.disk_bytes)} of disk`,
    quota.containers == null ? "" : `${quota.containers} ${quota.containers === 1 ? "container" : "containers"}`,
  ].filter((part) => part !== "");
  return parts.length > 0 ? `at most ${parts.join(", ")}` : "as much as the device has";
}

export function allowanceWords(allow: Allowance[]): string {
  const words = allowances.filter(([allowance]) => allow.includes(allowance)).map(([, text]) => text);
  return words.length > 0 ? `may ${words.join("; ")}` : "may only run containers";
}

/** Terms as they are typed. */
export interface TermsDraft {
  cpus: string;
  memory: string;
  disk: string;
  containers: string;
  allow: Allowance[];
}

export function draftOfTerms(terms: Terms | null): TermsDraft {
  const { cpus, memory_bytes, disk_bytes, containers } = terms?.quota ?? {};
  return {
    cpus: numberText(cpus),
    memory: numberText(memory_bytes, MIB),
    disk: numberText(disk_bytes, GIB),
    containers: numberText(containers),
    allow: [...(terms?.allow ?? [])],
  };
}

/** Terms from what was typed: memory in MiB, disk in GiB; an empty field is no bound. */
export function readTerms(draft: TermsDraft): Parsed<Terms> {
  const quota: Quota = {};
  const cpus = parseNumber(draft.cpus, "The number of cores");
  if (!cpus.ok) return cpus;
  if (cpus.value !== null) quota.cpus = cpus.value;
  const memory = parseNumber(draft.memory, "The memory");
  if (!memory.ok) return memory;
  if (memory.value !== null) quota.memory_bytes = Math.round(memory.value * MIB);
  const disk = parseNumber(draft.disk, "The disk");
  if (!disk.ok) return disk;
  if (disk.value !== null) quota.disk_bytes = Math.round(disk.value * GIB);
  const containers = parseNumber(draft.containers, "The number of containers");
  if (!containers.ok) return containers;
  if (containers.value !== null) {
    if (!Number.isInteger(containers.value)) return { ok: false, error: "The number of containers must be a whole number." };
    quota.containers = containers.value;
  }
  return { ok: true, value: { quota, allow: allowances.map(([allowance]) => allowance).filter((one) => draft.allow.includes(one)) } };
}
