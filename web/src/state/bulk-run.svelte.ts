// The one order to many containers that is under way, or was last. It goes on while other pages of the tenant are looked at.
import { type Progress, summary, type Target, workThrough } from "./bulk";
import type { ContainerOperation } from "./container-operations";
import { orderToTheEnd } from "./container-orders";
import { notices } from "./notices.svelte";

class BulkRun {
  /** How far it is; nothing where there was none, or its end has been read. */
  progress = $state.raw<Progress | null>(null);
  /** No more are begun. */
  enough = $state(false);
  #run = 0;

  get busy(): boolean {
    return this.progress !== null && !this.progress.isOver;
  }

  /** Sends the order to all of them. Answers how it went, which is told in a notice too. */
  async start(order: ContainerOperation, targets: Target[]): Promise<Progress> {
    const mine = ++this.#run;
    this.enough = false;
    const ended = await workThrough(
      order,
      targets,
      ({ device, container }) => orderToTheEnd(order, device, container),
      (progress) => mine === this.#run && (this.progress = progress),
      () => mine !== this.#run || this.enough,
    );
    if (mine === this.#run) notices.add(ended.failures.length > 0 ? "error" : "success", summary(ended));
    return ended;
  }

  /** Nothing of one tenant is shown in another, nor begun in its name. */
  forget() {
    this.#run += 1;
    this.progress = null;
  }
}

export const bulkRun = new BulkRun();
