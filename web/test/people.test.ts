// What is decided about people: nothing here is asked of a server.
import { expect, it } from "vitest";
import { browserName, found, invitationSecret, passwordProblem, slugOf } from "../src/state/people";

it("tells what is wrong with a new password, counting characters and not bytes", () => {
  expect(passwordProblem("elevenchars", "elevenchars", "a@x.test")).toContain("11 characters");
  expect(passwordProblem("🔑🔑🔑🔑🔑🔑", "🔑🔑🔑🔑🔑🔑", "a@x.test")).toContain("6 characters");
  expect(passwordProblem("Maria@Example.org", "Maria@Example.org", "maria@example.org")).toContain("e-mail address");
  expect(passwordProblem("a lamp on the hill", "a lamp on the hil", "a@x.test")).toContain("not the same");
  expect(passwordProblem("a lamp on the hill", "a lamp on the hill", "a@x.test")).toBe("");
});

it("finds an invitation's secret in the address, and nothing else", () => {
  expect(invitationSecret("#/invitation/inv-1.s3cret_-")).toBe("inv-1.s3cret_-");
  for (const other of ["", "#/invitation", "#/invitation/", "#/members", "#/invitation/a/b", "#/containers?x=#/invitation/a"]) {
    expect(invitationSecret(other)).toBeNull();
  }
});

it("names browsers that pretend to be another by their own name", () => {
  const chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
  expect(browserName(chrome)).toBe("Chrome on Windows");
  expect(browserName(`${chrome} Edg/141.0.0.0`)).toBe("Edge on Windows");
  expect(browserName("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36")).toBe("Chrome on Android");
  expect(browserName("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604.1")).toBe("Safari on iOS");
  expect(browserName("curl/8.5.0")).toBe("curl");
  expect(browserName("")).toBe("not known");
  expect(browserName("x".repeat(200)).length).toBe(41);
});

it("proposes a short name that the control plane takes", () => {
  expect(slugOf("Électricité de l'Ouest & Söhne")).toBe("electricite-de-l-ouest-sohne");
  expect(slugOf("  --  ")).toBe("");
  expect(slugOf(`${"a".repeat(39)} b`)).toBe("a".repeat(39));
});

it("filters by any of the texts, whatever the case", () => {
  expect(found(" ANN ", ["ann@x.test", null])).toBe(true);
  expect(found("", [])).toBe(false);
  expect(found("", ["x"])).toBe(true);
  expect(found("bob", ["ann", undefined])).toBe(false);
});
