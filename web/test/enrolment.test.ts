import { expect, it } from "vitest";
import { enrolCommands } from "../src/state/enrolment";

// Without `setup` the device's containers could never move live; a place is free text, and goes to a root shell.
it("says all that a new device needs, and quotes what a person typed", () => {
  expect(enrolCommands("https://cloud.example", "join-1.s", "edge 3", " O'Fallon ").split("\n")).toEqual([
    "ecep-agent setup",
    "(umask 077; printf %s 'join-1.s' > join-token)",
    "ecep-agent enroll https://cloud.example --token-file join-token --name 'edge 3' --place 'O'\\''Fallon'",
    "ecep-agent run",
  ]);
  expect(enrolCommands("https://cloud.example", "join-1.s", "edge-3", " ")).not.toContain("--place");
});
