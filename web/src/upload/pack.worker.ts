// Packs in a thread of its own, so that the page stays quick. One order for each worker.
import type { Chosen, Treatment } from "./choice";
import { type Packed, pack } from "./pack";

export interface PackOrder {
  treatment: Treatment;
  files: Chosen[];
}

export type PackNews =
  | { news: "progress"; read: number; made: number }
  | { news: "packed"; packed: Packed }
  | { news: "failed"; message: string };

/** Progress is told at most this often, in milliseconds. */
const TELL_EVERY = 100;

const tell = (news: PackNews) => postMessage(news);

addEventListener("message", (event: MessageEvent<PackOrder>) => {
  const { treatment, files } = event.data;
  let told = 0;
  pack(treatment, files, (read, made) => {
    const now = performance.now();
    if (now - told < TELL_EVERY) return;
    told = now;
    tell({ news: "progress", read, made });
  }).then(
    (packed) => tell({ news: "packed", packed }),
    (error: unknown) => tell({ news: "failed", message: (error as Error).message }),
  );
});
