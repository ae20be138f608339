// Moves of containers from device to device, as they were listed and told. Pure reducers over plain data.
import type { MigrationView } from "../api/generated";

/** Ended moves that are kept: as many as the control plane remembers. */
const MAX_ENDED = 200;

/** `arrived`: when the browser heard of it, by its own clock. */
export type Move = MigrationView & { arrived: number };
/** By operation. */
export type Moves = Map<string, Move>;

/** A move goes on. Its figures may still come after its end, but an end is never taken back. */
export function moveTold(moves: Moves, view: MigrationView, now: number): void {
  const known = moves.get(view.operation);
  if (known && known.state !== "running" && view.state === "running") return;
  moves.set(view.operation, { ...view, arrived: now });
  const ended = [...moves.values()].filter(({ state }) => state !== "running");
  ended.sort(newestFirst);
  for (const old of ended.slice(MAX_ENDED)) moves.delete(old.operation);
}

/** The whole list, asked for at `asked`, replaces what was known, except what was told since. */
export function movesListed(moves: Moves, listed: MigrationView[], asked: number): Moves {
  const next: Moves = new Map(listed.map((view) => [view.operation, { ...view, arrived: asked }]));
  for (const [operation, known] of moves) if (known.arrived >= asked) next.set(operation, known);
  return next;
}

/** The moves of one container, the newest first. */
export function movesOf(moves: Moves, container: string): Move[] {
  return [...moves.values()].filter((move) => move.container === container).sort(newestFirst);
}

export function underWay(moves: Moves): Move[] {
  return [...moves.values()].filter(({ state }) => state === "running").sort(newestFirst);
}

/** Where a container is by its newest move; `null` where none is known. */
export function holder(moves: Moves, container: string): string | null {
  const newest = movesOf(moves, container)[0];
  if (!newest) return null;
  const committed = newest.state === "done" || (newest.state === "running" && newest.phase === "finishing");
  return committed ? newest.destination : newest.source;
}

/** Where a container that is gone from `device` comes up, if it left by a move that has not failed. */
export function whereTo(moves: Moves, container: string, device: string): string | null {
  const newest = movesOf(moves, container)[0];
  return newest && newest.source === device && newest.state !== "failed" ? newest.destination : null;
}

function newestFirst(a: Move, b: Move): number {
  return b.started_at - a.started_at;
}
