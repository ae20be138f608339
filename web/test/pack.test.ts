// Packing: what is made is what every tar reads, whatever the names are, and its digest is that of what is sent.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { formatOf, plan, whyNoRoom, withoutTop } from "../src/upload/choice";
import { pack, tarOf } from "../src/upload/pack";

const at = 1_700_000_000_000;
const chosen = (path: string, content: string | Uint8Array<ArrayBuffer>) => ({
  path,
  file: new File([content], path.split("/").pop() ?? "", { lastModified: at }),
});

async function whole(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

const deep = `${"folder-with-a-long-name/".repeat(6)}file.txt`;
const files = [
  chosen("run.sh", "#!/bin/sh\necho hello\n"),
  chosen("data/empty", ""),
  chosen("data/exactly.bin", new Uint8Array(512).fill(7)),
  chosen("data/Grüße 你好.txt", "text"),
  chosen(deep, "deep"),
];

it("makes an archive that tar unpacks to the same files, with long and foreign names, and programs executable", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pack-"));
  try {
    const archive = await whole(tarOf(files));
    expect(archive.length % 512, "whole blocks").toBe(0);
    writeFileSync(join(folder, "a.tar"), archive);
    execFileSync("tar", ["-xf", "a.tar"], { cwd: folder });
    for (const { path, file } of files) {
      expect(readFileSync(join(folder, path)).equals(Buffer.from(await file.arrayBuffer())), path).toBe(true);
    }
    expect(statSync(join(folder, "run.sh")).mode & 0o777).toBe(0o755);
    expect(statSync(join(folder, "data/empty")).mode & 0o777).toBe(0o644);
    expect(statSync(join(folder, deep)).mtimeMs).toBe(at);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("makes the same of the same folder, in whatever order the browser tells its files", async () => {
  expect((await whole(tarOf(files))).equals(await whole(tarOf([...files].reverse())))).toBe(true);
});

it("compresses, tells the digest of what is sent, and how far it is", async () => {
  const told: number[] = [];
  const { blob, digest } = await pack("pack", files, (read) => told.push(read));
  const bytes = Buffer.from(await blob!.arrayBuffer());
  expect(gunzipSync(bytes).equals(await whole(tarOf(files)))).toBe(true);
  expect(digest).toBe(createHash("sha256").update(bytes).digest("hex"));
  expect(told.at(-1)).toBe((await whole(tarOf(files))).length);
});

it("leaves what is compressed as it is, and only tells its digest", async () => {
  const content = new Uint8Array(100_000).map((_, index) => index % 251);
  const { blob, digest } = await pack("as_is", [chosen("a.tar.gz", content)], () => undefined);
  expect(blob).toBeNull();
  expect(digest).toBe(createHash("sha256").update(content).digest("hex"));
});

it("refuses a file that became another one while it was read, and says which", async () => {
  const { file } = chosen("a", "abc");
  const other = Object.create(file, { size: { value: 9 }, stream: { value: () => file.stream() }, slice: { value: () => file.slice(0, 2) } }) as File;
  await expect(whole(tarOf([{ path: "a", file: other }]))).rejects.toThrow("a was changed while it was read. Choose it again.");
});

it("tells archives by their beginning", () => {
  const head = (...bytes: number[]) => Uint8Array.from({ length: 512 }, (_, index) => bytes[index] ?? 0);
  const tar = head();
  tar.set(new TextEncoder().encode("ustar"), 257);
  expect([head(0x1f, 0x8b), head(0x28, 0xb5, 0x2f, 0xfd), tar, head(0x50, 0x4b, 3, 4), head(1, 2)].map(formatOf)).toEqual([
    "compressed",
    "compressed",
    "tar",
    "zip",
    null,
  ]);
});

it("plans what to do with what was chosen, and refuses with a sentence before anything is sent", () => {
  const none = new Uint8Array(512);
  const gzip = Uint8Array.from([0x1f, 0x8b]);
  const folder = [chosen("app/Dockerfile", "FROM x"), chosen("app/main.py", "")];
  expect(plan("source_bundle", folder, none, "")).toMatchObject({
    ok: true,
    value: { treatment: "pack", name: "app.tar.gz", files: [{ path: "Dockerfile" }, { path: "main.py" }] },
  });
  expect(plan("image_archive", [chosen("image.tar.gz", "")], gzip, "")).toMatchObject({ ok: true, value: { treatment: "as_is" } });
  expect(plan("files", [chosen("main.py", "")], none, "")).toMatchObject({ ok: true, value: { treatment: "pack", name: "main.py.tar.gz" } });
  const refusals = [
    plan("source_bundle", folder, none, "docker/Dockerfile"),
    plan("image_archive", [chosen("notes.txt", "")], none, ""),
    plan("files", [chosen("app.zip", "")], Uint8Array.from([0x50, 0x4b, 3, 4]), ""),
    plan("files", [], none, ""),
    plan("image_archive", [chosen("app.zip", "")], Uint8Array.from([0x50, 0x4b, 3, 4]), ""),
  ].map((planned) => (planned.ok ? "" : planned.error));
  expect(refusals[0]).toBe("There is no docker/Dockerfile in it. Choose the folder that has it, or name where it is.");
  expect(refusals[1]).toContain("docker save");
  expect(refusals[2]).toContain("app.zip is an archive of zip, which is not taken.");
  expect(refusals[3]).toContain("Nothing is in it.");
  expect(refusals[4]).toContain("docker save");
  expect(withoutTop([chosen("a/x", ""), chosen("b/y", "")]).map(({ path }) => path)).toEqual(["a/x", "b/y"]);
});

it("says before it is sent that there is no room", () => {
  const limits = { max: 1000, quota: 2000, used: 1500 };
  expect(whyNoRoom(400, limits)).toBeNull();
  expect(whyNoRoom(501, limits)).toContain("only 500 B are left");
  expect(whyNoRoom(1001, limits)).toContain("may have 1000 B at most");
});
