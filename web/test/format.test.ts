import { describe, expect, it } from "vitest";
import { age, bytes, parseCommand, parseEnvironment, parseNumber, parsePorts, percent } from "../src/state/format";

describe("what a person types", () => {
  it("splits a command as a shell would", () => {
    expect(parseCommand(`sh -c 'echo "a b"'  x\\ y ""`)).toEqual({ ok: true, value: ["sh", "-c", 'echo "a b"', "x y", ""] });
    expect(parseCommand("  ")).toEqual({ ok: true, value: [] });
    expect(parseCommand("echo 'a").ok).toBe(false);
  });

  it("reads variables, with = in the value", () => {
    expect(parseEnvironment("A=1\n\nB=x=y")).toEqual({ ok: true, value: { A: "1", B: "x=y" } });
    expect(parseEnvironment("A=1\nB")).toEqual({ ok: false, error: "Line 2 is not NAME=value." });
  });

  it("reads ports, and refuses what is none", () => {
    expect(parsePorts("8080, 80:8081 53:53/udp")).toEqual({
      ok: true,
      value: [
        { container: 8080, protocol: "tcp" },
        { host: 80, container: 8081, protocol: "tcp" },
        { host: 53, container: 53, protocol: "udp" },
      ],
    });
    for (const bad of ["0", "70000", "80:", "a", "1:2:3"]) expect(parsePorts(bad).ok, bad).toBe(false);
  });

  it("reads numbers, and an empty field as none", () => {
    expect(parseNumber(" ", "CPUs")).toEqual({ ok: true, value: null });
    expect(parseNumber("0.5", "CPUs")).toEqual({ ok: true, value: 0.5 });
    expect(parseNumber("-1", "CPUs")).toEqual({ ok: false, error: "CPUs must be a number above 0." });
  });
});

describe("what a person sees", () => {
  it("shows what is unknown as a dash, not as zero", () => {
    expect([percent(null), percent(0), bytes(null), bytes(0)]).toEqual(["–", "0.0 %", "–", "0 B"]);
  });

  it("uses units of 1024 and words for time", () => {
    expect(bytes(1536 * 1024)).toBe("1.5 MiB");
    expect([age(900), age(61_000), age(3_600_000 * 5), age(86_400_000 * 3)]).toEqual(["1 s", "1 min", "5 h", "3 days"]);
  });
});
