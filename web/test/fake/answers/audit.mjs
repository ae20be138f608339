// The audit as the control plane would list it: as many entries as a test puts into `things.audit`, the newest first.
import { readFileSync } from "node:fs";

const generated = readFileSync(new URL("../../../src/api/generated.ts", import.meta.url), "utf8");
const uriOf = (name) => new RegExp(`${name}: "([^"]+)"`).exec(generated)[1];
const error = (kind) => `${uriOf("ContainerStop").split(".")[0]}.error.${kind}`;

/** So many entries of all sorts. */
export function auditOf(count, tenant = "acme") {
  const now = Date.now();
  const sorts = [
    { action: uriOf("ContainerStop"), target: "c0", outcome: "done", device: "d0", detail: { container: "c0", grace_seconds: "10" } },
    { action: "POST /api/login", target: "", outcome: "refused", error: "401", actor: { authid: "", kind: "nobody" }, via: null, count: 12 },
    { action: uriOf("ContainerMigrate"), target: "c1", outcome: "running", detail: { container: "c1", destination: "d1" } },
    { action: "POST /api/tenants/{slug}/api-tokens", target: "t-7", outcome: "done", detail: { name: "grafana", role: "telemetry" } },
    { action: uriOf("ApplicationDeploy"), target: "web", outcome: "failed", error: error("unavailable"), actor: { authid: "t-7", kind: "token" }, via: { kind: "token", id: "t-7" } },
    { action: uriOf("TerminalOpen"), target: "c0", outcome: "refused", error: error("forbidden"), device: "d0", late: true, device_at: now - 90_000_000 },
  ];
  return Array.from({ length: count }, (_, index) => {
    const { actor, via, ...more } = sorts[index % sorts.length];
    const number = String(count - index).padStart(6, "0");
    return {
      id: `${now}-${number}`,
      at: now - index * 97_000,
      tenant,
      actor: actor ?? { authid: "ann-1", kind: "person" },
      via: via === undefined ? { kind: "login", id: "9f8e7d6c" } : via,
      address: index % 4 === 3 ? null : "192.0.2.17",
      device: null,
      error: null,
      detail: {},
      count: 1,
      device_at: null,
      late: false,
      hash: number.padStart(64, "ab"),
      ...more,
    };
  });
}

export default ({ things, faults }) => {
  things.audit = auditOf(6);
  return {
    procedures: {
      AuditList: ({ from = 0, to = Infinity, actor, action, target, limit = 100, after }) => {
        (faults.auditAsked ??= []).push({ from, to, actor, action, target, after });
        if (faults.audit) throw new Error(faults.audit);
        const wanted = things.audit.filter(
          (one) =>
            one.at >= from && one.at < to && (!after || one.id < after) &&
            (!actor || one.actor.authid === actor) && (!action || one.action === action) && (!target || one.target === target),
        );
        return { entries: wanted.slice(0, limit), next: wanted.length > limit ? wanted[limit - 1].id : null };
      },
    },
    http: {
      "GET /api/tenants/:slug/audit": () => things.audit,
    },
  };
};
