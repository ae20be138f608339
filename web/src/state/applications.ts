// What is said of applications, versions, deployments and runs. Pure.
import type {
  ApplicationView,
  Candidate,
  Deployed,
  OperationEvent,
  RunView,
  Source,
  VersionView,
} from "../api/generated";
import { everyPlaced, type Fleet, type Placed } from "./fleet";

export const kindNames: Record<Source["kind"], string> = {
  image: "Image of a registry",
  image_archive: "Image archive",
  source_bundle: "Source with a Dockerfile",
  files: "Files over a base image",
};

/** Where a version's image comes from, after the name of its kind. */
export function sourceWords(source: Source): string {
  switch (source.kind) {
    case "image":
      return source.image;
    case "image_archive":
      return short(source.artifact);
    case "source_bundle":
      return `${short(source.artifact)}, ${source.dockerfile ?? "Dockerfile"}`;
    case "files":
      return `${short(source.artifact)} over ${source.base}, in ${source.directory ?? "/app"}`;
  }
}

/** The beginning of a digest: enough to tell two apart. */
export function short(digest: string): string {
  return digest.slice(0, 12);
}

export function versionOf(applications: ApplicationView[], name: string, number: number): VersionView | undefined {
  return applications.find((application) => application.name === name)?.versions.find((version) => version.number === number);
}

/** Containers of an application, and of one version of it where `number` is given. */
export function containersOf(fleet: Fleet, application: string, number?: number): Placed[] {
  return everyPlaced(fleet).filter(
    ({ view }) => view.application === application && (number === undefined || view.version === number),
  );
}

/** Of what containers are that is none of these, by name: such as those that were made of an image directly. */
export function unlisted(applications: ApplicationView[], placed: Placed[]): string[] {
  const listed = new Set(applications.map(({ name }) => name));
  const others = placed.map(({ view }) => view.application).filter((name) => !listed.has(name));
  return [...new Set(others)].sort((a, b) => a.localeCompare(b));
}

/** Applications whose name or notes contain the text, by name. */
export function matching(applications: ApplicationView[], text: string): ApplicationView[] {
  const wanted = text.trim().toLowerCase();
  return applications
    .filter(({ name, versions }) =>
      [name, ...versions.map(({ note }) => note ?? "")].some((part) => part.toLowerCase().includes(wanted)),
    )
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** How a deployment stands on one device. */
export interface DeviceProgress {
  device: string;
  state: "waiting" | "running" | "done" | "failed";
  words: string;
  bytes: { done: number; total: number | null } | null;
}

const phases: Record<string, string> = {
  fetching: "fetches the upload from the cloud",
  "waiting-for-registry": "waits for the image's registry to answer",
  pulling: "pulls the image",
  loading: "loads the image",
  building: "builds the image",
  creating: "creates the container",
  starting: "starts the container",
  checking: "looks whether it is healthy",
  copying: "copies it out of the container",
  sending: "sends it to the cloud",
};

/** What an operation does, in words; an unknown phase as the device calls it. */
export function phaseWords(phase: string): string {
  return phases[phase] ?? phase;
}

export function deviceProgress(deployed: Deployed, operation: OperationEvent | undefined, placed: Placed | undefined): DeviceProgress {
  const { device } = deployed;
  if (deployed.error !== null) return { device, state: "failed", words: deployed.error, bytes: null };
  if (operation?.state === "failed") {
    return { device, state: "failed", words: operation.error?.message ?? "It failed.", bytes: null };
  }
  // The end may have been missed while the link was broken; the container is there then.
  if (operation?.state === "done" || (!operation && placed)) {
    return { device, state: "done", words: placed ? `${placed.view.name} is ${placed.view.state}` : "done", bytes: null };
  }
  if (!operation) return { device, state: "waiting", words: "has the order", bytes: null };
  const bytes = operation.bytes_done === null ? null : { done: operation.bytes_done, total: operation.bytes_total };
  return { device, state: "running", words: phaseWords(operation.phase), bytes };
}

/** A deployment in one sentence. */
export function deploymentSentence(progress: DeviceProgress[]): string {
  const count = (state: DeviceProgress["state"]) => progress.filter((one) => one.state === state).length;
  const [done, failed, all] = [count("done"), count("failed"), progress.length];
  const devices = all === 1 ? "1 device" : `${all} devices`;
  if (done + failed < all) return `Under way: done on ${done} of ${devices}${failed > 0 ? `, failed on ${failed}` : ""}.`;
  if (failed === 0) return `Deployed on ${devices}.`;
  return done === 0 ? `Failed on ${devices}.` : `Deployed on ${done} of ${devices}, failed on ${failed}.`;
}

/** What would be deployed, in one sentence. */
export function placementSentence(candidates: Candidate[], nameOf: (device: string) => string): string {
  const chosen = candidates.filter((candidate) => candidate.chosen);
  if (candidates.length === 0) return "There is no device to look at.";
  if (chosen.length === 0) return "No device can take it.";
  if (chosen.length <= 3) return `It would go to ${chosen.map(({ device }) => nameOf(device)).join(", ")}.`;
  return `It would go to ${chosen.length} devices.`;
}

/** How a run ended, in a few words. */
export function runWords({ container, oom_killed }: RunView): string {
  const code = container.exit_code;
  if (oom_killed) return `out of memory${code === null ? "" : ` (${code})`}`;
  if (code === null) return "ended";
  return code === 0 ? "well (0)" : `exit code ${code}`;
}
