// Shows a terminal with xterm.js. Loaded only when one is opened: it is as large as all the rest.
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import type { Screen } from "./attach";
import { styledByRules } from "./styled-by-rules";

/** Lines that can be scrolled back to. */
const SCROLLBACK = 5_000;
/** So that every colour can be read on its ground, as the page's own text can. */
const CONTRAST = 4.5;

export function show(host: HTMLElement): Screen {
  const unstyle = styledByRules(host.ownerDocument);
  const terminal = new Terminal({
    scrollback: SCROLLBACK,
    minimumContrastRatio: CONTRAST,
    screenReaderMode: true,
    fontSize: 13,
    fontFamily: token("--mono"),
    theme: theme(),
  });
  const fit = new FitAddon();
  terminal.loadAddon(fit);
  // The one way out for a keyboard: Tab belongs to the shell.
  terminal.attachCustomKeyEventHandler((event) => !(event.key === "Tab" && event.shiftKey));
  terminal.open(host);
  fit.fit();
  terminal.focus();
  const resized = new ResizeObserver(() => fit.fit());
  resized.observe(host);
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const recolour = () => (terminal.options.theme = theme());
  scheme.addEventListener("change", recolour);
  const encoder = new TextEncoder();
  return {
    write: (bytes) => terminal.write(bytes),
    size: () => ({ columns: terminal.cols, rows: terminal.rows }),
    onInput(handler) {
      terminal.onData((text) => handler(encoder.encode(text)));
      terminal.onBinary((text) => handler(Uint8Array.from(text, (character) => character.charCodeAt(0))));
    },
    onResize: (handler) => void terminal.onResize(({ cols, rows }) => handler({ columns: cols, rows })),
    end() {
      terminal.options.disableStdin = true;
      terminal.blur();
    },
    dispose() {
      resized.disconnect();
      scheme.removeEventListener("change", recolour);
      terminal.dispose();
      unstyle();
    },
  };
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function theme(): ITheme {
  return {
    background: token("--sunken"),
    foreground: token("--text"),
    cursor: token("--accent"),
    cursorAccent: token("--sunken"),
    selectionBackground: token("--line"),
    red: token("--bad"),
    green: token("--good"),
    yellow: token("--warn"),
    blue: token("--accent"),
    magenta: token("--series-3"),
    cyan: token("--series-1"),
  };
}
