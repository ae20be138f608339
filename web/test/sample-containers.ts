// A container as the fleet knows it, for tests.
import type { ContainerView } from "../src/api/generated";
import type { Placed } from "../src/state/fleet";

export function placed(id: string, more: Partial<ContainerView> = {}, device = "d"): Placed {
  const view: ContainerView = {
    id,
    name: id,
    application: id,
    image: "busybox",
    state: "running",
    exit_code: null,
    created_at: 1,
    started_at: 1,
    ports: [],
    address: null,
    run_once: false,
    ...more,
  };
  return { device, view, stats: null };
}
