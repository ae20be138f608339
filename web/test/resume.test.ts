// What is kept of an unfinished upload: an address for a day, and nothing else.
import { beforeEach, expect, it } from "vitest";
import { fingerprint, Resumable } from "../src/upload/resume";

const print = fingerprint("acme", "d".repeat(64));
const upload = { size: 5, metadata: { filename: "secret-name.tar" }, creationTime: "", urlStorageKey: "", uploadUrl: "/api/u/1", parallelUploadUrls: null };

beforeEach(() => localStorage.clear());

it("finds the same content of the same tenant again, and keeps no name of it", async () => {
  const kept = new Resumable(localStorage, () => 1_000);
  await kept.addUpload(print, upload);
  expect(JSON.stringify({ ...localStorage })).not.toContain("secret-name");
  const [found] = await kept.findUploadsByFingerprint(print);
  expect(found?.uploadUrl).toBe("/api/u/1");
  expect(await kept.findUploadsByFingerprint(fingerprint("other", "d".repeat(64)))).toEqual([]);
  await kept.removeUpload(found!.urlStorageKey);
  expect(await kept.findAllUploads()).toEqual([]);
});

it("forgets after a day, and what it did not write", async () => {
  let now = 0;
  const kept = new Resumable(localStorage, () => now);
  await kept.addUpload(print, upload);
  localStorage.setItem("ecep-upload broken", "{");
  now = 25 * 3_600_000;
  expect(await kept.findAllUploads()).toEqual([]);
  expect(localStorage.length).toBe(0);
});
