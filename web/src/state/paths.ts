// Paths inside a container. Pure.

/** The path without what says nothing: always absolute, without `.`, `..` and doubled slashes. */
export function cleanPath(text: string): string {
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

export function inside(folder: string, name: string): string {
  return folder === "/" ? `/${name}` : `${folder}/${name}`;
}

/** The folders on the way to a path, from the root. */
export function crumbs(path: string): { name: string; path: string }[] {
  const parts = cleanPath(path).split("/").filter((part) => part !== "");
  return [{ name: "/", path: "/" }, ...parts.map((name, at) => ({ name, path: `/${parts.slice(0, at + 1).join("/")}` }))];
}

/** Permission bits as `rwxr-xr-x`. */
export function modeWords(mode: number): string {
  return [6, 3, 0].map((shift) => ["r", "w", "x"].map((letter, at) => (mode & (1 << (shift + 2 - at)) ? letter : "-")).join("")).join("");
}
