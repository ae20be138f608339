// Fills the last minutes of many devices from what the control plane has kept, so that their chart begins where it should.
import { secondOf, trackOf } from "./fleet";
import { covers, seed, SPAN } from "./history";
import { live } from "./live.svelte";
import { askPast } from "./past.svelte";

/** Devices that are asked about; those beyond begin with what they tell themselves. */
const MOST = 60;
/** Questions that are under way at once. */
const AT_ONCE = 4;

/** Asks about each device of which something is missing, until it is over. */
export async function fill(devices: string[], isOver: () => boolean): Promise<void> {
  const now = secondOf(live.fleet, Date.now());
  const left = devices.filter((device) => !covers(live.fleet.history.get(device), now)).slice(0, MOST);
  const work = async () => {
    for (let device = left.shift(); device !== undefined && !isOver(); device = left.shift()) {
      try {
        const { to, history } = await askPast({ device }, SPAN);
        if (!isOver()) seed(trackOf(live.fleet, device), history, Math.floor(to));
      } catch {
        // What is missing stays missing: the chart goes on with what devices tell now.
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
