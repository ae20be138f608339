// A container's output as it comes over HTTP, line by line. It knows nothing of how that is shown.
import { HttpError, sentence } from "../api/http";
import type { LogEnd, LogLine } from "../api/generated";
import { Lines, readMessage, type StreamWish, wishQuery } from "./log-lines";

export interface LogPlace {
  tenant: string;
  device: string;
  container: string;
}

/** Answers how it has come to its end. Where it does not say so, it was cut. */
export async function streamLog(
  { tenant, device, container }: LogPlace,
  wish: StreamWish,
  signal: AbortSignal,
  onLines: (lines: LogLine[]) => void,
): Promise<LogEnd> {
  const path = `/api/tenants/${tenant}/devices/${device}/containers/${container}/log?${wishQuery(wish)}`;
  let response: Response;
  try {
    response = await fetch(path, { headers: { accept: "application/x-ndjson" }, credentials: "same-origin", signal });
  } catch (error) {
    throw broken(error, signal);
  }
  if (!response.ok) throw new HttpError(response.status, await sentence(response));
  if (!response.body) throw cut();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const lines = new Lines();
  let end: LogEnd | null = null;
  for (;;) {
    let part: ReadableStreamReadResult<string>;
    try {
      part = await reader.read();
    } catch (error) {
      throw broken(error, signal);
    }
    if (part.done) {
      if (end === null) throw cut();
      return end;
    }
    const found: LogLine[] = [];
    for (const text of lines.push(part.value)) {
      const message = readMessage(text);
      if (message && "line" in message) found.push(message.line);
      else if (message) end = message.end;
    }
    if (found.length > 0) onLines(found);
  }
}

function broken(error: unknown, signal: AbortSignal): unknown {
  return signal.aborted ? error : cut();
}

function cut(): HttpError {
  return new HttpError(0, "The connection broke.");
}
