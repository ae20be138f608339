// What the pages of devices ask for: images, names and places, keys, shares and offers, removal.
export default ({ things, tell, operate, faults }) => {
  const HOUR = 3_600_000;
  const now = Date.now();
  const images = new Map();
  const keys = new Map();
  const shares = new Map();
  const terms = { quota: { cpus: 1.5, memory_bytes: 536_870_912 }, allow: ["publish_ports", "move_away"] };
  let offers = [
    { device: "g1", device_name: "gate-1", place: "Lyon", owner_name: "Beta GmbH", state: "offered", terms, expires_at: now + 90 * HOUR },
    { device: "g2", device_name: "gate-2", place: null, owner_name: "Beta GmbH", state: "offered", terms: { quota: {}, allow: [] }, expires_at: now + 9 * HOUR },
  ];
  const none = { status: 404, detail: "This tenant has no such device. It may have been removed already." };
  const own = (id) => {
    const found = things.devices.find((device) => device.id === id && !device.share);
    if (!found) throw none;
    return found;
  };
  const view = ({ id, name, place, location = null, enrolled_at }) => ({
    id, name, place, location, enrolled_at, key: keys.get(id) ?? { state: "current", fingerprint: "9f2c44a01b7de853", since: now - 90 * HOUR },
  });
  const imagesOf = (device) => {
    if (!images.has(device)) {
      const used = things.containers.filter((one) => one.device === device).map(({ container }) => container.image);
      const list = [[...new Set(used)].map((tag) => [tag]), [["team/base:3", "team/base:latest"], ["team/spare:1"], []]].flat();
      images.set(device, list.map((tags, index) => ({ id: `sha256:${String(index).padStart(4, "0")}beef`.padEnd(71, "0"), tags, size_bytes: 80_000_000 * (index + 1), created_at: now - index * HOUR })));
    }
    return images.get(device);
  };
  const sharesOf = (device) => shares.get(device) ?? shares.set(device, []).get(device);
  const guest = (id, name, place, owner_name, granted) => ({
    ...things.devices[0], id, name, place, owner: "beta", liveness: "connected", reasons: [], location: undefined,
    facts: things.devices[0] && { ...things.devices[0].facts, hostname: "", addresses: [] }, share: { owner_name, granted: { terms: granted, is_ending: false } },
  });

  return {
    procedures: {
      ImageList: (_, device) => ({ images: imagesOf(device) }),
      ImagePull: ({ image, operation }, device) =>
        operate(device, operation, "image.pull", ["pulling", "pulling"], () => {
          if (image.includes("missing")) return { error: `No registry has the image ${image}. Check its name.` };
          // Ordered again, it is there already.
          if (!imagesOf(device).some(({ tags }) => tags.includes(image))) imagesOf(device).push({ id: `sha256:${"feed".padEnd(64, "0")}`, tags: [image], size_bytes: 50_000_000, created_at: Date.now() });
          return null;
        }),
      ImageDelete: ({ image, operation }, device) => {
        for (const one of imagesOf(device)) one.tags = one.tags.filter((tag) => tag !== image);
        images.set(device, imagesOf(device).filter(({ id, tags }) => tags.length > 0 || (id !== image && id.includes("0002beef"))));
        return { operation, state: "done", container_id: null, container: null };
      },
    },
    http: {
      "GET /api/tenants/acme/devices": () => things.devices.filter(({ share }) => !share).map(view),
      "PATCH /api/tenants/acme/devices/:id": ({ id }, change) => {
        const device = own(id);
        if (change.name !== undefined) device.name = change.name;
        if (change.place !== undefined) {
          device.place = change.place || null;
          device.location = change.location;
        } else device.location = change.location ?? device.location;
        tell("DeviceStatusEvents", device);
        return view(device);
      },
      "DELETE /api/tenants/acme/devices/:id": ({ id }) => {
        things.devices.splice(things.devices.indexOf(own(id)), 1);
      },
      "POST /api/tenants/acme/devices/:id/rotate-key": ({ id }) => {
        keys.set(id, { ...view(own(id)).key, state: "rotation_ordered" });
        faults.rotated = () => keys.set(id, { state: "current", fingerprint: "0a1b2c3d4e5f6a7b", since: Date.now() });
        return view(own(id));
      },
      "POST /api/tenants/acme/join-tokens": () => ({ id: "join-1", secret: "join-1.secret", expires_at: Date.now() + HOUR }),
      "GET /api/tenants/acme/devices/:id/shares": ({ id }) => sharesOf(own(id).id),
      "POST /api/tenants/acme/devices/:id/shares": ({ id }, { tenant, terms: granted }) => {
        if (tenant === "acme") throw { status: 422, detail: "The device belongs to this tenant already. Name another one to share it with." };
        const share = { tenant, state: "offered", terms: granted, offered_at: Date.now(), accepted_at: null, containers: 0 };
        sharesOf(own(id).id).push(share);
        // A guest that is quick: it has accepted and runs two containers.
        if (tenant === "busy") Object.assign(share, { state: "accepted", accepted_at: Date.now(), containers: 2 });
        return share;
      },
      "PUT /api/tenants/acme/devices/:id/shares/:tenant": ({ id, tenant }, { terms: granted }) =>
        Object.assign(sharesOf(id).find((one) => one.tenant === tenant), { terms: granted }),
      "POST /api/tenants/acme/devices/:id/shares/:tenant/end": ({ id, tenant }, { delete: names }) => {
        const share = sharesOf(id).find((one) => one.tenant === tenant);
        const there = share.containers > 0 ? ["db", "web"] : [];
        const ended = there.length === 0 || names.join() === there.join();
        if (ended) shares.set(id, sharesOf(id).filter((one) => one !== share));
        else share.state = "ending";
        return { ended, containers: there };
      },
      "GET /api/tenants/acme/shares": () => offers,
      "POST /api/tenants/acme/shares/:id": ({ id }) => {
        const offer = offers.find(({ device }) => device === id);
        offer.state = "accepted";
        offer.expires_at = null;
        const device = guest(id, offer.device_name, offer.place, offer.owner_name, offer.terms);
        things.devices.push(device);
        tell("DeviceStatusEvents", device);
      },
      "DELETE /api/tenants/acme/shares/:id": ({ id }) => {
        offers = offers.filter(({ device }) => device !== id);
        const at = things.devices.findIndex((device) => device.id === id);
        if (at >= 0) things.devices.splice(at, 1);
      },
    },
  };
};
