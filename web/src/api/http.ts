// HTTP to the control plane: for what happens before there is a WAMP session. It knows nothing of WAMP.
import { CSRF_HEADER, type Problem } from "./generated";

/** How long an answer may take, in milliseconds. */
const LIMIT = 15_000;

/** A refusal by the control plane, or no answer at all (`status` 0). */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: "application/json", [CSRF_HEADER]: "1" };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: AbortSignal.timeout(LIMIT),
    });
  } catch {
    throw new HttpError(0, "The control plane does not answer. Check your connection, then try again.");
  }
  if (!response.ok) throw new HttpError(response.status, await sentence(response));
  let text: string;
  try {
    text = await response.text();
  } catch {
    throw new HttpError(0, "The connection broke in the middle of the control plane's answer. Try again.");
  }
  try {
    return (text === "" ? undefined : JSON.parse(text)) as T;
  } catch {
    throw new HttpError(0, "Something else than the control plane has answered, perhaps the login page of a network. Look at your connection, then try again.");
  }
}

/** What a refusal says, as a sentence for a person. */
export async function sentence(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as Partial<Problem>;
    if (problem.detail) return problem.detail;
  } catch {
    // Not a problem document: a proxy's page, perhaps.
  }
  return `The control plane answered ${response.status}. Try again; if it stays so, look at its log.`;
}

export const http = {
  get: <T>(path: string) => request<T>("GET", path),
  post: <T = void>(path: string, body: unknown = {}) => request<T>("POST", path, body),
  put: <T = void>(path: string, body: unknown) => request<T>("PUT", path, body),
  patch: <T = void>(path: string, body: unknown) => request<T>("PATCH", path, body),
  delete: <T = void>(path: string, body?: unknown) => request<T>("DELETE", path, body),
};
