// One WAMP session over wampy: typed calls and events. It neither reconnects nor keeps state.
import { Wampy } from "wampy";
import {
  type ApiError,
  PROCEDURES,
  type Procedures,
  type TicketReply,
  TOPICS,
  type Topics,
} from "../api/generated";

/** How long a call may take, in milliseconds. Devices answer within 4 s. */
const CALL_LIMIT = 10_000;
/** How long joining may take. */
const JOIN_LIMIT = 10_000;
/** How long the router may take to say goodbye; a broken link never does. */
const CLOSE_LIMIT = 2_000;
const DEVICE = "{device}";

/** A WAMP ERROR, or no answer (`uri` empty), with a sentence for a person. */
export class CallError extends Error {
  constructor(
    readonly uri: string,
    message: string,
    readonly details: ApiError["details"] = {},
  ) {
    super(message);
  }

  /** Nobody has answered: whether it was done is not known. */
  get isUnanswered(): boolean {
    return this.uri === "";
  }
}

export interface Session {
  call<P extends keyof Procedures>(
    procedure: P,
    device: string | null,
    request: Procedures[P]["request"],
  ): Promise<Procedures[P]["reply"]>;
  /** Events of this topic, from every device. */
  watch<T extends keyof Topics>(topic: T, handler: (event: Topics[T]) => void): Promise<void>;
  close(): void;
}

/** Joins as the ticket says. `onClose` is called once, when the session ends by itself. */
export async function join(ticket: TicketReply, onClose: () => void): Promise<Session> {
  let closed = false;
  const client = new Wampy(ticket.wamp_url, {
    realm: ticket.realm,
    authid: ticket.authid,
    authmethods: ["ticket"],
    onChallenge: () => ticket.ticket,
    autoReconnect: false,
    uriValidation: "loose",
    // Named, so that wampy does not guess where it runs.
    ws: WebSocket,
    onClose: () => {
      if (!closed) {
        closed = true;
        onClose();
      }
    },
  });
  const close = () => {
    closed = true;
    within(CLOSE_LIMIT, client.disconnect(), "").catch(() => client.abort());
  };
  try {
    await within(JOIN_LIMIT, client.connect(), "The router does not answer.");
  } catch (error) {
    close();
    throw toCallError(error);
  }
  return {
    async call(procedure, device, request) {
      const template = PROCEDURES[procedure];
      const uri = device === null ? template : template.replace(DEVICE, device);
      try {
        const payload = { argsDict: request as Record<string, unknown> };
        const sentence = "No answer in time; it may still be done. Look at the list before you try again.";
        const result = await within(CALL_LIMIT, client.call(uri, payload), sentence);
        return result.argsList?.[0] as Procedures[typeof procedure]["reply"];
      } catch (error) {
        throw toCallError(error);
      }
    },
    async watch(topic, handler) {
      const uri = TOPICS[topic];
      await client.subscribe(
        uri.replace(DEVICE, ""),
        ({ argsDict }) => handler(argsDict as Topics[typeof topic]),
        uri.includes(DEVICE) ? { match: "wildcard" } : {},
      );
    },
    close,
  };
}

function within<T>(milliseconds: number, promise: Promise<T>, sentence: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new CallError("", sentence)), milliseconds);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

interface WampyError {
  errorUri?: string;
  argsList?: unknown[];
  argsDict?: Record<string, unknown>;
  details?: Record<string, unknown>;
}

function toCallError(error: unknown): CallError {
  if (error instanceof CallError) return error;
  const { errorUri = "", argsList, argsDict, details } = error as WampyError;
  const told = [argsList?.[0], details?.message].find((text) => typeof text === "string");
  return new CallError(errorUri, (told as string | undefined) ?? wellKnown(errorUri), argsDict ?? {});
}

function wellKnown(uri: string): string {
  switch (uri) {
    case "wamp.error.no_such_procedure":
      return "That device is not connected. Wait until it is back, then try again.";
    case "wamp.error.not_authorized":
      return "Your role does not allow this. Ask an owner of the tenant.";
    case "wamp.error.canceled":
      return "The device went away while it was at work. Look at its state before you try again.";
    case "":
      return "The connection to the router broke. It is made again by itself.";
    default:
      return `Refused: ${uri}`;
  }
}
