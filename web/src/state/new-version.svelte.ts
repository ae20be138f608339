// The version that is being made. It outlives its form: what was typed is there again after a look at something else.
import type { AddVersion, Source } from "../api/generated";
import { checkName } from "./checkpoints";
import type { Parsed } from "./format";
import { nothingSet, readSettings, type SettingsDraft } from "./settings";

class NewVersion {
  application = $state("");
  kind = $state<Source["kind"]>("image");
  image = $state("");
  dockerfile = $state("");
  base = $state("");
  directory = $state("");
  install = $state("");
  note = $state("");
  settings = $state<SettingsDraft>(nothingSet());
  /** An upload that is there already is used instead of a new one. */
  reused = $state("");

  /** After it was made; the kind stays, for the next one is often of the same. */
  clear() {
    this.application = this.image = this.dockerfile = this.base = this.directory = this.install = this.note = this.reused = "";
    this.settings = nothingSet();
  }

  /** The order, with what was uploaded; or the sentence that says what is missing. */
  read(artifact: string | null): Parsed<AddVersion> {
    const application = this.application.trim();
    const bad = checkName(application, "The application's name");
    if (bad !== null) return { ok: false, error: bad };
    const source = this.#source(artifact);
    if (typeof source === "string") return { ok: false, error: source };
    const settings = readSettings(this.settings);
    if (!settings.ok) return settings;
    const order: AddVersion = { application, source, settings: settings.value };
    if (this.note.trim() !== "") order.note = this.note.trim();
    return { ok: true, value: order };
  }

  #source(artifact: string | null): Source | string {
    const { kind } = this;
    if (kind === "image") return this.image.trim() === "" ? "Name the image." : { kind, image: this.image.trim() };
    if (artifact === null) return "Upload what it is made of first.";
    if (kind === "image_archive") return { kind, artifact };
    if (kind === "source_bundle") {
      const dockerfile = this.dockerfile.trim();
      return dockerfile === "" ? { kind, artifact } : { kind, artifact, dockerfile };
    }
    if (this.base.trim() === "") return "Name the base image that the files are laid over.";
    const source: Source = { kind, artifact, base: this.base.trim() };
    if (this.directory.trim() !== "") source.directory = this.directory.trim();
    if (this.install.trim() !== "") source.install = this.install.trim();
    return source;
  }
}

export const newVersion = new NewVersion();
