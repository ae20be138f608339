import { expect, it } from "vitest";
import { nothingWanted, readOptions } from "../src/state/move-options";

it("asks for nothing where the fields are empty", () => {
  expect(readOptions(nothingWanted(), "live")).toEqual({ ok: true, value: { keep_source: false } });
});

it("leaves rounds and a longest downtime out of a cold move, whatever stands in their fields", () => {
  const wanted = { ...nothingWanted(), rate: "1", downtime: "700", rounds: "nonsense", keep: true };
  expect(readOptions(wanted, "cold")).toEqual({ ok: true, value: { bytes_per_second: 1_000_000, keep_source: true } });
});

it("says which field is wrong, before the control plane has to", () => {
  for (const [parts, field] of [
    [{ rate: "0.01" }, "rate"],
    [{ rate: "fast" }, "rate"],
    [{ downtime: "0" }, "downtime"],
    [{ downtime: "3600001" }, "downtime"],
    [{ downtime: "0.5" }, "downtime"],
    [{ rounds: "9" }, "rounds"],
    [{ rounds: "-1" }, "rounds"],
  ] as const) {
    const read = readOptions({ ...nothingWanted(), ...parts }, "live");
    expect(read, JSON.stringify(parts)).toMatchObject({ ok: false, field });
  }
  expect(readOptions({ ...nothingWanted(), rate: "0.066" }, "live")).toMatchObject({ ok: true });
});
