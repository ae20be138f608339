// The tenant's applications, uploads and runs as the control plane lists them. It is asked again after every change made
// here, after every reconnect, and now and then while somebody looks: others make versions too.
import type { ApplicationList, ApplicationView, ArtifactList, RunView } from "../api/generated";
import { live } from "./live.svelte";

/** While somebody looks, it is asked again after so many milliseconds. */
const REFRESH_EVERY = 30_000;
/** Runs of a page, as the control plane tells them. */
const PAGE = 100;

class Catalogue {
  applications = $state.raw<ApplicationView[] | null>(null);
  artifacts = $state.raw<ArtifactList | null>(null);
  runs = $state.raw<RunView[] | null>(null);
  /** There are older runs. */
  moreRuns = $state(false);
  error = $state("");
  #asked = 0;

  /** Asks for as long as the caller's effect lives. */
  look(): () => void {
    void this.load();
    const timer = setInterval(() => live.connected && void this.load(), REFRESH_EVERY);
    return () => clearInterval(timer);
  }

  async load() {
    const mine = ++this.#asked;
    try {
      const [list, artifacts, runs] = await Promise.all([
        live.call("ApplicationListing", null, {}) as Promise<ApplicationList>,
        live.call("ArtifactListing", null, {}),
        live.call("RunListing", null, {}),
      ]);
      if (mine !== this.#asked) return;
      this.applications = list.applications;
      this.artifacts = artifacts;
      this.runs = runs.runs;
      this.moreRuns = runs.runs.length >= PAGE;
      this.error = "";
    } catch (problem) {
      if (mine === this.#asked) this.error = (problem as Error).message;
    }
  }

  /** Adds the next page of runs. */
  async olderRuns() {
    const before = this.runs?.at(-1)?.ended_at;
    if (before === undefined) return;
    const mine = this.#asked;
    try {
      const { runs } = await live.call("RunListing", null, { before });
      if (mine !== this.#asked) return;
      this.runs = [...(this.runs ?? []), ...runs];
      this.moreRuns = runs.length >= PAGE;
    } catch (problem) {
      this.error = (problem as Error).message;
    }
  }

  /** Nothing of one tenant is shown in another. */
  forget() {
    this.#asked += 1;
    this.applications = this.artifacts = this.runs = null;
    this.moreRuns = false;
    this.error = "";
  }
}

export const catalogue = new Catalogue();
