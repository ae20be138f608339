// Tar as POSIX has it (ustar, with PAX records where a name does not fit): headers and sizes. Pure; who reads the files
// and where the bytes go is not known here.

const BLOCK = 512;
/** Two empty blocks end an archive. */
const END = 2 * BLOCK;
/** Bytes of a name that fit into a header. */
const SHORT = 100;
/** A browser does not tell who may run a file; these two modes are told apart by how a file begins. */
const PLAIN = 0o644;
const PROGRAM = 0o755;

export interface Entry {
  /** Its path in the archive, without a leading slash. */
  path: string;
  /** Bytes. */
  size: number;
  /** When it was changed, in milliseconds since 1970. */
  modified: number;
}

const encoder = new TextEncoder();

/** The mode of a file that begins so: scripts and programs can be run. */
export function modeOf(head: Uint8Array): number {
  const script = head[0] === 0x23 && head[1] === 0x21;
  const elf = head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
  return script || elf ? PROGRAM : PLAIN;
}

/** What goes before a file's bytes. */
export function header(entry: Entry, mode: number): Uint8Array<ArrayBuffer> {
  const name = encoder.encode(entry.path);
  const seconds = Math.max(0, Math.floor(entry.modified / 1000));
  if (name.length <= SHORT && isAscii(entry.path)) return block(name, entry.size, seconds, mode, "0");
  const record = paxRecord("path", entry.path);
  const stand = encoder.encode(entry.path.replace(/[^\x20-\x7e]/g, "_").slice(-SHORT));
  return joined([
    block(encoder.encode("PaxHeader"), record.length, seconds, PLAIN, "x"),
    record,
    new Uint8Array(padding(record.length)),
    block(stand, entry.size, seconds, mode, "0"),
  ]);
}

/** Bytes after a file's, up to the next block. */
export function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** What ends an archive. */
export function end(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(END);
}

/** Entries in the order of their paths: the same folder gives the same archive. */
export function ordered<T extends { path: string }>(entries: T[]): T[] {
  return [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

function block(name: Uint8Array, size: number, seconds: number, mode: number, type: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BLOCK);
  bytes.set(name.subarray(0, SHORT), 0);
  const put = (text: string, at: number) => bytes.set(encoder.encode(text), at);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  put(octal(mode, 7), 100);
  put(octal(0, 7), 108);
  put(octal(0, 7), 116);
  put(octal(size, 11), 124);
  put(octal(seconds, 11), 136);
  put("        ", 148);
  put(type, 156);
  put("ustar\u000000", 257);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  put(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return bytes;
}

/** A record tells its own length in front, which counts its own digits. */
function paxRecord(key: string, value: string): Uint8Array<ArrayBuffer> {
  const rest = encoder.encode(` ${key}=${value}\n`).length;
  let length = rest + 1;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return encoder.encode(`${length} ${key}=${value}\n`);
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
