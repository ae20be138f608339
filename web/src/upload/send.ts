// Sends bytes by tus with the stock client: divided, resumed after a broken link. Loaded when something is sent.
import { DetailedError, Upload } from "tus-js-client";
import { CSRF_HEADER, type Problem, type UploadView } from "../api/generated";
import { http } from "../api/http";
import { fingerprint, Resumable } from "./resume";

/** Bytes of one request: what is lost at most where a proxy gives no part of a body on before it has all of it. */
const CHUNK = 8 * 1024 * 1024;
/** Waits between attempts, in milliseconds; after progress it begins with the first again. About an hour in all. */
const WAITS = [0, 500, 1_000, 2_000, 4_000, ...Array.from({ length: 450 }, () => 8_000)];
/** An upload that was whole, and was refused then. */
const REFUSED = 410;
/** So it is answered when the last part has come and the archive is no good. */
const NO_GOOD = 422;
/** Refused now, but not for good. */
const AGAIN = [408, 409, 423, 425, 429];

export interface Sending {
  pause(): Promise<void>;
  /** Begins, or goes on after a pause or a failure. */
  goOn(): void;
  /** Gives it up, also at the control plane. */
  cancel(): Promise<void>;
}

export interface SendEvents {
  /** So many bytes are there. */
  onSent(sent: number): void;
  /** The link is broken; it is tried again by itself. */
  onBroken(sentence: string): void;
  onDone(): void;
  /** `expired`: the login has ended, and it can go on after another one. `refused`: what was sent is no good, so that it cannot go on. */
  onFailed(sentence: string, expired: boolean, refused: boolean): void;
}

export interface SendOrder {
  tenant: string;
  name: string;
  blob: Blob;
  digest: string;
  /** Why there is no room for it. What was begun has its room already. */
  noRoom: string | null;
}

/** What was sent is refused for good, with the control plane's sentence. */
class Refusal extends Error {}

export async function send({ tenant, name, blob, digest, noRoom }: SendOrder, events: SendEvents): Promise<Sending> {
  const unfinished = new Resumable(storage());
  const upload = new Upload(blob, {
    endpoint: `/api/tenants/${tenant}/uploads`,
    chunkSize: CHUNK,
    headers: { [CSRF_HEADER]: "1" },
    metadata: { filename: name, sha256: digest },
    retryDelays: WAITS,
    removeFingerprintOnSuccess: true,
    fingerprint: async () => fingerprint(tenant, digest),
    urlStorage: unfinished,
    onProgress: (sent) => events.onSent(sent),
    // The answer to the last part was lost: it is asked for, instead of sending everything again to hear it.
    onAfterResponse: async (request, response) => {
      if (request.getMethod() !== "HEAD" || response.getStatus() !== REFUSED) return;
      const { error } = await http.get<UploadView>(new URL(request.getURL(), location.href).pathname);
      for (const { urlStorageKey } of await unfinished.findUploadsByFingerprint(fingerprint(tenant, digest))) {
        await unfinished.removeUpload(urlStorageKey);
      }
      throw new Refusal(error ?? "The control plane refused it.");
    },
    onShouldRetry: (error) => {
      if (error.causingError instanceof Refusal) return false;
      const status = error instanceof DetailedError ? (error.originalResponse?.getStatus() ?? 0) : 0;
      const again = status === 0 || status >= 500 || AGAIN.includes(status);
      // A full disk says so at once; that it is tried again changes nothing.
      const full = status === 507;
      if (again && !full) events.onBroken(sentenceOf(error));
      return again && !full;
    },
    onError: (error) => {
      const detailed = error instanceof DetailedError ? error : null;
      const status = detailed?.originalResponse?.getStatus();
      const expired = status === 401;
      const refused = status === NO_GOOD || detailed?.causingError instanceof Refusal;
      events.onFailed(expired ? "Your login has ended. Log in again, then go on." : sentenceOf(error), expired, refused);
    },
    onSuccess: () => events.onDone(),
  });
  const [before] = await upload.findPreviousUploads();
  if (before) upload.resumeFromPreviousUpload(before);
  else if (noRoom !== null) throw new Error(noRoom);
  return {
    pause: () => upload.abort(false),
    goOn: () => upload.start(),
    cancel: () => upload.abort(true),
  };
}

/** The browser's storage, which may be forbidden. */
function storage(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

/** What the control plane answered, as a sentence for a person. */
function sentenceOf(error: Error): string {
  if (error instanceof DetailedError && error.causingError instanceof Refusal) return error.causingError.message;
  const response = error instanceof DetailedError ? error.originalResponse : null;
  if (!response) return "The connection to the control plane is broken.";
  try {
    const { detail } = JSON.parse(response.getBody()) as Partial<Problem>;
    if (detail) return detail;
  } catch {
    // Not a problem document: a proxy's page, perhaps.
  }
  const status = response.getStatus();
  if (status === 413) return "A server on the way takes no request of 8 MiB. Let its administrator allow that, then go on.";
  return `The control plane answered ${status}. Go on in a while; if it stays so, look at its log.`;
}
