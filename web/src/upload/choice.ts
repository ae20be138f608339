// What a person chose for an upload, and what has to be done with it before it can be sent. Pure.
import type { Source } from "../api/generated";
import { bytes, type Parsed } from "../state/format";

/** A file that was chosen, and where it is in the chosen folder. */
export interface Chosen {
  path: string;
  file: File;
}

/** Kinds of versions that need an upload. */
export type UploadKind = Exclude<Source["kind"], "image">;

/** What is to be done: pack the files as a tar and compress that, compress the one file, or send it as it is. */
export type Treatment = "pack" | "compress" | "as_is";

export interface Plan {
  treatment: Treatment;
  /** The name of what is sent. */
  name: string;
  files: Chosen[];
  /** Bytes to read. */
  bytes: number;
}

/** As many bytes of a file as tell what it is. */
export const HEAD = 512;
/** Files of one folder at most: what an archive may hold. */
const MAX_FILES = 100_000;

type Format = "tar" | "compressed" | "zip" | "7z" | "xz" | "bzip2" | null;

/** What kind of archive begins so. */
export function formatOf(head: Uint8Array): Format {
  const begins = (...bytes: number[]) => bytes.every((byte, at) => head[at] === byte);
  if (begins(0x1f, 0x8b) || begins(0x28, 0xb5, 0x2f, 0xfd)) return "compressed";
  if (begins(0x50, 0x4b, 0x03, 0x04) || begins(0x50, 0x4b, 0x05, 0x06)) return "zip";
  if (begins(0x37, 0x7a, 0xbc, 0xaf)) return "7z";
  if (begins(0xfd, 0x37, 0x7a, 0x58, 0x5a)) return "xz";
  if (begins(0x42, 0x5a, 0x68)) return "bzip2";
  return String.fromCharCode(...head.subarray(257, 262)) === "ustar" ? "tar" : null;
}

/** The files without the folder that holds them all. */
export function withoutTop(files: Chosen[]): Chosen[] {
  const top = files[0]?.path.split("/")[0];
  const inside = files.every(({ path }) => path.startsWith(`${top}/`));
  return inside ? files.map(({ path, file }) => ({ path: path.slice(path.indexOf("/") + 1), file })) : files;
}

/** What to do with what was chosen; `head` is how the first file begins. Or the sentence that says why it will not do. */
export function plan(kind: UploadKind, chosen: Chosen[], head: Uint8Array, dockerfile: string): Parsed<Plan> {
  const [first] = chosen;
  if (!first) return refused("Nothing is in it. Choose a file or a folder with files.");
  const sum = chosen.reduce((total, { file }) => total + file.size, 0);
  const single = chosen.length === 1 && !first.path.includes("/");
  const format = single ? formatOf(head) : null;
  if (format === "compressed") return { ok: true, value: { treatment: "as_is", name: first.path, files: chosen, bytes: sum } };
  if (format === "tar") {
    return { ok: true, value: { treatment: "compress", name: `${first.path}.gz`, files: chosen, bytes: sum } };
  }
  const asImage = "Make one with “docker save -o image.tar NAME” and choose that file.";
  if (format !== null) {
    const instead = kind === "image_archive" ? asImage : "Unpack it and choose the folder, or pack it as .tar.gz.";
    return refused(`${first.path} is ${format === "xz" || format === "bzip2" ? "packed with" : "an archive of"} ${format}, which is not taken. ${instead}`);
  }
  if (kind === "image_archive") {
    return refused(`${single ? `${first.path} is` : "This is"} no image archive. ${asImage}`);
  }
  if (chosen.length > MAX_FILES) return refused(`There are ${chosen.length} files in it; at most ${MAX_FILES} are taken. Pack it yourself as .tar.gz, or leave out what is not needed.`);
  const files = withoutTop(chosen);
  const recipe = dockerfile.trim() === "" ? "Dockerfile" : dockerfile.trim();
  if (kind === "source_bundle" && !files.some(({ path }) => path === recipe)) {
    return refused(`There is no ${recipe} in it. Choose the folder that has it, or name where it is.`);
  }
  const folder = first.path.includes("/") ? (first.path.split("/")[0] as string) : single ? first.path : "files";
  return { ok: true, value: { treatment: "pack", name: `${folder}.tar.gz`, files, bytes: sum } };
}

/** Why there is no room for it; `null` where there may be. What is compressed is smaller than this. */
export function whyNoRoom(size: number, limits: { max: number; quota: number; used: number }): string | null {
  if (size > limits.max) return `It has ${bytes(size)}; one upload may have ${bytes(limits.max)} at most.`;
  const room = Math.max(0, limits.quota - limits.used);
  if (size > room) return `It has ${bytes(size)}, and only ${bytes(room)} are left for this tenant. Delete uploads that nothing needs under “Uploads”.`;
  return null;
}

function refused(error: string): { ok: false; error: string } {
  return { ok: false, error };
}
