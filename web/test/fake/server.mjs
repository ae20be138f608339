// A control plane and a router that only pretend, for looking at the screens in a browser without a fleet: it serves the
// built pages under the real Content-Security-Policy, and answers as the catalogue says. Nothing of it is kept.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { WebSocketServer } from "ws";
import { world } from "./world.mjs";

const web = new URL("../../", import.meta.url).pathname;
const generated = readFileSync(join(web, "src/api/generated.ts"), "utf8");
const named = (what) =>
  Object.fromEntries(
    [...(generated.split(`export const ${what}:`)[1] ?? "").split("};")[0].matchAll(/(\w+): "([^"]+)"/g)].map(([, name, uri]) => [name, uri]),
  );
const PROCEDURES = named("PROCEDURES");
const TOPICS = named("TOPICS");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };
const MAX_UPLOAD = 4 * 1024 ** 3;
const QUOTA = 20 * 1024 ** 3;

/**
 * What each screen wants answered stands in a file of its own in `answers/`. Its default export gets `{ things, tell, operate,
 * faults, role }` and gives `procedures` (by their names in the catalogue), and `http`: `{ "GET /api/path/:id": ({ id }, body, query) =>
 * answer }`. An answer is sent as JSON; `{ status, detail }` thrown is sent as a problem.
 */
const SCREENS = await Promise.all(
  readdirSync(new URL("answers", import.meta.url)).filter((name) => name.endsWith(".mjs")).map((name) => import(`./answers/${name}`)),
);

/**
 * Serves a world of `count` things to a person with this role, who may be an administrator. `limit` is the most bytes of one upload.
 * Where it is `busy`, every device is connected and tells its numbers each second, one after the other; else only the first twenty
 * do, all at once.
 */
