// Orders to containers: each is done at once and told as an event. `faults.refused` says by the container's id why one is not, `faults.order`
// why none is;
// `faults.lasting` makes all of them operations that last; `faults.atWork` and `faults.most` count how many are at work, and were at most.
export default ({ things, tell, operate, faults }) => {
  const states = { stop: ["exited", 143], start: ["running", null], restart: ["running", null], delete: [null, null] };
  let next = 1;
  const order = (kind) => ({ container, operation = `${kind}-${next++}` }, device) => {
    const found = things.containers.find((one) => one.container.id === container && one.device === device);
    if (!found) throw new Error("There is no such container on this device.");
    const carryOut = () => {
      faults.atWork -= 1;
      const refused = faults.order ?? faults.refused?.[container];
      if (refused) return { error: refused };
      const [state, exit_code] = states[kind];
      if (state === null) things.containers.splice(things.containers.indexOf(found), 1);
      else found.container = { ...found.container, state, exit_code };
      const change = { stop: "exited", start: "started", restart: "started", delete: "deleted" }[kind];
      tell("ContainerEvents", { device, change, container: found.container, at: Date.now() });
      return { container };
    };
    faults.atWork = (faults.atWork ?? 0) + 1;
    faults.most = Math.max(faults.most ?? 0, faults.atWork);
    if (faults.lasting) return operate(device, operation, `container.${kind}`, ["working"], carryOut);
    const { error } = carryOut();
    if (error) throw new Error(error);
    return { operation, state: "done", container_id: container, container: found.container };
  };
  return {
    procedures: {
      ContainerStart: order("start"),
      ContainerStop: order("stop"),
      ContainerRestart: order("restart"),
      ContainerDelete: order("delete"),
    },
  };
};
