// Orders to start, stop, restart and delete containers, and the words for one that is ordered by itself.
import { type ContainerOperation, WORDS } from "./container-operations";
import type { Placed } from "./fleet";
import { order, orderToEnd } from "./orders";

const PROCEDURES = {
  start: "ContainerStart",
  stop: "ContainerStop",
  restart: "ContainerRestart",
  delete: "ContainerDelete",
} as const satisfies Record<ContainerOperation, string>;

/** One that runs is deleted too: that was asked about. */
const requestOf = (operation: ContainerOperation, container: string) =>
  operation === "delete" ? { container, force: true } : { container };

/** What becomes of a container that is deleted. */
export function whatIsDeleted({ view }: Placed): string {
  return `Deletes ${view.name} with its writable layer${view.state === "running" ? "; it runs now" : ""}. Named volumes stay.`;
}

/** Orders it. Answers the sentence that says how it went; an error is told and thrown on. */
export function orderContainer(operation: ContainerOperation, { device, view }: Placed): Promise<string> {
  return order(PROCEDURES[operation], device, requestOf(operation, view.id), `${view.name} was ${WORDS[operation].done}.`);
}

/** Orders it and waits for its end, without a word. */
export function orderToTheEnd(operation: ContainerOperation, device: string, container: string): Promise<void> {
  return orderToEnd(PROCEDURES[operation], device, requestOf(operation, container));
}
