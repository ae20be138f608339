import { expect, it } from "vitest";
import { allowanceWords, draftOfTerms, quotaWords, readTerms } from "../src/state/sharing";

it("reads terms from what was typed, and writes them back the same", () => {
  const terms = readTerms({ cpus: "1.5", memory: "256", disk: "", containers: "3", allow: ["terminal", "publish_ports"] });
  expect(terms).toEqual({ ok: true, value: { quota: { cpus: 1.5, memory_bytes: 268_435_456, containers: 3 }, allow: ["publish_ports", "terminal"] } });
  if (terms.ok) expect(readTerms(draftOfTerms(terms.value))).toEqual(terms);
  expect(draftOfTerms({ quota: { cpus: null, memory_bytes: null, disk_bytes: null, containers: null }, allow: [] })).toEqual(draftOfTerms(null));
  expect(readTerms({ ...draftOfTerms(null), containers: "1.5" }).ok).toBe(false);
  expect(readTerms({ ...draftOfTerms(null), cpus: "many" }).ok).toBe(false);
});

// No bound must not read like a bound of nothing.
it("says terms in words", () => {
  expect(quotaWords({})).toBe("as much as the device has");
  expect(quotaWords({ cpus: null, memory_bytes: null, disk_bytes: null, containers: null })).toBe("as much as the device has");
  expect(quotaWords({ cpus: 1, memory_bytes: 268_435_456 })).toBe("at most 1 core, 256.0 MiB of memory");
  expect(allowanceWords([])).toBe("may only run containers");
  expect(allowanceWords(["terminal", "publish_ports"])).toBe("may publish ports of the device; open terminals in its containers");
});
