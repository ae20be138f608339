// Ids that whoever orders may choose: what an operation brings can be asked for before its answer has come.

/** Bytes of randomness: no two are ever the same. */
const BYTES = 16;

export function newOperation(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
