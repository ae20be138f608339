// What the charts and the page of one container ask: a past with a hole in it, figures of each second, a container in full.
// `faults.history` is the error that the past is answered with, `faults.empty` that nothing was kept, `faults.older` that nobody
// tells what goes over networks and disks.
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const MOST = 1_000;

/** Something between 0 and 1 that looks like a machine at work, the same for the same time. */
const wave = (at, salt) => 0.5 + 0.3 * Math.sin(at / (7 * MINUTE) + salt) + 0.2 * Math.sin(at / (23 * SECOND) + 3 * salt) * Math.sin(at / (3 * MINUTE));
const saltOf = (text) => [...text].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 997, 7) * 1.7;
const ratesOf = (at, salt) => ({
  network_received_bytes_per_s: 180_000 * wave(at, salt + 1),
  network_sent_bytes_per_s: 60_000 * wave(at, salt + 2),
  disk_read_bytes_per_s: 12_000 * wave(at, salt + 3),
  disk_written_bytes_per_s: 900_000 * wave(at, salt + 4) ** 3,
});

export default ({ things, faults }) => {
  const rates = (at, salt) => (faults.older ? {} : ratesOf(at, salt));
  const stats = things.stats;
  things.stats = (device) => {
    const event = stats(device);
    const at = Date.now();
    event.host = { ...event.host, cores: 4, cpu_percent: 100 * wave(at, saltOf(device)) ** 2, ...rates(at, saltOf(device)) };
    event.containers = event.containers.map((one) => ({
      ...one, cpu_percent: 60 * wave(at, saltOf(one.id)), memory_bytes: 5e7 * (1 + wave(at, saltOf(one.id))), ...rates(at, saltOf(one.id)),
    }));
    return event;
  };
  const found = (id) => things.containers.find(({ container }) => container.id === id);

  return {
    procedures: {
      StatsHistoryQuery: ({ device, container, from, to, step_ms }) => {
        faults.asked = [...(faults.asked ?? []), { device, container, from, to }];
        if (faults.history) throw new Error(faults.history);
        const unit = to - from <= HOUR + MINUTE ? 10 * SECOND : 5 * MINUTE;
        const step = Math.ceil((step_ms ?? Math.ceil((to - from) / unit / (MOST - 1)) * unit) / unit) * unit;
        const points = [];
        for (let at = Math.floor(from / step) * step; at < to; at += step) {
          // A fifth of the range is missing in the middle, and with it what was not yet reported.
          const share = (at - from) / (to - from);
          const hole = faults.empty || (share > 0.4 && share < 0.6) || at > Date.now() - 2 * step;
          const salt = saltOf(device ?? container);
          const cpu = (container ? 60 : 100) * wave(at, salt) ** (container ? 1 : 2);
          points.push({
            at,
            cpu_percent: hole ? null : { min: cpu * 0.6, avg: cpu, max: cpu * 1.3 },
            memory_bytes: hole ? null : Math.round(container ? 5e7 * (1 + wave(at, salt)) : 1e9 * (1 + wave(at, salt))),
            disk_free_bytes: hole || container ? null : Math.round(1e10 - 1e8 * share),
            ...(hole ? {} : rates(at, salt)),
          });
        }
        return { step_ms: step, points };
      },
      ContainerInspect: ({ container }) => {
        if (faults.inspect) throw new Error(faults.inspect);
        const one = found(container).container;
        return {
          container: one, tenant: "acme", engine_id: "4f2a".repeat(16), command: ["serve", "--port", "8080", "--greeting", "hello world"],
          env_names: ["MODE", "TOKEN"], volumes: [{ volume: "data", target: "/var/lib/data", read_only: false }, { volume: "models", target: "/models", read_only: true }],
          limits: { memory_bytes: 268_435_456, cpus: 0.5 }, restart: "unless-stopped", tty: false, pid: one.state === "running" ? 4_211 : null, restart_count: 2, oom_killed: false,
        };
      },
      CheckpointListing: () => ({ checkpoints: [] }),
      KeptListing: () => ({ kept: [] }),
    },
  };
};
