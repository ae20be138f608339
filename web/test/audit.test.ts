// The audit's pages, filters and words, as the page of the audit log uses them.
import { expect, it } from "vitest";
import { PROCEDURES, type AuditEntry, type AuditQuery } from "../src/api/generated";
import { Newest, PAGE, tenantPage } from "../src/state/audit-pages";
import { authidOf, exportPath, fieldOf, momentOf, queryOf, wantedOf } from "../src/state/audit-query";
import { ACTIONS, actionWords, actorWords, reasonWords, viaWords } from "../src/state/audit-words";

const entry = (id: number) => ({ id: String(id) }) as AuditEntry;

it("asks on where an answer has few entries or none although there are more", async () => {
  const asked: AuditQuery[] = [];
  const answers = [
    { entries: [], next: "900" },
    { entries: [entry(1), entry(2)], next: "800" },
    { entries: [entry(3)], next: null },
  ];
  const page = await tenantPage(async (query) => (asked.push(query), answers[asked.length - 1]!), { actor: "ann" }, "");
  expect(page.entries.map(({ id }) => id)).toEqual(["1", "2", "3"]);
  expect(page.next).toBeNull();
  expect(asked.map(({ after, limit }) => [after, limit])).toEqual([[undefined, PAGE], ["900", PAGE], ["800", PAGE - 2]]);
});

it("does not look for ever for what is rare, and says where it stopped", async () => {
  let looks = 0;
  const page = await tenantPage(async () => ({ entries: [], next: String((looks += 1)) }), {}, "5");
  expect(looks).toBe(10);
  expect(page).toEqual({ entries: [], next: "10" });
});

it("keeps the last lines of a long export, whatever its parts are", () => {
  const newest = new Newest(3);
  for (const part of ["a\nb", "b\ncc\n", "dd\n", "e"]) newest.push(part);
  expect(newest.end()).toEqual({ lines: ["cc", "dd", "e"], dropped: 2 });
});

it("takes from the address only what the API understands", () => {
  const query = new URLSearchParams("from=1000&to=soon&actor=ann&target=web&filter=x&action=");
  const wanted = wantedOf((key) => query.get(key) ?? "");
  expect(wanted).toEqual({ from: "1000", actor: "ann", target: "web" });
  expect(queryOf(wanted)).toEqual({ from: 1000, actor: "ann", target: "web" });
  expect(exportPath("acme", "csv", wanted)).toBe("/api/tenants/acme/audit?format=csv&from=1000&actor=ann&target=web");
  expect(exportPath(null, "ndjson", {})).toBe("/api/audit?format=ndjson");
});

it("writes a moment into a field and reads it back", () => {
  const at = String(new Date(2026, 2, 1, 9, 30).getTime());
  expect(fieldOf(at)).toBe("2026-03-01T09:30");
  expect(momentOf(fieldOf(at))).toBe(at);
  expect([fieldOf(undefined), momentOf(""), momentOf("never")]).toEqual(["", "", ""]);
});

it("knows a person by the name as well as by the authid", () => {
  const names = new Map([["ann-1", "ann@example.test"]]);
  expect(authidOf(" Ann@example.test ", names)).toBe("ann-1");
  expect(authidOf("t-7", names)).toBe("t-7");
});

it("has words for what was done, and tells what it does not know as it is written", () => {
  expect(actionWords(PROCEDURES.ContainerStop)).toBe("Stop a container");
  expect(actionWords("POST /api/login")).toBe("Log in");
  expect(actionWords("POST /api/brand-new")).toBe("POST /api/brand-new");
  expect(new Set(ACTIONS.map(([, words]) => words)).size).toBe(ACTIONS.length);
  expect(reasonWords("403")).toBe("not allowed (403)");
  expect(reasonWords("418")).toBe("status 418");
  expect(reasonWords("x.error.invalid_argument")).toBe("invalid argument");
  const nameOf = (id: string) => (id === "t-7" ? "grafana" : id);
  expect(viaWords({ via: { kind: "token", id: "t-7" } }, nameOf)).toBe("API token grafana");
  expect(actorWords({ actor: { authid: "", kind: "nobody" } }, nameOf)).toBe("somebody unknown");
});
