// The upload under way: one at a time, and it goes on while the person looks at something else.
import type { ArtifactList } from "../api/generated";
import { account } from "../state/account.svelte";
import { live } from "../state/live.svelte";
import { notices } from "../state/notices.svelte";
import { type Plan, whyNoRoom } from "./choice";
import { Meter } from "./meter";
import type { Packed } from "./pack";
import type { PackNews, PackOrder } from "./pack.worker";
import type { Sending } from "./send";

export type Stage = "none" | "packing" | "sending" | "broken" | "paused" | "checking" | "done" | "failed";

class Uploading {
  stage = $state<Stage>("none");
  /** The name of what is sent. */
  name = $state("");
  /** Bytes to read, and read. */
  total = $state(0);
  read = $state(0);
  /** Bytes that are ready to be sent; all of them once it is sent. */
  made = $state(0);
  sent = $state(0);
  /** Bytes each second, and milliseconds that remain; `null` while not known. */
  rate = $state<number | null>(null);
  remaining = $state<number | null>(null);
  /** What went wrong. */
  error = $state("");
  /** What has been uploaded. */
  digest = $state<string | null>(null);
  /** It was there already, so nothing was sent. */
  known = $state(false);
  /** How long packing and sending took, in milliseconds. */
  took = $state({ packing: 0, sending: 0 });

  #run = 0;
  #worker: Worker | null = null;
  #sending: Sending | null = null;
  #meter = new Meter();
  #began = 0;
  #again: (() => void) | null = null;

  get busy(): boolean {
    return this.stage !== "none" && this.stage !== "done" && this.stage !== "failed";
  }

  /** After a failure it may be possible to go on where it was. */
  get canGoOn(): boolean {
    return this.stage === "paused" || (this.stage === "failed" && this.#again !== null);
  }

  start(tenant: string, plan: Plan) {
    this.clear();
    const run = this.#run;
    this.stage = "packing";
    this.name = plan.name;
    this.total = plan.bytes;
    this.#began = Date.now();
    const fail = (sentence: string) => run === this.#run && this.#fail(sentence, null);
    this.#pack({ treatment: plan.treatment, files: plan.files })
      .then(async ({ blob, digest }) => {
        if (run !== this.#run) return;
        this.took.packing = Date.now() - this.#began;
        await this.#send(tenant, blob ?? (plan.files[0]?.file as File), digest, run);
      })
      .catch((error: Error) => fail(error.message));
  }

  async pause() {
    this.stage = "paused";
    this.rate = this.remaining = null;
    await this.#sending?.pause();
  }

  goOn() {
    this.error = "";
    this.stage = "sending";
    this.#meter.reset();
    const again = this.#again;
    this.#again = null;
    if (again) again();
    else this.#sending?.goOn();
  }

  /** Gives it up and forgets it. */
  cancel() {
    // What the control plane does not hear now it forgets by itself after a day.
    this.#sending?.cancel().catch(() => undefined);
    this.clear();
  }

  clear() {
    this.#run += 1;
    this.#worker?.terminate();
    this.#worker = this.#sending = this.#again = null;
    this.#meter.reset();
    this.stage = "none";
    this.name = this.error = "";
    this.total = this.read = this.made = this.sent = 0;
    this.rate = this.remaining = this.digest = null;
    this.known = false;
    this.took = { packing: 0, sending: 0 };
  }

  #pack(order: PackOrder): Promise<Packed> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./pack.worker.ts", import.meta.url), { type: "module" });
      this.#worker = worker;
      const end = () => {
        worker.terminate();
        if (this.#worker === worker) this.#worker = null;
      };
      worker.onmessage = ({ data }: MessageEvent<PackNews>) => {
        if (this.#worker !== worker) return;
        if (data.news === "progress") this.#packed(data.read, data.made);
        else {
          end();
          if (data.news === "packed") resolve(data.packed);
          else reject(new Error(data.message));
        }
      };
      worker.onerror = () => {
        end();
        reject(new Error("The browser could not pack it. Reload the page and try again."));
      };
      worker.postMessage(order);
    });
  }

  #packed(read: number, made: number) {
    // An archive has more bytes than the files in it.
    this.read = Math.min(read, this.total);
    this.made = made;
    this.#measure(this.read, this.total);
  }

  async #send(tenant: string, blob: Blob, digest: string, run: number) {
    this.read = this.total;
    this.made = blob.size;
    this.#meter.reset();
    const held = await live.call("ArtifactListing", null, {});
    if (run !== this.#run) return;
    if (has(held, digest)) {
      this.known = true;
      this.#done(digest);
      return;
    }
    const limits = { max: held.max_upload_bytes, quota: held.quota_bytes, used: held.used_bytes };
    const noRoom = whyNoRoom(blob.size, limits);
    const { send } = await import("./send");
    if (run !== this.#run) return;
    let began = 0;
    const mine = () => run === this.#run;
    const sending = await send(
      { tenant, name: this.name, blob, digest, noRoom },
      {
        onSent: (sent) => mine() && this.#sent(sent),
        onBroken: (sentence) => {
          if (!mine() || this.stage === "paused") return;
          this.stage = "broken";
          this.error = sentence;
          this.rate = this.remaining = null;
          this.#meter.reset();
        },
        onDone: () => {
          if (!mine()) return;
          this.took.sending = Date.now() - began;
          this.sent = this.made;
          this.#done(digest);
        },
        onFailed: (sentence, expired, refused) => {
          if (!mine()) return;
          if (expired) account.expired = true;
          this.#fail(sentence, refused ? null : () => this.#sending?.goOn());
        },
      },
    );
    if (!mine()) return;
    // From here on it can be paused: nothing is sent before.
    this.#sending = sending;
    this.stage = "sending";
    began = Date.now();
    sending.goOn();
  }

  #sent(sent: number) {
    if (this.stage === "paused") return;
    this.sent = sent;
    this.error = "";
    this.stage = sent === this.made ? "checking" : "sending";
    this.#measure(sent, this.made);
  }

  #measure(bytes: number, total: number) {
    const now = Date.now();
    this.#meter.add(now, bytes);
    this.rate = this.#meter.rate(now);
    this.remaining = this.#meter.remaining(now, total);
  }

  #done(digest: string) {
    this.digest = digest;
    this.rate = this.remaining = null;
    this.stage = "done";
    notices.add("success", this.known ? `${this.name} was uploaded before.` : `${this.name} was uploaded.`);
  }

  #fail(sentence: string, again: (() => void) | null) {
    this.error = sentence;
    this.rate = this.remaining = null;
    this.#again = again;
    this.stage = "failed";
    notices.add("error", `${this.name} was not uploaded. ${sentence}`);
  }
}

function has({ artifacts }: ArtifactList, digest: string): boolean {
  return artifacts.some((artifact) => artifact.digest === digest);
}

export const upload = new Uploading();
