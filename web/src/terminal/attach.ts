// Joins a screen with a terminal in a container over a WebSocket: bytes both ways, sizes to it, its end from it.
import type { TerminalEnd, TerminalSize } from "../api/generated";

/** What shows a terminal. */
export interface Screen {
  write(bytes: Uint8Array): void;
  size(): TerminalSize;
  onInput(handler: (bytes: Uint8Array) => void): void;
  onResize(handler: (size: TerminalSize) => void): void;
  /** What was shown stays, and nothing more is typed. */
  end(): void;
  dispose(): void;
}

export interface Attached {
  end(): void;
}

/** Bytes that may wait to be sent: a paste larger than this would not come through a broken link anyway. */
const MAX_WAITING = 4 * 1024 * 1024;

export function attach(path: string, screen: Screen, onEnd: (end: TerminalEnd) => void): Attached {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
  socket.binaryType = "arraybuffer";
  let told: TerminalEnd | null = null;
  let closing = false;
  const isOpen = () => socket.readyState === WebSocket.OPEN;
  socket.onopen = () => socket.send(JSON.stringify(screen.size()));
  socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
    if (typeof data !== "string") screen.write(new Uint8Array(data));
    else {
      try {
        told = JSON.parse(data) as TerminalEnd;
      } catch {
        // Not ours.
      }
    }
  };
  socket.onclose = () => {
    screen.end();
    const reason = closing ? "You closed it." : "The connection to it broke; what ran in it was ended.";
    onEnd(told ?? { exit_code: null, reason });
  };
  screen.onInput((bytes) => {
    if (isOpen() && socket.bufferedAmount + bytes.length <= MAX_WAITING) socket.send(bytes as Uint8Array<ArrayBuffer>);
  });
  screen.onResize((size) => isOpen() && socket.send(JSON.stringify(size)));
  return {
    end() {
      closing = true;
      socket.close();
    },
  };
}

export function endSentence({ exit_code, reason }: TerminalEnd): string {
  if (reason) return `The terminal has ended. ${reason}`;
  if (exit_code === 126 || exit_code === 127) {
    return `The terminal has ended with exit code ${exit_code}: a command was not found, or cannot be run. If nothing was opened, the image has no such command, or no shell: name one that it has.`;
  }
  return exit_code === null || exit_code === 0 ? "The terminal has ended." : `The terminal has ended with exit code ${exit_code}.`;
}
