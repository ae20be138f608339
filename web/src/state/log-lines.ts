// Output of a container as it comes: lines out of bytes, kept up to a bound, and how it goes on after a broken link. Pure.
import type { LogEnd, LogLine, LogWish } from "../api/generated";

/** Characters of a line that are shown; a program may write megabytes without a line end. */
export const MAX_SHOWN = 4_000;
/** Characters of a message at most. Beyond it the rest of the line is passed over. */
const MAX_MESSAGE = 1024 * 1024;
/** Lines of a block: blocks come and go as a whole, so that little is drawn anew. */
export const BLOCK = 100;
/** Blocks that are kept, 5,000 lines: what a person can look through, and a phone can draw. */
export const MAX_BLOCKS = 50;

/** Cuts text that comes in pieces at its line ends. */
export class Lines {
  #rest = "";
  #over = false;

  /** The lines that are whole now. */
  push(text: string): string[] {
    const parts = (this.#rest + text).split("\n");
    this.#rest = parts.pop() ?? "";
    if (this.#over && parts.length > 0) {
      parts.shift();
      this.#over = false;
    }
    if (this.#rest.length > MAX_MESSAGE) {
      this.#over = true;
      this.#rest = "";
    }
    return parts;
  }
}

/** What a message of the stream says: a line, or how it has come to its end. */
export type LogMessage = { line: LogLine } | { end: LogEnd } | null;

export function readMessage(text: string): LogMessage {
  let message: Partial<LogLine & LogEnd>;
  try {
    message = JSON.parse(text) as Partial<LogLine & LogEnd>;
  } catch {
    // An empty line only says that somebody is there.
    return null;
  }
  if (typeof message.text === "string" && typeof message.at === "number") return { line: message as LogLine };
  return typeof message.end === "string" && typeof message.message === "string" ? { end: message as LogEnd } : null;
}

export interface Block {
  id: number;
  lines: LogLine[];
}

/** The last lines, in blocks. */
export class LogBuffer {
  blocks: Block[] = [];
  /** Lines that were let go, the oldest first. */
  skipped = 0;
  /** Lines that have come in all. */
  count = 0;
  #next = 0;

  add(lines: LogLine[]): void {
    const most = BLOCK * MAX_BLOCKS;
    const dropped = Math.max(0, lines.length - most);
    this.skipped += dropped;
    this.count += lines.length;
    const blocks = [...this.blocks];
    for (let at = dropped; at < lines.length; ) {
      const last = blocks.at(-1);
      const room = last ? BLOCK - last.lines.length : 0;
      if (last && room > 0) {
        blocks[blocks.length - 1] = { id: last.id, lines: [...last.lines, ...lines.slice(at, at + room)] };
        at += room;
      } else {
        blocks.push({ id: this.#next++, lines: lines.slice(at, at + BLOCK) });
        at += BLOCK;
      }
    }
    for (const gone of blocks.splice(0, Math.max(0, blocks.length - MAX_BLOCKS))) this.skipped += gone.lines.length;
    this.blocks = blocks;
  }
}

/**
 * After a broken link it is asked for everything since the last line; of those that have the very same time, as many
 * as were seen come again and are passed over.
 */
export class Overlap {
  /** The time of the last line. */
  at: number | null = null;
  #seen = 0;
  #again = 0;

  /** It begins anew at `at`. */
  restart(): void {
    this.#again = this.#seen;
  }

  /** Those of the lines that are new. */
  fresh(lines: LogLine[]): LogLine[] {
    return lines.filter(({ at }) => {
      if (this.#again > 0 && at === this.at) {
        this.#again -= 1;
        return false;
      }
      this.#again = 0;
      this.#seen = at === this.at ? this.#seen + 1 : 1;
      this.at = at;
      return true;
    });
  }
}

/** What can be wished of the stream; all of it is fetched instead. */
export type StreamWish = Omit<LogWish, "all">;

/** The query of the stream. */
export function wishQuery(wish: StreamWish): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(wish)) {
    if (value !== undefined && value !== "") query.set(key, String(value));
  }
  return query.toString();
}
