// The live connection: keeps a WAMP session to the tenant's realm, folds what arrives into the fleet, and
// repairs everything by listing anew after each join. Views read `live.fleet` after touching `live.version`, or after
// `live.shape` where numbers do not matter to them.
import { ERRORS, type NoticeLevel, type Procedures, type TicketReply } from "../api/generated";
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
  everyPlaced,
  type Fleet,
  operationChanged,
  type Placed,
  statsArrived,
} from "./fleet";
import { movesListed, moveTold, underWay } from "./moves";
import { notices } from "./notices.svelte";

/** Changes are drawn after this long at the latest, in milliseconds: those that come together are drawn together. */
const DRAW_WITHIN = 200;
/** Numbers alone are drawn at most this often, in milliseconds: each device sends them once a second, each at its own moment. */
const NUMBERS_EVERY = 1_000;
/** How long the end of an operation is waited for, in milliseconds: longer than a container may take to stop. */
const END_LIMIT = 360_000;
/** Operations ordered here that are remembered as such, the newest: more fail in no minute. */
const MAX_ORDERED = 1_000;
/** A missed event is made good, and a link that went silent is found, after about this long. */
const RELIST_EVERY = 10_000;

/** How an operation ended. */
export type End = { state: "done" } | { state: "failed"; reason: string };

class Live {
  /** Counts what is to be drawn, numbers or more. */
  version = $state(0);
  /** Counts changes of what there is: devices, containers, operations, moves. Numbers alone leave it as it is. */
  shape = $state(0);
  now = $state(Date.now());
  connected = $state(false);
  /** Since when the connection is broken; `null` while it stands or was never made. */
  brokenSince = $state<number | null>(null);
  /** Since when the control plane does not list the fleet although the router answers; `null` while it does. */
  unlistedSince = $state<number | null>(null);
  /** The lists have arrived at least once. */
  loaded = $state(false);
  /** Counts what the control plane has told people that may be about an alert. */
  alarms = $state(0);
  fleet: Fleet = emptyFleet();
  /** Each container once, where it is; worked out once for all who look. */
  placed: Placed[] = $derived((this.shape, everyPlaced(this.fleet)));

  #session: Session | null = null;
  #end: () => void = () => undefined;
  /** Operations ordered here that take longer, and who wants to know how they end, or that their tenant was left before. */
  #awaited = new Map<string, (end: End | { state: "left" }) => void>();
  /** Operations whose failure whoever ordered them here tells. */
  #ordered = new Set<string>();
  #attempt = 0;
  #run = 0;
  #wake: (() => void) | null = null;
  #drawing: ReturnType<typeof setTimeout> | null = null;
  /** When what is under way will be drawn, and whether more than numbers have changed. */
  #drawAt = 0;
  #reshaped = false;
  #drawnAt = 0;
  #timers: ReturnType<typeof setInterval>[] = [];

