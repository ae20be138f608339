// Addresses of stored files, and what is said of them. Pure.
import type { StoredKind } from "../api/generated";

export function filesPath(tenant: string | null): string {
  return `/api/tenants/${tenant}/files`;
}

/** Where a stored file is downloaded from. */
export function contentPath(tenant: string | null, file: string): string {
  return `${filesPath(tenant)}/${file}/content`;
}

export const storedNames: Record<StoredKind, string> = {
  file: "file",
  folder: "folder",
  log: "output",
  results: "results",
};
