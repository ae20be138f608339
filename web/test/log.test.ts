// Output of programs: cut, bounded and harmless, whatever it is.
import { expect, it } from "vitest";
import type { LogLine } from "../src/api/generated";
import { pieces, plain } from "../src/state/ansi";
import { BLOCK, Lines, LogBuffer, MAX_BLOCKS, Overlap, readMessage, wishQuery } from "../src/state/log-lines";

const line = (at: number, text = String(at)): LogLine => ({ at, stream: "stdout", text });
const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => line(from + index));

it("cuts lines wherever the pieces end", () => {
  const lines = new Lines();
  expect([lines.push("a\nb"), lines.push("c"), lines.push("\n\nd\n")]).toEqual([["a"], [], ["bc", "", "d"]]);
});

it("passes over a message without an end instead of keeping all of it", () => {
  const lines = new Lines();
  for (let count = 0; count < 40; count += 1) expect(lines.push("x".repeat(100_000))).toEqual([]);
  expect(lines.push("tail\nnext\n")).toEqual(["next"]);
});

it("reads lines and the end, and passes over what it does not know", () => {
  expect(readMessage('{"at":1,"stream":"stderr","text":"a"}')).toEqual({ line: { at: 1, stream: "stderr", text: "a" } });
  const end = { end: "gone", message: "The container was deleted." };
  expect(readMessage(JSON.stringify(end))).toEqual({ end });
  expect(readMessage("")).toBeNull();
  expect(readMessage("no json")).toBeNull();
  expect(readMessage("{}")).toBeNull();
});

it("keeps the last lines only, counts the others, and leaves whole blocks as they were", () => {
  const buffer = new LogBuffer();
  buffer.add(many(0, BLOCK + 1));
  const [first, second] = buffer.blocks;
  buffer.add(many(BLOCK + 1, 5));
  expect(buffer.blocks[0], "not drawn anew").toBe(first);
  expect(buffer.blocks[1]).not.toBe(second);
  expect(buffer.blocks[1]?.lines.length).toBe(6);
  const most = BLOCK * MAX_BLOCKS;
  buffer.add(many(BLOCK + 6, most));
  const kept = buffer.blocks.flatMap(({ lines }) => lines);
  expect(kept.length).toBeLessThanOrEqual(most);
  expect(kept.length + buffer.skipped).toBe(buffer.count);
  expect(kept.at(-1)?.at).toBe(BLOCK + 5 + most);
  buffer.add(many(1_000_000, 3 * most));
  expect(buffer.blocks.length).toBeLessThanOrEqual(MAX_BLOCKS);
  expect(buffer.skipped + buffer.blocks.flatMap(({ lines }) => lines).length).toBe(buffer.count);
});

it("goes on after a broken link without a line twice or lost", () => {
  const overlap = new Overlap();
  expect(overlap.fresh([line(1, "a"), line(2, "b"), line(2, "b")]).length).toBe(3);
  overlap.restart();
  const again = overlap.fresh([line(2, "b"), line(2, "b"), line(2, "c"), line(3, "d")]);
  expect(again.map(({ text }) => text)).toEqual(["c", "d"]);
});

it("makes text of escapes: colours by name, nothing else, no markup", () => {
  expect(pieces("\u001b[1;31merror\u001b[0m <b>x</b>")).toEqual([
    { text: "error", style: "bold red" },
    { text: " <b>x</b>", style: "" },
  ]);
  expect(pieces("\u001b[38;5;196mred\u001b[92mgreen\u001b[39m.")).toEqual([
    { text: "red", style: "" },
    { text: "green", style: "green" },
    { text: ".", style: "" },
  ]);
  expect(plain("a\u001b[2Jb\u001b]0;title\u0007c\u001b]8;;http://x\u001b\\d\re\u202ef\u0000g")).toBe("abcdefg");
  expect(plain("\u001b[31\u001b]52;c;aGk=")).toBe("");
});

it("asks for what was wished only", () => {
  expect(wishQuery({ tail: 0, search: "a b&c", follow: true })).toBe("tail=0&search=a+b%26c&follow=true");
});
