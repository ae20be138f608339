// Alerts as the control plane would list them. There is none until a test puts some into `things.alerts`, the newest first.
const MINUTE = 60_000;
const KINDS = ["device_offline", "disk_low", "overload", "migration_failed", "restart_loop"];
const TEXTS = {
  device_offline: (name) => `Device ${name} is offline. It has not reported for 2 minutes.`,
  disk_low: (name) => `Device ${name} has less than 1 GiB of disk left for containers. Delete images and containers that nobody needs.`,
  overload: (name) => `Device ${name} has used more than 90 % of its CPU for 5 minutes. Move a container to another device, or limit one.`,
  migration_failed: (name) => `Container ${name} could not be moved. The list of moves says why; move it again.`,
  restart_loop: (name) => `Container ${name} was started 5 times again within 10 minutes. Its output says why it ends.`,
};

/** So many alerts, of which the last `over` are over. */
export function alertsOf(count, over = 0) {
  const now = Date.now();
  return Array.from({ length: count }, (_, index) => {
    const kind = KINDS[index % KINDS.length];
    const ofContainer = kind === "migration_failed" || kind === "restart_loop";
    const raised_at = now - (index + 1) * 7 * MINUTE;
    const seen = index % 3 === 1;
    return {
      id: `${String(raised_at).padStart(13, "0")}-a${index}`,
      kind,
      device: `d${index % 3}`,
      container: ofContainer ? `c${index % 3}` : null,
      text: TEXTS[kind](ofContainer ? "camera" : `edge-${index % 3}`),
      raised_at,
      cleared_at: index >= count - over ? raised_at + 5 * MINUTE : null,
      acknowledged_at: seen ? raised_at + MINUTE : null,
      acknowledged_by: seen ? "bob-7" : null,
    };
  });
}

export default ({ things, tell, faults }) => {
  things.alerts = [];
  faults.tell = tell;
  return {
    procedures: {
      AlertListing: ({ which = "active", limit = 100, after }) => {
        faults.alertsListed = (faults.alertsListed ?? 0) + 1;
        const wanted = things.alerts.filter(({ id, cleared_at }) => (which === "all" || cleared_at === null) && (!after || id < after));
        return { alerts: wanted.slice(0, limit), next: wanted.length > limit ? wanted[limit - 1].id : null };
      },
      AlertAcknowledge: ({ alert }) => {
        const index = things.alerts.findIndex(({ id }) => id === alert);
        if (index < 0) throw new Error("There is no such alert. List the alerts for their ids.");
        return (things.alerts[index] = { ...things.alerts[index], acknowledged_at: Date.now(), acknowledged_by: "ann-1" });
      },
    },
  };
};
