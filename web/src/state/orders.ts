// What a person orders: sends it, says how it went, and keeps the words the same everywhere.
import { type DeleteCheckpoint, type DeleteKept, ERRORS, type MigrateContainer, type OperationReply, type Procedures } from "../api/generated";
import { CallError } from "../wamp/session";
import { newOperation } from "./ids";
import { type End, live } from "./live.svelte";
import { type Tell, teller } from "./tell";

type Order = {
  [P in keyof Procedures]: Procedures[P]["reply"] extends OperationReply ? P : never;
}[keyof Procedures];

export const TAKES_A_WHILE = "It takes a while; its progress is shown under “Under way”.";

/** With an id by which it is known here before it is answered. */
function ownOrder<P extends Order>(request: Procedures[P]["request"]): Procedures[P]["request"] {
  const operation = request.operation ?? newOperation();
  live.ordered(operation);
  return { ...request, operation };
}

/** Sends an order, to a device or else to the control plane. Answers the sentence that says how it went; an error is told and thrown on. */
export function order<P extends Order>(
  procedure: P,
  device: string | null,
  request: Procedures[P]["request"],
  done: string,
): Promise<string> {
  return told(async (tell) => {
    const reply = (await live.call(procedure, device, ownOrder<P>(request))) as OperationReply;
    const text = reply.state === "done" ? done : TAKES_A_WHILE;
    tell(reply.state === "done" ? "success" : "info", text);
    if (reply.state === "running") live.tellEnd(reply.operation, done);
    return text;
  });
}

/** Sends an order and waits for its end, without a word: who sends many tells of all together. */
export async function orderToEnd<P extends Order>(
  procedure: P,
  device: string,
  request: Procedures[P]["request"],
): Promise<void> {
  const { state, operation } = (await live.call(procedure, device, ownOrder<P>(request))) as OperationReply;
  if (state === "running") await live.ended(operation);
}

/** Refusals that say nothing of an operation: whoever knows of it was not reached. */
const NOT_REACHED: string[] = ["wamp.error.no_such_procedure", "wamp.error.canceled", ERRORS.Unavailable];

/**
 * How an operation ended whose end may have been told while nobody heard it; nothing where it goes on or that is not known. `send`
 * sends the order as it was: the same operation is the same order, so it is not done twice, and the answer says how it stands.
 */
export async function endOf(operation: string, send: () => Promise<OperationReply>): Promise<End | null> {
  let end: End = { state: "done" };
  try {
    if ((await send()).state !== "done") return null;
  } catch (problem) {
    if (!(problem instanceof CallError) || problem.isUnanswered || NOT_REACHED.includes(problem.uri)) return null;
    end = { state: "failed", reason: problem.message };
  }
  live.endFound(operation, end);
  return end;
}

/** Orders a move. How it goes is told by its events, and its end by a notice of the control plane. */
export function orderMove(request: MigrateContainer, name: string): Promise<void> {
  return told(async (tell) => {
    await live.call("ContainerMigrate", null, request);
    tell("info", `The move of ${name} has begun.`);
  });
}

/** Deletes a checkpoint; it is done when this is. Answers the sentence that says so. */
export function orderCheckpointDeleted(device: string, request: DeleteCheckpoint): Promise<string> {
  return told(async (tell) => {
    await live.call("CheckpointDelete", device, request);
    const text = `Checkpoint ${request.name} was deleted.`;
    tell("success", text);
    return text;
  });
}

/** Deletes a copy that a move has left; it is done when this is. Answers the sentence that says so. */
export function orderKeptDeleted(device: string, request: DeleteKept, name: string): Promise<string> {
  return told(async (tell) => {
    await live.call("KeptDelete", device, request);
    const text = `The stopped copy of ${name} was deleted.`;
    tell("success", text);
    return text;
  });
}

/** Does what one may be told of; an error is told and thrown on. */
async function told<Done>(work: (tell: Tell) => Promise<Done>): Promise<Done> {
  const tell = teller();
  try {
    return await work(tell);
  } catch (error) {
    tell("error", (error as Error).message);
    throw error;
  }
}
