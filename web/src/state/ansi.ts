// What programs write for terminals, made fit for a page: colours become names of styles, every other control is taken
// out. It gives text only, never markup. Pure.

export interface Piece {
  text: string;
  /** Names of styles, separated by spaces; empty for none. */
  style: string;
}

const COLOURS = ["", "red", "green", "yellow", "blue", "magenta", "cyan", ""];

/** CSI sequences, then OSC and other strings up to their end, then two-byte escapes. */
const ESCAPE =
  /\u001b\[([0-?]*)[ -/]*([@-~])?|\u001b[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[ -/]*[0-~]?|\u009b[0-?]*[ -/]*[@-~]/g;
/** Controls other than the tab, and signs that turn the direction of writing. */
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let style = "";
  let at = 0;
  const add = (part: string) => {
    const clean = part.replace(CONTROLS, "");
    if (clean !== "") found.push({ text: clean, style });
  };
  for (const match of text.matchAll(ESCAPE)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] === "m") style = styled(style, match[1] ?? "");
  }
  add(text.slice(at));
  return found;
}

export function plain(text: string): string {
  return text.replace(ESCAPE, "").replace(CONTROLS, "");
}

/** The style after a selection of graphic rendition. */
function styled(before: string, parameters: string): string {
  const set = new Set(before === "" ? [] : before.split(" "));
  const uncoloured = () => COLOURS.forEach((colour) => set.delete(colour));
  const codes = parameters.split(";").map((code) => Number(code) || 0);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] as number;
    if (code === 0) set.clear();
    else if (code === 1) set.add("bold");
    else if (code === 2) set.add("dim");
    else if (code === 22) ["bold", "dim"].forEach((name) => set.delete(name));
    else if (code === 38 || code === 48) at += codes[at + 1] === 5 ? 2 : 4;
    else if (code === 39) uncoloured();
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
      uncoloured();
      const colour = COLOURS[code % 10];
      if (colour) set.add(colour);
    }
  }
  return [...set].join(" ");
}
