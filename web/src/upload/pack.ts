// The bytes of an upload, made as they are needed: files as a tar, compressed, hashed. No more than a few pieces are in
// memory at once; what is made goes into pieces that the browser may keep on its disk.
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Chosen, Treatment } from "./choice";
import { end, header, modeOf, ordered, padding } from "./tar";

type Bytes = Uint8Array<ArrayBuffer>;

/** Bytes that are gathered in memory before the browser gets them as a piece. */
const PIECE = 8 * 1024 * 1024;
/** As many bytes as tell whether a file is a program. */
const HEAD = 4;

export interface Packed {
  /** What is to be sent; `null` where that is the chosen file itself. */
  blob: Blob | null;
  /** The SHA-256 of it, as hexadecimal digits. */
  digest: string;
}

/** Called with the bytes that were read and made so far. */
export type OnProgress = (read: number, made: number) => void;

export async function pack(treatment: Treatment, files: Chosen[], onProgress: OnProgress): Promise<Packed> {
  let read = 0;
  let made = 0;
  const source = treatment === "pack" ? tarOf(files) : bytesOf((files[0] as Chosen).file);
  const counted = through(source, (chunk) => {
    read += chunk.length;
    onProgress(read, made);
  });
  const stream = streamOf(counted);
  const ready = treatment === "as_is" ? stream : stream.pipeThrough(new CompressionStream("gzip"));

  const hash = sha256.create();
  const pieces: Blob[] = [];
  let gathered: Bytes[] = [];
  let size = 0;
  const reader = ready.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    hash.update(value);
    made += value.length;
    if (treatment === "as_is") continue;
    gathered.push(value as Bytes);
    size += value.length;
    if (size >= PIECE) {
      pieces.push(new Blob(gathered));
      gathered = [];
      size = 0;
    }
  }
  onProgress(read, made);
  pieces.push(new Blob(gathered));
  return { blob: treatment === "as_is" ? null : new Blob(pieces), digest: bytesToHex(hash.digest()) };
}

/** Files as a tar, in the order of their paths. */
export async function* tarOf(files: Chosen[]): AsyncGenerator<Bytes> {
  for (const { path, file } of ordered(files)) {
    const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer());
    yield header({ path, size: file.size, modified: file.lastModified }, modeOf(head));
    let seen = 0;
    for await (const chunk of bytesOf(file)) {
      seen += chunk.length;
      yield chunk;
    }
    if (seen !== file.size) throw new Error(`${path} was changed while it was read. Choose it again.`);
    yield new Uint8Array(padding(file.size));
  }
  yield end();
}

async function* bytesOf(file: File): AsyncGenerator<Bytes> {
  const reader = file.stream().getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value as Bytes;
    }
  } catch {
    throw new Error(`${file.name} cannot be read any more: it was changed, moved or deleted. Choose it again.`);
  }
}

async function* through(source: AsyncIterable<Bytes>, look: (chunk: Bytes) => void): AsyncGenerator<Bytes> {
  for await (const chunk of source) {
    look(chunk);
    if (chunk.length > 0) yield chunk;
  }
}

function streamOf(source: AsyncGenerator<Bytes>): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>({
    async pull(controller) {
      const { done, value } = await source.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await source.return(undefined);
    },
  });
}
