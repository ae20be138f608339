// Where unfinished uploads are, for after a closed tab: nothing but an address and a time for each, in the browser's storage.
// What an upload is of is told by the SHA-256 of its bytes, so that nothing is ever gone on with that is not the same.
import type { PreviousUpload, UrlStorage } from "tus-js-client";

const PREFIX = "ecep-upload ";
/** The control plane forgets an unfinished upload after this long, in milliseconds. */
const KEPT_FOR = 24 * 3_600_000;

export function fingerprint(tenant: string, digest: string): string {
  return `${tenant} ${digest}`;
}

interface Kept {
  url: string;
  at: number;
}

export class Resumable implements UrlStorage {
  constructor(
    /** Nothing where the browser allows none: then a closed tab begins anew. */
    readonly storage: Storage | null,
    readonly now: () => number = Date.now,
  ) {}

  async findAllUploads(): Promise<PreviousUpload[]> {
    return this.#keys().flatMap((key) => this.#read(key));
  }

  async findUploadsByFingerprint(print: string): Promise<PreviousUpload[]> {
    return this.#read(PREFIX + print);
  }

  async removeUpload(key: string): Promise<void> {
    this.storage?.removeItem(key);
  }

  async addUpload(print: string, upload: PreviousUpload): Promise<string> {
    for (const key of this.#keys()) this.#read(key);
    const key = PREFIX + print;
    const kept: Kept = { url: upload.uploadUrl ?? "", at: this.now() };
    try {
      this.storage?.setItem(key, JSON.stringify(kept));
    } catch {
      // A full or forbidden storage only means that a closed tab begins anew.
    }
    return key;
  }

  #keys(): string[] {
    return Object.keys(this.storage ?? {}).filter((key) => key.startsWith(PREFIX));
  }

  /** What is kept there; what is too old or not ours is removed. */
  #read(key: string): PreviousUpload[] {
    const text = this.storage?.getItem(key) ?? null;
    if (text === null) return [];
    try {
      const { url, at } = JSON.parse(text) as Kept;
      if (url !== "" && this.now() - at < KEPT_FOR) {
        const creationTime = new Date(at).toString();
        return [{ size: null, metadata: {}, creationTime, uploadUrl: url, urlStorageKey: key, parallelUploadUrls: null }];
      }
    } catch {
      // Not what was written here.
    }
    this.storage?.removeItem(key);
    return [];
  }
}
