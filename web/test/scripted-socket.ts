// A WebSocket for tests, whose other end is a script.
export type Message = unknown[];

/** A WebSocket whose other end is a function of the test. */
export class ScriptedSocket {
  static script: (message: Message, answer: (message: Message) => void) => void;
  static last: ScriptedSocket;
  protocol = "wamp.2.json";
  readyState = 1;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: object) => void) | null = null;
  onerror: ((event: object) => void) | null = null;

  constructor(readonly url: string) {
    ScriptedSocket.last = this;
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string) {
    ScriptedSocket.script(JSON.parse(text), (message) => queueMicrotask(() => this.onmessage?.({ data: JSON.stringify(message) })));
  }

  close() {
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.({}));
  }
}

/** Lets a client in. Answers whether the message was about that. */
export function welcome(message: Message, answer: (message: Message) => void): boolean {
  if (message[0] === 1) answer([4, "ticket", {}]);
  else if (message[0] === 5) answer([2, 1, { roles: { broker: { features: { pattern_based_subscription: true } }, dealer: { features: {} } } }]);
  else return false;
  return true;
}