  /** Connects to a tenant, and stays connected until `stop`. */
  start(tenant: string) {
    this.stop();
    this.fleet = emptyFleet();
    this.loaded = false;
    this.changed();
    this.#timers = [
      setInterval(() => {
        // What was drawn a moment ago has set the clock.
        if (Date.now() - this.now >= NUMBERS_EVERY / 2) this.now = Date.now();
      }, NUMBERS_EVERY),
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
    for (const tell of this.#awaited.values()) tell({ state: "left" });
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

  /** Draws what was changed here, before the lists tell it. */
  changed() {
    this.version += 1;
    this.shape += 1;
  }

  /** From now on the failure of this operation is told where it was ordered. */
  ordered(operation: string) {
    this.#ordered.add(operation);
    const [oldest] = this.#ordered;
    if (oldest !== undefined && this.#ordered.size > MAX_ORDERED) this.#ordered.delete(oldest);
  }

  isOrdered(operation: string): boolean {
    return this.#ordered.has(operation);
  }

  /** Tells with a notice how an operation ends that was ordered here. */
  tellEnd(operation: string, done: string) {
    this.#awaited.set(operation, (end) => {
      if (end.state === "done") notices.add("success", done);
      else if (end.state === "failed") notices.add("error", end.reason);
    });
    this.#tellEnded(operation);
  }

  /** Waits until an operation is done that was ordered here; an error where it fails, or nothing is heard of its end. */
  ended(operation: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const unknown = () => reject(new CallError("", "Its end was not told; look at its state before you try again."));
      const timer = setTimeout(() => {
        this.#awaited.delete(operation);
        unknown();
      }, END_LIMIT);
      this.#awaited.set(operation, (end) => {
        clearTimeout(timer);
        if (end.state === "done") resolve();
        else if (end.state === "failed") reject(new CallError("", end.reason));
        else unknown();
      });
      this.#tellEnded(operation);
    });
  }

  /** How an operation ended whose end was told while nobody heard it: all that its event would have done is done. */
  endFound(id: string, end: End) {
    const operation = this.fleet.operations.get(id);
    if (operation?.state === "running") {
      const error = end.state === "failed" ? { uri: ERRORS.Engine, message: end.reason, details: {} } : null;
      operationChanged(this.fleet, { ...operation, state: end.state, error }, Date.now());
      this.changed();
    }
    this.#tell(id, end);
  }

  #tellEnded(id: string) {
    const operation = this.fleet.operations.get(id);
    if (!operation || operation.state === "running") return;
    if (operation.state === "done") this.#tell(id, { state: "done" });
    else this.#tell(id, { state: "failed", reason: operation.error?.message ?? `${operation.kind} failed.` });
  }

  #tell(id: string, end: End) {
    const tell = this.#awaited.get(id);
    this.#awaited.delete(id);
    tell?.(end);
  }

  async #keep(tenant: string, run: number) {
    let refused = false;
    while (run === this.#run) {
      try {
        const again = this.brokenSince !== null;
        const { ended } = await this.#connect(tenant, run);
        refused = false;
        // The control plane ends a connection where a role has changed, and nobody tells what changed while it was broken.
        if (again) account.refresh().catch(() => undefined);
        await ended;
      } catch (error) {
        if (error instanceof HttpError && error.status === 401) account.expired = true;
        else if (error instanceof HttpError && error.status === 403) {
          await account.refresh().catch(() => undefined);
          if (account.tenant !== tenant) return;
          // Told once; what is refused may be allowed again, so it is tried on.
          if (!refused) notices.add("error", error.message);
          refused = true;
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

  /** Joins, watches, lists. The session's end is not waited for. */
  async #connect(tenant: string, run: number): Promise<{ ended: Promise<void> }> {
    const ticket = await http.post<TicketReply>("/api/wamp-ticket", { tenant });
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const session = await join(ticket, end);
    if (run !== this.#run) {
      session.close();
      return { ended };
    }
    this.#session = session;
    this.#end = end;
    try {
      const fold = (change: () => void, onlyNumbers = false) => {
        if (run !== this.#run) return;
        change();
        this.#draw(onlyNumbers);
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
      await session.watch("DeviceStats", (event) => fold(() => statsArrived(this.fleet, event, Date.now()), true));
      await session.watch("Notices", ({ level, text }) => {
        if (run !== this.#run) return;
        notices.add(level as NoticeLevel, text);
        // An alert comes as a warning or an error and goes as a success.
        if (level !== "info") this.alarms += 1;
      });
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
    return { ended };
  }

  /** Lists anew. No answer at all means that the link is dead, though nobody closed it. */
  async #check() {
    const session = this.#session;
    try {
      // Each event tells a move whole, so only the end of one under way can be missed for good.
      await this.#list(underWay(this.fleet.moves).length > 0);
    } catch (error) {
      if (session === null || session !== this.#session) return;
      if (error instanceof CallError && error.isUnanswered) {
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

  /** Draws soon: numbers alone at most once a second. */
  #draw(onlyNumbers = false) {
    const soon = Date.now() + DRAW_WITHIN;
    const at = onlyNumbers ? Math.max(soon, this.#drawnAt + NUMBERS_EVERY) : soon;
    this.#reshaped ||= !onlyNumbers;
    if (this.#drawing !== null && this.#drawAt <= at) return;
    if (this.#drawing !== null) clearTimeout(this.#drawing);
    this.#drawAt = at;
    this.#drawing = setTimeout(() => {
      this.#drawing = null;
      this.#drawnAt = this.now = Date.now();
      this.version += 1;
      if (this.#reshaped) this.shape += 1;
      this.#reshaped = false;
    }, at - Date.now());
  }
}

export const live = new Live();
