// The live connection: keeps a WAMP session to the tenant's realm, folds what arrives into the fleet, and
// repairs everything by listing anew after each join. Views read `live.fleet` after touching `live.version`.
import type { NoticeLevel, Procedures, TicketReply } from "../api/generated";
import { http, HttpError } from "../api/http";
import { backoff } from "../wamp/backoff";
import { CallError, join, type Session } from "../wamp/session";
import { account } from "./account.svelte";
import {
  containerChanged,
  containersListed,
  deviceChanged,
  devicesListed,
  emptyFleet,
  type Fleet,
  operationChanged,
  statsArrived,
} from "./fleet";
import { movesListed, moveTold, underWay } from "./moves";
import { notices } from "./notices.svelte";

/** Changes are drawn at most this often, in milliseconds: a fleet sends more than an eye can follow. */
const DRAW_EVERY = 200;
/** A missed event is made good, and a link that went silent is found, after about this long. */
const RELIST_EVERY = 10_000;

class Live {
  /** Counts what is to be drawn. */
  version = $state(0);
  now = $state(Date.now());
  connected = $state(false);
  /** Since when the connection is broken; `null` while it stands or was never made. */
  brokenSince = $state<number | null>(null);
  /** Since when the control plane does not list the fleet although the router answers; `null` while it does. */
  unlistedSince = $state<number | null>(null);
  /** The lists have arrived at least once. */
  loaded = $state(false);
  fleet: Fleet = emptyFleet();

  #session: Session | null = null;
  #end: () => void = () => undefined;
  /** Operations ordered here that take longer, and the sentence for when they are done. */
  #awaited = new Map<string, string>();
  #attempt = 0;
  #run = 0;
  #wake: (() => void) | null = null;
  #drawing = false;
  #timers: ReturnType<typeof setInterval>[] = [];

  /** Connects to a tenant, and stays connected until `stop`. */
  start(tenant: string) {
    this.stop();
    this.fleet = emptyFleet();
    this.loaded = false;
    this.version += 1;
    this.#timers = [
      setInterval(() => {
        this.now = Date.now();
      }, 1_000),
      setInterval(() => {
        if (this.connected) void this.#check();
      }, RELIST_EVERY),
    ];
    void this.#keep(tenant, this.#run);
  }

  stop() {
    this.#run += 1;
    this.#timers.forEach(clearInterval);
    this.#session?.close();
    this.#session = null;
    this.connected = false;
    this.brokenSince = this.unlistedSince = null;
    this.#attempt = 0;
    this.#awaited.clear();
    this.#wake?.();
  }

  /** Tries again now instead of later. */
  retry() {
    this.#attempt = 0;
    this.#wake?.();
  }

  async call<P extends keyof Procedures>(
    procedure: P,
    device: string | null,
    request: Procedures[P]["request"],
  ): Promise<Procedures[P]["reply"]> {
    if (!this.#session) throw new CallError("", "Not connected to the router now; it is tried again by itself.");
    return this.#session.call(procedure, device, request);
  }

  /** Tells with a notice how an operation ends that was ordered here. */
  tellEnd(operation: string, done: string) {
    this.#awaited.set(operation, done);
    this.#tellEnded(operation);
  }

  #tellEnded(id: string) {
    const done = this.#awaited.get(id);
    const operation = this.fleet.operations.get(id);
    if (done === undefined || !operation || operation.state === "running") return;
    this.#awaited.delete(id);
    if (operation.state === "done") notices.add("success", done);
    else notices.add("error", operation.error?.message ?? `${operation.kind} failed.`);
  }

  async #keep(tenant: string, run: number) {
    let refused = false;
    while (run === this.#run) {
      try {
        const ended = await this.#connect(tenant, run);
        refused = false;
        await ended;
      } catch (error) {
        if (error instanceof HttpError && error.status === 401) account.expired = true;
        else if (error instanceof HttpError && error.status === 403 && !refused) {
          // Told once; a membership may be given back, so it is tried on.
          refused = true;
          notices.add("error", error.message);
        }
      }
      if (run !== this.#run) return;
      this.connected = false;
      this.brokenSince ??= Date.now();
      const wait = backoff(this.#attempt++, Math.random());
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Joins, watches, lists. Answers a promise of the session's end. */
  async #connect(tenant: string, run: number): Promise<Promise<void>> {
    const ticket = await http.post<TicketReply>("/api/wamp-ticket", { tenant });
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const session = await join(ticket, end);
    if (run !== this.#run) {
      session.close();
      return ended;
    }
    this.#session = session;
    this.#end = end;
    try {
      const fold = (change: () => void) => {
        if (run !== this.#run) return;
        change();
        this.#draw();
      };
      await session.watch("DeviceStatusEvents", (event) => fold(() => deviceChanged(this.fleet, event)));
      await session.watch("ContainerEvents", (event) => fold(() => containerChanged(this.fleet, event, Date.now())));
      await session.watch("OperationEvents", (event) =>
        fold(() => {
          operationChanged(this.fleet, event, Date.now());
          this.#tellEnded(event.operation);
        }),
      );
      await session.watch("MigrationEvents", (event) => fold(() => moveTold(this.fleet.moves, event, Date.now())));
      await session.watch("DeviceStats", (event) => fold(() => statsArrived(this.fleet, event, Date.now())));
      await session.watch("Notices", ({ level, text }) => notices.add(level as NoticeLevel, text));
      await this.#list(true);
    } catch (error) {
      session.close();
      this.#session = null;
      throw error;
    }
    this.connected = true;
    this.brokenSince = null;
    this.#attempt = 0;
    void ended.then(() => {
      if (this.#session === session) this.#session = null;
    });
    return ended;
  }

  /** Lists anew. No answer at all means that the link is dead, though nobody closed it. */
  async #check() {
    const session = this.#session;
    try {
      // Each event tells a move whole, so only the end of one under way can be missed for good.
      await this.#list(underWay(this.fleet.moves).length > 0);
    } catch (error) {
      if (session === null || session !== this.#session) return;
      if (error instanceof CallError && error.uri === "") {
        session.close();
        this.#end();
      } else this.unlistedSince ??= Date.now();
    }
  }

  async #list(withMoves: boolean) {
    const session = this.#session;
    if (!session) return;
    const asked = Date.now();
    const [devices, containers, moves] = await Promise.all([
      session.call("DeviceList", null, {}),
      session.call("FleetContainerList", null, {}),
      withMoves ? session.call("MigrationHistory", null, {}) : null,
    ]);
    if (session !== this.#session) return;
    devicesListed(this.fleet, devices.devices, devices.now, Date.now());
    if (moves) this.fleet.moves = movesListed(this.fleet.moves, moves.migrations, asked);
    containersListed(this.fleet, containers.containers, asked);
    this.loaded = true;
    this.unlistedSince = null;
    this.#draw();
  }

  #draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    setTimeout(() => {
      this.#drawing = false;
      this.now = Date.now();
      this.version += 1;
    }, DRAW_EVERY);
  }
}

export const live = new Live();
