// Moves for tests.
import type { MigrationView } from "../src/api/generated";

/** A move of container `c` from `a` to `b` that has just begun, but for what is handed in. */
export function move(parts: Partial<MigrationView> = {}): MigrationView {
  return {
    operation: "move-1",
    container: "c",
    name: "web",
    source: "a",
    destination: "b",
    mode: "live",
    bytes_per_second: null,
    options: { max_rounds: null, max_downtime_ms: null, over_downtime: "refuse", keep_source: false },
    went_cold: false,
    state: "running",
    phase: "preparing",
    cancellable: true,
    bytes_done: 0,
    bytes_total: null,
    bytes_sent: 0,
    phases: [],
    rounds: [],
    estimated_downtime_ms: null,
    downtime_ms: null,
    started_at: 1,
    ended_at: null,
    error: null,
    ...parts,
  };
}
