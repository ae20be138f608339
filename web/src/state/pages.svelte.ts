// Which pages there are, what they are called, and who is offered which.
import { account } from "./account.svelte";
import { route, type View } from "./route.svelte";

export const TITLES: Record<View, string> = {
  overview: "Overview",
  applications: "Applications",
  containers: "Containers",
  container: "Container",
  devices: "Devices",
  device: "Device",
  alerts: "Alerts",
  members: "Members",
  tokens: "Tokens",
  audit: "Audit log",
  platform: "Platform",
  account: "Your account",
};

/** What only some may see, and who; the control plane refuses it to the others. */
const allowed: Partial<Record<View, { who: string; may: () => boolean }>> = {
  tokens: { who: "owners of the tenant", may: () => account.isOwner },
  audit: { who: "owners of the tenant and administrators", may: () => account.isOwner || account.isAdministrator },
  platform: { who: "administrators of this installation", may: () => account.isAdministrator },
};

/** For whom a page is, if it is not for this person. */
export const reservedFor = (view: View): string | null => (allowed[view]?.may() === false ? allowed[view].who : null);

/** One thing's page is gone to from where all are listed. */
const within: Partial<Record<View, View>> = { container: "containers", device: "devices" };

/** The page of the list in which this one's thing is, or the page itself. */
export const listOf = (view: View): View => within[view] ?? view;

/** Goes from the page of what is gone to the list, unless somebody is at another page already. */
export function leavePage(view: "container" | "device", id: string): void {
  if (route.view === view && route.get(view) === id) route.go(`#/${listOf(view)}`);
}

/** The pages that this person may see. */
export const offered = (): View[] => (Object.keys(TITLES) as View[]).filter((view) => reservedFor(view) === null);