export async function serve({ count = 3, role = "owner", admin = false, port = 0, limit = MAX_UPLOAD, busy = false } = {}) {
  const things = world(count);
  if (busy) things.devices.forEach((device) => (device.liveness = "connected"));
  const uploads = new Map();
  const sockets = new Set();
  const faults = { cut: 0 };
  let next = 1;

  const tell = (topic, event) => {
    for (const { socket, subscribed } of sockets) {
      const id = subscribed.get(TOPICS[topic].replace("{device}", ""));
      if (id) socket.send(JSON.stringify([36, id, next++, {}, [], event]));
    }
  };
  const operations = new Map();
  /**
   * An operation that goes through its phases; ordered again, it is not done twice. It stays at the beginning while a test sets
   * `faults.held`. `faults.operating` counts those under way.
   */
  const operate = (device, operation, kind, phases, done = () => null) => {
    const known = operations.get(operation);
    if (known?.error) throw new Error(known.error);
    if (known) return known;
    const reply = { operation, state: "running", container_id: null, container: null };
    operations.set(operation, reply);
    const event = (state, phase, bytes_done = null, bytes_total = null, container_id = null, error = null) =>
      tell("OperationEvents", { device, operation, kind, state, phase, bytes_done, bytes_total, container_id, error, at: Date.now() });
    let step = 0;
    faults.operating = (faults.operating ?? 0) + 1;
    const timer = setInterval(() => {
      const phase = phases[Math.floor(step / 4)];
      if (phase === undefined) {
        clearInterval(timer);
        faults.operating -= 1;
        const ended = done();
        reply.state = "done";
        reply.error = ended?.error;
        if (ended?.error) event("failed", "failed", null, null, null, { uri: "ecep.error.engine", message: ended.error, details: {} });
        else event("done", "done", null, null, ended?.container ?? null);
      } else {
        event("running", phase, ((step % 4) + 1) * 25_000_000, 100_000_000);
        if (!faults.held) step += 1;
      }
    }, 60);
    return reply;
  };

  const answers = {
    DeviceList: () => ({ devices: things.devices, now: Date.now() + (faults.ahead ?? 0) }),
    FleetContainerList: () => ({ containers: things.containers.map(({ device, container }) => ({ device, liveness: "connected", container })) }),
    MigrationHistory: () => ({ migrations: [] }),
    ApplicationListing: () => ({ applications: things.applications }),
    ArtifactListing: () => ({
      artifacts: things.artifacts,
      used_bytes: things.artifacts.reduce((sum, { bytes }) => sum + bytes, 0),
      quota_bytes: QUOTA,
      max_upload_bytes: limit,
    }),
    RunListing: ({ before }) => ({ runs: things.runs.filter(({ ended_at }) => !before || ended_at < before).slice(0, 100) }),
    ArtifactDelete: ({ digest }) => {
      things.artifacts = things.artifacts.filter((one) => one.digest !== digest);
      return {};
    },
    VersionAdd: ({ application, source, settings, note = null }) => {
      let found = things.applications.find(({ name }) => name === application);
      if (!found) things.applications.push((found = { name: application, versions: [], created_at: Date.now() }));
      const artifact = things.artifacts.find(({ digest }) => digest === source.artifact);
      const version = {
        number: (found.versions[0]?.number ?? 0) + 1,
        source,
        settings: { ...settings, env: Object.fromEntries(Object.keys(settings.env).map((name) => [name, ""])) },
        note,
        bytes: artifact?.bytes ?? null,
        architectures: artifact?.architectures ?? [],
        added_at: Date.now(),
      };
      found.versions.unshift(version);
      artifact?.applications.push(application);
      return version;
    },
    VersionDelete: ({ application, version }) => {
      const found = things.applications.find(({ name }) => name === application);
      found.versions = found.versions.filter(({ number }) => number !== version);
      return {};
    },
    ApplicationDelete: ({ application }) => {
      things.applications = things.applications.filter(({ name }) => name !== application);
      return {};
    },
    ApplicationPlace: ({ target }) => ({ candidates: things.candidates(target) }),
    ApplicationDeploy: ({ application, version, target, name, operation }) => {
      const candidates = things.candidates(target);
      const devices = candidates
        .filter(({ chosen }) => chosen)
        .map(({ device }, index, all) => {
          const id = all.length === 1 ? operation : `${operation}-${index + 1}`;
          if (index === 2) return { device, operation: id, error: "Its disk has 12.0 MiB left; it needs 80.0 MiB. Delete images that nothing needs.", container_id: null };
          operate(device, id, "app.deploy", ["fetching", "building", "creating", "starting"], () => {
            if (index === 1) return { error: "The build ended with exit code 1: pip: no matching distribution." };
            const container = things.container(device, name ?? application, application, version);
            tell("ContainerEvents", { device, change: "created", container, at: Date.now() });
            return { container: container.id };
          });
          return { device, operation: id, error: null, container_id: null };
        });
      return { version, devices, candidates };
    },
    ContainerUpdate: ({ container, version, operation }) => {
      const found = things.containers.find((one) => one.container.id === container);
      return operate(found.device, operation, "app.update", ["pulling", "creating", "starting", "checking"], () => {
        const refused = faults.update?.();
        if (refused) return { error: refused };
        found.container = { ...found.container, version };
        tell("ContainerEvents", { device: found.device, change: "started", container: found.container, at: Date.now() });
        return { container };
      });
    },
    GeoSearch: ({ text }) => ({
      places: [
        { name: "San Jose", country: "US", region: "CA", lat: 37.339, lon: -121.895, population: 1_026_908 },
        { name: "San José", country: "CR", region: null, lat: 9.933, lon: -84.083, population: 335_007 },
      ].filter(({ name }) => name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().startsWith(text.toLowerCase())),
    }),
    FileListing: ({ path }) => things.folder(path),
    FileFetch: ({ operation, container }, device) => operate(device, operation, "file.fetch", ["copying", "sending"], () => things.stored(operation, device, container)),
    LogFetch: ({ operation, container }, device) => operate(device, operation, "container.logs.fetch", ["copying", "sending"], () => things.stored(operation, device, container)),
    TerminalOpen: () => ({ terminal: "t1", waits_seconds: 30 }),
  };
  const endpoints = [];
  for (const { default: screen } of SCREENS) {
    const { procedures = {}, http = {} } = screen({ things, tell, operate, faults, role });
    Object.assign(answers, procedures);
    for (const [key, answer] of Object.entries(http)) {
      const [method, path] = key.split(" ");
      endpoints.push({ method, path: new RegExp(`^${path.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`), answer });
    }
  }
  /** Answers a request that a screen's file knows. */
  async function screenAnswers(request, response, { method, path, answer }, pathname, query) {
    let text = "";
    for await (const part of request) text += part;
    try {
      const body = await answer(pathname.match(path).groups ?? {}, text === "" ? undefined : JSON.parse(text), query);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body ?? {}));
    } catch ({ status = 500, detail, message }) {
      response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ status, detail: detail ?? message }));
    }
  }

  function wamp(socket) {
    const one = { socket, subscribed: new Map() };
    sockets.add(one);
    socket.on("close", () => sockets.delete(one));
    const send = (...message) => socket.send(JSON.stringify(message));
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message[0] === 1) send(4, "ticket", {});
      else if (message[0] === 5) send(2, 1, { roles: { broker: { features: { pattern_based_subscription: true } }, dealer: { features: {} } } });
      else if (message[0] === 32) {
        one.subscribed.set(message[3], message[1]);
        send(33, message[1], message[1]);
      } else if (message[0] === 48) {
        const [, request, , uri, , kwargs = {}] = message;
        for (const [name, template] of Object.entries(PROCEDURES)) {
          const [before, after] = template.split("{device}");
          const device = after === undefined ? "" : uri.slice(before.length, -after.length);
          if (uri !== template && !(after && uri.startsWith(before) && uri.endsWith(after) && !device.includes("."))) continue;
          const answer = answers[name];
          try {
            if (answer) return send(50, request, {}, [answer(kwargs, device)]);
          } catch (error) {
            return send(8, 48, request, {}, "ecep.error.engine", [error.message], {});
          }
        }
        send(8, 48, request, {}, "wamp.error.no_such_procedure", [], {});
      }
    });
    const speaks = busy ? things.devices.map((device) => [device]) : [things.devices.slice(0, 20)];
    const timers = speaks.map((devices, index) => {
      const speak = () => devices.forEach((device) => tell("DeviceStats", things.stats(device.id)));
      if (!busy) return setInterval(speak, 1_000);
      return setTimeout(() => {
        speak();
        timers[index] = setInterval(speak, 1_000);
      }, (1_000 * index) / speaks.length);
    });
    socket.on("close", () => timers.forEach((timer) => clearTimeout(timer)));
  }

  function terminal(socket) {
    let line = "";
    socket.send(Buffer.from("\u001b[1;32mroot@web\u001b[0m:\u001b[38;2;90;140;255m/app\u001b[0m# "));
    socket.on("message", (data, isBinary) => {
      if (!isBinary) return;
      for (const character of data.toString()) {
        if (character !== "\r") {
          line += character;
          socket.send(Buffer.from(character));
        } else if (line === "exit 3") {
          socket.send(JSON.stringify({ exit_code: 3, reason: null }));
          socket.close();
        } else {
          socket.send(Buffer.from(`\r\nyou said \u001b[31m${line}\u001b[0m\r\n# `));
          line = "";
        }
      }
    });
  }

  async function tus(request, response, path) {
    const problem = (status, detail) => {
      response.writeHead(status, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ status, type: "ecep.error.limit", detail }));
    };
    const id = path.split("/").pop();
    const upload = uploads.get(id);
    const base = { "tus-resumable": "1.0.0" };
    if (request.method === "POST") {
      if (!request.headers["x-ecep-csrf"]) return problem(403, "No header.");
      const length = Number(request.headers["upload-length"]);
      if (length > limit) return problem(413, `It has ${length} bytes; at most ${limit} are taken.`);
      const metadata = Object.fromEntries(request.headers["upload-metadata"].split(",").map((pair) => pair.split(" ")).map(([key, value]) => [key, Buffer.from(value ?? "", "base64").toString()]));
      const fresh = `u${next++}`;
      uploads.set(fresh, { length, metadata, parts: [], offset: 0 });
      response.writeHead(201, { ...base, location: `${path}/${fresh}` });
      return response.end();
    }
    if (!upload) return problem(404, "There is no such upload.");
    if (request.method === "DELETE") {
      uploads.delete(id);
      response.writeHead(204, base);
      return response.end();
    }
    // Whoever comes later has the upload: what is still on its way from before is not taken any more.
    upload.owner = request;
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "application/json" });
      return response.end(JSON.stringify({ id, error: upload.error ?? null }));
    }
    if (request.method === "HEAD") {
      if (upload.error) return response.writeHead(410, base).end();
      response.writeHead(200, { ...base, "upload-offset": upload.offset, "upload-length": upload.length });
      return response.end();
    }
    if (Number(request.headers["upload-offset"]) !== upload.offset) return problem(409, "Another offset.");
    for await (const chunk of request) {
      if (upload.owner !== request) return request.socket.destroy();
      upload.parts.push(chunk);
      upload.offset += chunk.length;
      if (faults.cut > 0 && upload.offset > faults.cut) {
        faults.cut = 0;
        return request.socket.destroy();
      }
      // A test that wants to see it under way holds it once so many bytes have come.
      while (upload.offset > faults.heldAt && upload.owner === request && !request.destroyed) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (upload.offset === upload.length) {
      const bytes = Buffer.concat(upload.parts);
      const digest = createHash("sha256").update(bytes).digest("hex");
      if (digest !== upload.metadata.sha256) return problem(422, "Its content is not what was announced.");
      if (upload.metadata.filename.startsWith("hostile")) {
        upload.error = "The entry ../../etc/passwd leads out of the archive. Pack it without such paths.";
        return faults.lose ? request.socket.destroy() : problem(422, upload.error);
      }
      things.artifacts.unshift({ digest, name: upload.metadata.filename, kind: faults.kind ?? "files", bytes: bytes.length, unpacked_bytes: bytes.length * 3, architectures: [], uploaded_at: Date.now(), applications: [] });
      uploads.last = bytes;
      response.setHeader("ecep-artifact", digest);
    }
    response.writeHead(204, { ...base, "upload-offset": upload.offset });
    return response.end();
  }

  function log(request, response, query) {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const wanted = query.get("search")?.toLowerCase() ?? "";
    let number = 0;
    const line = () => {
      number += 1;
      const text = number % 50 === 0 ? "x".repeat(9_000) : `\u001b[3${number % 8}mrequest ${number}\u001b[0m GET /<b>items</b>?page=${number} answered 200 in ${(number * 7) % 90} ms`;
      const stream = number % 17 === 0 ? "stderr" : "stdout";
      if (text.toLowerCase().includes(wanted) && (query.get("stream") ?? stream) === stream) {
        response.write(`${JSON.stringify({ at: Date.now(), stream, text })}\n`);
      }
    };
    for (let count = 0; count < Number(query.get("tail") ?? 200); count += 1) line();
    if (query.get("follow") !== "true") return response.end(`${JSON.stringify({ end: "complete", message: "That is all." })}\n`);
    const timer = setInterval(() => {
      for (let count = 0; count < (faults.flood ?? 1); count += 1) line();
    }, 100);
    faults.follows = (faults.follows ?? 0) + 1;
    request.on("close", () => {
      faults.follows -= 1;
      clearInterval(timer);
    });
  }

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://fake");
    const origin = `ws://127.0.0.1:${server.address().port}`;
    response.setHeader(
      "content-security-policy",
      `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self' ${origin}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
    );
    response.setHeader("x-content-type-options", "nosniff");
    const json = (body) => response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    const known = endpoints.find(({ method, path }) => method === request.method && path.test(pathname));
    if (known) return void screenAnswers(request, response, known, pathname, searchParams);
    if (pathname.includes("/uploads")) return void tus(request, response, pathname).catch(() => response.destroy()); // The browser hung up.
    if (pathname.endsWith("/log")) return log(request, response, searchParams);
    if (pathname.endsWith("/content")) return response.writeHead(200, { "content-disposition": "attachment; filename=fetched.txt" }).end("content\n");
    if (pathname.endsWith("/files")) return json({ items: things.files, next: null, used_bytes: things.files.length * 12_345_678, quota_bytes: QUOTA });
    if (pathname === "/api/setup") return json({ needed: false });
    if (pathname === "/api/session" || pathname === "/api/login") {
      return json({ email: "ann@example.test", admin, memberships: [{ tenant: "acme", tenant_name: "Acme Ltd", role }], expires_at: Date.now() + 3_600_000 });
    }
    if (pathname === "/api/wamp-ticket") return json({ wamp_url: `${origin}/ws`, realm: "r", authid: "ann", ticket: "t" });
    if (pathname.startsWith("/api/")) return response.writeHead(404).end();
    const file = join(web, "dist", normalize(pathname === "/" ? "/index.html" : pathname));
    try {
      response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" }).end(readFileSync(file));
    } catch {
      response.writeHead(404).end();
    }
  });
  const upgraded = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
  server.on("upgrade", (request, socket, head) =>
    upgraded.handleUpgrade(request, socket, head, (ready) => (request.url === "/ws" ? wamp(ready) : terminal(ready))),
  );
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    uploads,
    things,
    dropConnections: () => sockets.forEach(({ socket }) => socket.terminate()),
    close: () => {
      sockets.forEach(({ socket }) => socket.terminate());
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const { url } = await serve({ count: Number(process.env.FAKE_COUNT ?? 3), role: process.env.FAKE_ROLE ?? "owner", port: 8_099 });
  console.log(url);
}
