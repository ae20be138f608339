// What the pretended fleet has: as many things as wanted.
const HOUR = 3_600_000;
const digestOf = (number) => `a1b2c3d4e5f6${number.toString(16).padStart(52, "0")}`;
const no = { privileged: false, cap_add: [], devices: [], binds: [], security_opt: [] };
const settings = (more = {}) => ({ env: {}, ports: [], volumes: [], limits: {}, restart: "unless-stopped", tty: false, privileges: no, run_once: false, ...more });
const kinds = ["image", "image_archive", "source_bundle", "files"];

export function world(count) {
  const now = Date.now();
  const names = ["camera", "web", "metrics", "a-service-with-a-rather-long-name-that-somebody-thought-of"];
  const nameOf = (index) => (index < names.length ? names[index] : `service-${index}`);
  const livenesses = ["connected", "connected", "degraded", "offline"];
  const live = [
    { live: true, reason: null, cgroup_version: 2 },
    { live: false, reason: "criu is not installed, or not found on the agent's PATH; install it, from version 3.17 on", cgroup_version: 2 },
    undefined,
  ];
  const factsOf = (index) => ({
    agent_version: "0.1.0", architecture: index % 4 === 2 ? "aarch64" : "x86_64", kernel: "6.1.0-18", cores: 4, memory_total_bytes: 4_294_967_296,
    engine: { kind: "docker", reachable: index % 4 !== 2, version: "26.1.4", api_version: "1.45", live_restore: index % 4 !== 2, problems: index % 4 === 2 ? ["the engine does not answer; look at its service"] : [] },
    hostname: `edge-${index}`, addresses: [`192.0.2.${(index % 250) + 1}`, "2001:db8::17"], channel_port: 7443, ...(live[index % 3] ? { migration: live[index % 3] } : {}),
  });
  const points = [{ lat: 37.339, lon: -121.895 }, { lat: 52.52, lon: 13.405 }];
  const devices = Array.from({ length: Math.min(count, 300) }, (_, index) => ({
    id: `d${index}`,
    name: `edge-${index}`,
    place: ["San Jose", "Berlin", null][index % 3],
    owner: "acme",
    liveness: index < 2 ? "connected" : livenesses[index % 4],
    reasons: index < 2 ? [] : [[], [], ["The engine does not answer. Look at its service on the device."], ["Its last report is older than a minute."]][index % 4],
    last_seen_at: now - 60_000,
    enrolled_at: now - 90 * HOUR,
    facts: factsOf(index),
    clock_ahead_ms: index % 4 === 2 ? -95_000 : 40,
    ...(points[index % 3] ? { location: points[index % 3] } : {}),
  }));
  const containerOf = (id, name, application, version) => ({
    id, name, application, version, image: `ecep-app/acme/${application}:${version}-a1b2c3d4e5f6`, state: "running", exit_code: null,
    created_at: now - HOUR, started_at: now - HOUR, ports: [{ container: 8080, host: 32_768, protocol: "tcp" }], address: "10.77.0.5", run_once: false,
  });
  const source = (index) => {
    const kind = kinds[index % 4];
    const artifact = digestOf(index);
    if (kind === "image") return { kind, image: "registry.example/team/web:1.27" };
    if (kind === "files") return { kind, artifact, base: "python:3.13-slim", directory: null, install: "pip install -r requirements.txt" };
    return kind === "image_archive" ? { kind, artifact } : { kind, artifact, dockerfile: null };
  };
  const applications = Array.from({ length: count }, (_, index) => ({
    name: nameOf(index),
    created_at: now - 90 * HOUR,
    versions: Array.from({ length: index === 1 ? Math.max(count, 3) : (index % 3) + 1 }, (_, age, all = index === 1 ? Math.max(count, 3) : (index % 3) + 1) => ({
      number: all - age,
      source: source(index),
      settings: settings(index === 1 ? { command: ["serve", "--port", "8080"], env: { TOKEN: "", MODE: "" }, ports: [{ container: 8080, protocol: "tcp" }], volumes: [{ volume: "data", target: "/var/lib/data", read_only: false }], limits: { memory_bytes: 268_435_456, cpus: 0.5 } } : {}),
      note: age === 0 ? "reads the second camera" : null,
      bytes: index % 4 === 0 ? null : 42_000_000 + index,
      architectures: index % 4 === 1 ? ["amd64", "arm64"] : [],
      added_at: now - age * 24 * HOUR - HOUR,
    })),
  }));
  const containers = Array.from({ length: count }, (_, index) => ({
    device: `d${index % Math.max(1, devices.length)}`,
    container: containerOf(`c${index}`, nameOf(index), nameOf(index), applications[index].versions[0].number),
  }));
  const artifacts = Array.from({ length: count }, (_, index) => index)
    .filter((index) => index % 4 !== 0)
    .map((index) => ({
      digest: digestOf(index), name: `${nameOf(index)}.tar.gz`, kind: kinds[index % 4], bytes: 42_000_000 + index, unpacked_bytes: 120_000_000,
      architectures: index % 4 === 1 ? ["amd64"] : [], uploaded_at: now - index * HOUR, applications: index % 5 === 1 ? [] : [nameOf(index)],
    }));
  const runs = Array.from({ length: count }, (_, index) => ({
    device: `d${index % Math.max(1, devices.length)}`,
    container: { ...containerOf(`r${index}`, `report-${index}`, "report", 2), state: "exited", exit_code: index % 3, run_once: true },
    oom_killed: index % 7 === 2,
    log: `r${index}-log`,
    results: index % 3 === 1 ? null : `r${index}-results`,
    lost: index % 3 === 1 ? "its results had 9.1 GiB; 8 GiB can be stored" : null,
    ended_at: now - index * HOUR,
  }));
  const files = Array.from({ length: count }, (_, index) => ({
    file: `f${index}`, kind: ["file", "folder", "log", "results"][index % 4], name: `camera-${index}.log`, device: "d0", container: "c0", application: "camera",
    bytes: 12_345_678, stored_at: now - HOUR, deleted_at: index % 4 === 3 ? null : now + 23 * HOUR,
  }));
  return {
    devices, containers, applications, artifacts, runs, files,
    container(device, name, application, version) {
      const container = containerOf(`n${containers.length}`, name, application, version);
      containers.push({ device, container });
      return container;
    },
    candidates(target) {
      const most = target.to === "devices" ? target.devices.length : (target.count ?? 1);
      let chosen = 0;
      return devices
        .map(({ id, liveness, name }, index) => {
          const reachable = liveness === "connected" || liveness === "degraded";
          const fits = reachable && index % 5 !== 4 && (target.to !== "devices" || target.devices.includes(id));
          const take = fits && chosen < most;
          if (take) chosen += 1;
          const distance = target.to === "place" ? 12 + index * 37.4 : null;
          const reason = take
            ? distance === null ? "has 1.8 GiB of memory and 12 GiB of disk free" : `${Math.round(distance)} km away, the nearest with room`
            : !reachable ? `${name} is ${liveness}` : index % 5 === 4 ? "is arm64, the image is for amd64" : "was not asked for, or others are nearer";
          return { device: id, chosen: take, reasons: [reason], distance_km: distance };
        })
        .sort((a, b) => Number(b.chosen) - Number(a.chosen));
    },
    folder(path) {
      if (path === "/secret") throw new Error("The folder /secret cannot be read: permission denied.");
      if (path === "/empty") return { entries: [], truncated: false };
      const entry = (name, kind, more = {}) => ({ name, kind, bytes: 0, modified_at: now - HOUR, mode: 0o755, link: null, ...more });
      const many = Array.from({ length: count > 100 ? 990 : 3 }, (_, index) => entry(`reading-${index}.json`, "file", { bytes: 1_024 * index, mode: 0o644 }));
      return {
        entries: [entry("app", "directory"), entry("empty", "directory"), entry("secret", "directory"), entry("bin", "symlink", { link: "usr/bin" }), ...many, entry("tty", "other")],
        truncated: count > 100,
      };
    },
    stored(operation, device, container) {
      files.unshift({ ...(files[0] ?? {}), file: operation, kind: "file", name: "fetched.txt", device, container, application: "camera", bytes: 8, stored_at: Date.now(), deleted_at: Date.now() + 24 * HOUR });
      return {};
    },
    stats: (device) => ({
      device, at: Date.now(), host: { cpu_percent: 20 + Math.random() * 30, memory_used_bytes: 1e9, memory_total_bytes: 4e9, disk_free_bytes: 1e10 },
      containers: containers.filter((one) => one.device === device).map(({ container }) => ({ id: container.id, cpu_percent: Math.random() * 40, memory_bytes: 5e7 })),
    }),
  };
}
