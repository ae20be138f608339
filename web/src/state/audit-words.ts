// The audit in words: what was done, by which right, and what came of it. Pure.
import { PROCEDURES, type AuditEntry, type Outcome, type Procedures } from "../api/generated";

/** Calls that are written down, by their names in the catalogue. */
const CALLS: Partial<Record<keyof Procedures, string>> = {
  ContainerCreate: "Create a container",
  ContainerStart: "Start a container",
  ContainerStop: "Stop a container",
  ContainerRestart: "Restart a container",
  ContainerDelete: "Delete a container",
  ContainerCheckpoint: "Save a checkpoint",
  ContainerRestore: "Restore a checkpoint",
  CheckpointDelete: "Delete a checkpoint",
  CheckpointCopy: "Copy a checkpoint",
  KeptDelete: "Delete a kept copy",
  FileListing: "List files of a container",
  FileFetch: "Fetch files of a container",
  TerminalOpen: "Open a terminal",
  ImagePull: "Pull an image",
  ImageDelete: "Delete an image",
  ContainerMigrate: "Move a container",
  MigrationCancel: "Cancel a move",
  ArtifactDelete: "Delete an upload",
  VersionAdd: "Add a version",
  VersionDelete: "Delete a version",
  ApplicationDelete: "Delete an application",
  ApplicationDeploy: "Deploy an application",
  ContainerUpdate: "Update a container",
  AlertAcknowledge: "Mark an alert as seen",
};

/** Requests that are written down, by method and path, and what the platform itself writes. */
const REQUESTS: Record<string, string> = {
  "POST /api/setup": "Set ECEP up",
  "POST /api/login": "Log in",
  "POST /api/logout": "Log out",
  "POST /api/account/password": "Change one's own password",
  "DELETE /api/account/logins": "End one's other logins",
  "DELETE /api/account/logins/{id}": "End one of one's logins",
  "POST /api/invitations/accept": "Accept an invitation",
  "POST /api/accounts": "Make an account",
  "PATCH /api/accounts/{id}": "Disable or enable an account",
  "POST /api/tenants": "Make a tenant",
  "PATCH /api/tenants/{slug}": "Rename a tenant",
  "DELETE /api/tenants/{slug}": "Delete a tenant",
  "PATCH /api/tenants/{slug}/members/{id}": "Change a member's role",
  "DELETE /api/tenants/{slug}/members/{id}": "Remove a member",
  "POST /api/tenants/{slug}/leave": "Leave the tenant",
  "POST /api/tenants/{slug}/invitations": "Invite somebody",
  "DELETE /api/tenants/{slug}/invitations/{id}": "Withdraw an invitation",
  "POST /api/tenants/{slug}/join-tokens": "Make a join token",
  "DELETE /api/tenants/{slug}/join-tokens/{id}": "Delete a join token",
  "POST /api/tenants/{slug}/api-tokens": "Make an API token",
  "DELETE /api/tenants/{slug}/api-tokens/{id}": "Revoke an API token",
  "POST /api/device/enrol": "Enrol a device",
  "POST /api/device/rotate-key": "Give a device a new key",
  "PATCH /api/tenants/{slug}/devices/{id}": "Change a device's name or place",
  "DELETE /api/tenants/{slug}/devices/{id}": "Remove a device",
  "POST /api/tenants/{slug}/devices/{id}/rotate-key": "Order a new key for a device",
  "POST /api/tenants/{slug}/devices/{id}/shares": "Offer a device to a tenant",
  "PUT /api/tenants/{slug}/devices/{id}/shares/{tenant}": "Change the terms of a share",
  "POST /api/tenants/{slug}/devices/{id}/shares/{tenant}/end": "End a share",
  "POST /api/tenants/{slug}/shares/{id}": "Accept a shared device",
  "DELETE /api/tenants/{slug}/shares/{id}": "Decline or leave a shared device",
  "POST /api/tenants/{slug}/uploads": "Upload a file",
  "DELETE /api/tenants/{slug}/uploads/{id}": "Give an upload up",
  "DELETE /api/tenants/{slug}/files/{id}": "Delete a stored file",
  "audit.lost": "Entries lost by a device",
  "audit.dropped": "Old entries dropped",
};

const WORDS = new Map<string, string>([
  ...Object.entries(CALLS).map(([name, words]): [string, string] => [PROCEDURES[name as keyof Procedures], words]),
  ...Object.entries(REQUESTS),
]);

/** Actions that can be asked for, with their words, in the words' order. */
export const ACTIONS: readonly (readonly [action: string, words: string])[] = [...WORDS].sort(([, a], [, b]) => a.localeCompare(b));

/** What was done; what is not known is told as it is written. */
export function actionWords(action: string): string {
  return WORDS.get(action) ?? action;
}

const OUTCOMES: Record<Outcome, { mark: string; words: string }> = {
  done: { mark: "✓", words: "done" },
  running: { mark: "…", words: "begun" },
  refused: { mark: "⊘", words: "refused" },
  failed: { mark: "✕", words: "failed" },
};

export function outcomeWords(outcome: Outcome): { mark: string; words: string } {
  return OUTCOMES[outcome] ?? { mark: "?", words: outcome };
}

const STATUSES: Record<string, string> = {
  "400": "not understood",
  "401": "not logged in",
  "403": "not allowed",
  "404": "there was no such thing",
  "409": "something stood against it",
  "413": "too large",
  "422": "something in it was wrong",
  "429": "too often",
  "500": "the control plane had an error",
  "503": "the control plane was not ready",
};

/** Why it was refused or failed: of an HTTP status in words, of an error's URI its last part. */
export function reasonWords(error: string | null): string {
  if (error === null) return "";
  if (/^\d+$/.test(error)) return STATUSES[error] ? `${STATUSES[error]} (${error})` : `status ${error}`;
  return (error.split(".").at(-1) ?? error).replaceAll("_", " ");
}

const RIGHTS = { login: "login", token: "API token", join_token: "join token", wamp_session: "session" } as const;

/** By which right: the kind and, where it is known, the name. */
export function viaWords({ via }: Pick<AuditEntry, "via">, nameOf: (id: string) => string): string {
  return via === null ? "–" : `${RIGHTS[via.kind] ?? via.kind} ${nameOf(via.id)}`;
}

/** Who. */
export function actorWords({ actor }: Pick<AuditEntry, "actor">, nameOf: (id: string) => string): string {
  if (actor.kind === "installation") return "the platform";
  if (actor.authid === "") return "somebody unknown";
  return nameOf(actor.authid);
}
