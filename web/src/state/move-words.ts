// What is said about moves: phases, verdicts, checks, results. Pure; device names are handed in.
import type {
  DeviceFacts,
  DeviceView,
  MigrationEnd,
  MigrationEstimate,
  MigrationPhase,
  MigrationView,
  RoundTook,
  Verdict,
} from "../api/generated";
import { age, bytes, milliseconds } from "./format";

/** A device's name by its id. */
export type NameOf = (device: string) => string;

/** Whether it takes its memory along. */
function isLive(move: MigrationView): boolean {
  return move.mode === "live" && !move.went_cold;
}

/** What a move is at, in a sentence. */
export function phaseSentence(move: MigrationView, nameOf: NameOf): string {
  const to = nameOf(move.destination);
  switch (move.phase) {
    case "preparing":
      return "The two devices meet. The container still runs.";
    case "copying":
      return `${isLive(move) ? "Image, files and memory travel" : "Image and files travel"} to ${to}. The container still runs.`;
    case "freezing":
      return isLive(move) ? "The container is frozen and cut off." : "The container is stopped.";
    case "saving":
      return "Its memory and processes are saved.";
    case "sending":
      return `${isLive(move) ? "Memory and files travel" : "Its files travel"} to ${to}.`;
    case "restoring":
      return `${to} brings it up.`;
    case "committing":
      return "The control plane decides which device has it.";
    case "finishing":
      return `It is on ${to} now. ${nameOf(move.source)} removes what is left.`;
  }
}

export const phaseNames: Record<MigrationPhase, string> = {
  preparing: "Preparing",
  copying: "Copying",
  freezing: "Freezing",
  saving: "Saving",
  sending: "Sending",
  restoring: "Restoring",
  committing: "Committing",
  finishing: "Finishing",
};

/** How a move ended, in a sentence. */
export function resultSentence(move: MigrationView, nameOf: NameOf): string {
  const [from, to] = [nameOf(move.source), nameOf(move.destination)];
  if (move.state === "failed") {
    return `${move.name} was not moved to ${to} and is on ${from} still: ${move.error ?? "the reason was not told"}`;
  }
  const cold = move.went_cold ? ", cold, since it would have stood still for too long" : ", cold";
  const kept = move.options.keep_source ? ` A stopped copy stays on ${from}.` : "";
  return `${move.name} moved from ${from} to ${to}${isLive(move) ? "" : cold}.${kept}`;
}

/** What the pre-flight means for the whole move. */
export function verdictSentence(verdict: Verdict, runs: boolean, to: string): string {
  switch (verdict) {
    case "live":
      return runs
        ? `It can move to ${to} live: its memory, its processes and its connections go along.`
        : `It can move to ${to}. It does not run, so only its files move.`;
    case "cold":
      return `It can move to ${to} only cold: what is listed as “only cold” keeps it from moving live.`;
    case "refused":
      return `It cannot move to ${to}: mend what is listed as “in the way”, then check again.`;
  }
}

/** How long it would take, and what that is drawn from. */
export function estimateSentence(estimate: MigrationEstimate): string {
  const line = `${bytes(estimate.bytes_per_second)} each second`;
  const known = estimate.is_rate_assumed
    ? `the line between the two is assumed to carry ${line}, since nothing was moved over it lately`
    : `the line between the two carried ${line} in their last move`;
  const still = estimate.downtime_ms === 0 ? "" : ` It would stand still for about ${milliseconds(estimate.downtime_ms)} of that.`;
  return `By estimate the move takes about ${age(estimate.total_ms)}: ${known}.${still}`;
}

/** How much of the round before a round of memory had; that is what shrinks. */
export function ofTheOneBefore(rounds: RoundTook[], index: number): string {
  const [before, now] = [rounds[index - 1], rounds[index]];
  return before && now && before.pages > 0 ? `${Math.round((100 * now.pages) / before.pages)} %` : "–";
}

/** How far a phase has come, where its size is known. What is written meanwhile may make it longer. */
export function share(move: MigrationView): string {
  if (!move.bytes_total) return "";
  return ` of ${bytes(move.bytes_total)} (${Math.min(100, Math.floor((100 * move.bytes_done) / move.bytes_total))} %)`;
}

export const checkNames: Record<Verdict, string> = { refused: "in the way", cold: "only cold", live: "fine" };

/** Who looked. */
export function endName(end: MigrationEnd, from: string, to: string): string {
  return { source: from, destination: to, control_plane: "control plane" }[end];
}

/** Devices tell their findings as clauses; here they stand alone. */
export function asSentence(text: string): string {
  const trimmed = text.trim();
  const whole = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

/** Why nothing can be moved to this device now; `null` where it can be tried. */
export function whyNotThere(device: DeviceView, cloudNow: number): string | null {
  switch (device.liveness) {
    case "connected":
    case "degraded":
      return null;
    case "never":
      return "never seen; start its agent";
    default: {
      const seen = device.last_seen_at === null ? "" : `, last seen ${age(cloudNow - device.last_seen_at)} ago`;
      return `${device.liveness}${seen}`;
    }
  }
}

/** Whether a device's containers can move with their memory. */
export function liveMoves(facts: DeviceFacts): string {
  if (!facts.migration) return "not tried yet";
  return facts.migration.live ? "yes" : `no: ${facts.migration.reason ?? "the reason was not told"}`;
}
