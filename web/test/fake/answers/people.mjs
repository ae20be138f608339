// Pretended people: members, invitations, logins, accounts, tenants and tokens, as many as there are things.
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ROLES = ["owner", "operator", "viewer"];
const AGENTS = [
  "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
  "",
];
/** What the pretended person's password is. */
const PASSWORD = "a lamp on the hill";

export default ({ things, faults, role }) => {
  const now = Date.now();
  const count = things.applications.length;
  const many = (make, least = 0) => Array.from({ length: Math.max(count, least) }, (_, index) => make(index));
  const refuse = (status, detail) => {
    throw { status, detail };
  };
  /** A page by `limit` and `after`, as the control plane makes them. */
  const page = (name, key, all, query) => {
    const rest = all.filter((one) => one[key] > (query.get("after") ?? ""));
    const items = rest.slice(0, Number(query.get("limit") ?? 100));
    return { [name]: items, next: rest.length > items.length ? items.at(-1)[key] : null };
  };
  const number = (index) => String(index).padStart(4, "0");

  const people = {
    members: many(
      (index) => ({ account: index === 0 ? "ann-0001" : `person-${number(index)}`, email: index === 0 ? "ann@example.test" : `person${index}@a-company-with-a-long-name.example.test`, role: index === 0 ? role : ROLES[index % 3], is_you: index === 0 }),
      1,
    ),
    invitations: many((index) => ({ id: `inv-${number(index)}`, email: `guest${index}@example.test`, role: ROLES[index % 3], made_by: "ann-0001", expires_at: now + (index + 1) * DAY })).slice(0, 100),
    logins: many(
      (index) => ({ id: `login${index}`, opened_at: index === 2 ? 0 : now - index * DAY, address: index === 1 ? "2001:db8:1234:5678:9abc:def0:1234:5678" : `192.0.2.${index % 250}`, user_agent: AGENTS[index % 3], last_seen: now - index * HOUR, expires_at: now + 7 * DAY, is_this: index === 0 }),
      1,
    ).slice(0, 50),
    accounts: many((index) => ({ id: index === 0 ? "ann-0001" : `person-${number(index)}`, email: index === 0 ? "ann@example.test" : `person${index}@example.test`, admin: index === 0, disabled: index === 2, created_at: now - index * DAY }), 1),
    tenants: many((index) => ({ slug: index === 0 ? "acme" : `tenant-${number(index)}`, name: index === 0 ? "Acme Ltd" : `Tenant ${index}`, created_at: now - index * DAY })),
    apiTokens: many((index) => ({ id: `token-${number(index)}`, name: `program ${index}`, role: ["telemetry", "viewer", "operator"][index % 3], uses_left: null, expires_at: now + 30 * DAY, made_by: index === 1 ? null : "ann-0001", last_used: index === 1 ? null : { at: now - HOUR, address: "192.0.2.7" } })),
    joinTokens: many((index) => ({ id: `join-${number(index)}`, name: "", role: "device", uses_left: index + 1, expires_at: now + HOUR, made_by: null, last_used: null, device: index === 2 ? "d1" : null })),
    /** The invitation that its link opens, and what was done by it. */
    offer: { tenant: "beta", tenant_name: "Beta GmbH", email: "ann@example.test", role: "operator", expires_at: now + DAY },
    accepted: null,
  };
  things.people = people;
  const without = (list, key, value) => {
    if (!people[list].some((one) => one[key] === value)) refuse(404, "There is no such one. It may be gone already.");
    people[list] = people[list].filter((one) => one[key] !== value);
  };
  const checkLastOwner = (account) => {
    const owners = people.members.filter((one) => one.role === "owner");
    if (owners.length === 1 && owners[0].account === account) refuse(409, "This is the last owner of acme. Make somebody else an owner first.");
  };
  const tenant = "/api/tenants/:slug";
  return {
    http: {
      [`GET ${tenant}/members`]: (_, body, query) => {
        if (faults.members) refuse(503, "The control plane is starting. Try again in a moment.");
        const { members, next } = page("members", "account", people.members, query);
        return { members: members.map((one) => (role === "owner" || one.is_you ? one : { ...one, email: null })), next };
      },
      [`PATCH ${tenant}/members/:id`]: ({ id }, { role }) => {
        checkLastOwner(id);
        people.members = people.members.map((one) => (one.account === id ? { ...one, role } : one));
      },
      [`DELETE ${tenant}/members/:id`]: ({ id }) => {
        checkLastOwner(id);
        without("members", "account", id);
      },
      [`POST ${tenant}/leave`]: () => {
        checkLastOwner("ann-0001");
        without("members", "account", "ann-0001");
      },
      [`GET ${tenant}/invitations`]: () => people.invitations,
      [`POST ${tenant}/invitations`]: (_, { email, role, valid_seconds }) => {
        if (people.members.some((one) => one.email === email)) refuse(409, "A member of this tenant has this address already.");
        const id = `inv-${people.invitations.length + 5_000}`;
        const expires_at = Date.now() + valid_seconds * 1_000;
        people.invitations = [...people.invitations.filter((one) => one.email !== email), { id, email, role, made_by: "ann-0001", expires_at }];
        return { id, secret: `${id}.s3cret`, link: `/#/invitation/${id}.s3cret`, expires_at };
      },
      [`DELETE ${tenant}/invitations/:id`]: ({ id }) => without("invitations", "id", id),
      "POST /api/invitations/show": (_, { secret }) => (secret === "inv-1.s3cret" ? people.offer : refuse(404, "There is no such invitation: it was accepted already, was withdrawn, or has expired. Ask whoever invited you for a new one.")),
      "POST /api/invitations/accept": (_, { password }) => {
        if (password !== undefined && password !== PASSWORD && faults.hasAccount) refuse(401, "The e-mail address or the password is wrong. Check both and try again.");
        people.accepted = { password: password ?? null };
        return { tenant: people.offer.tenant, tenant_name: people.offer.tenant_name, role: people.offer.role };
      },
      "POST /api/account/password": (_, { current }) => {
        if (current !== PASSWORD) refuse(403, "The present password is wrong. Check it and try again.");
        people.logins = people.logins.filter((one) => one.is_this);
      },
      "GET /api/account/logins": () => people.logins,
      "DELETE /api/account/logins": () => {
        people.logins = people.logins.filter((one) => one.is_this);
      },
      "DELETE /api/account/logins/:id": ({ id }) => without("logins", "id", id),
      "GET /api/accounts": (_, body, query) => page("accounts", "id", people.accounts, query),
      "POST /api/accounts": (_, { email, memberships }) => {
        people.accounts.push({ id: `z-${email}`, email, admin: false, disabled: false, created_at: Date.now(), memberships });
      },
      "PATCH /api/accounts/:id": ({ id }, { disabled }) => {
        people.accounts = people.accounts.map((one) => (one.id === id ? { ...one, disabled } : one));
      },
      "GET /api/tenants": (_, body, query) => page("tenants", "slug", people.tenants, query),
      "POST /api/tenants": (_, { slug, name }) => {
        if (people.tenants.some((one) => one.slug === slug)) refuse(409, `There is a tenant ${slug} already. Choose another slug.`);
        people.tenants = [...people.tenants, { slug, name, created_at: Date.now() }].sort((a, b) => (a.slug < b.slug ? -1 : 1));
        return { tenant: slug, tenant_name: name, role: "owner" };
      },
      [`PATCH ${tenant}`]: ({ slug }, { name }) => {
        people.tenants = people.tenants.map((one) => (one.slug === slug ? { ...one, name } : one));
      },
      [`DELETE ${tenant}`]: ({ slug }, { confirm }) => {
        if (confirm !== slug) refuse(400, `To delete the tenant ${slug}, confirm it by its slug.`);
        if (slug === "acme") refuse(409, "The tenant acme has 3 devices. Have an owner delete their containers and remove them, then delete the tenant.");
        without("tenants", "slug", slug);
      },
      [`GET ${tenant}/api-tokens`]: () => people.apiTokens,
      [`POST ${tenant}/api-tokens`]: (_, { name, role }) => {
        people.apiTokens.push({ id: `token-${name}`, name, role, uses_left: null, expires_at: Date.now() + DAY, made_by: "ann-0001", last_used: null });
        return { id: `token-${name}`, secret: "shown-once", expires_at: Date.now() + DAY };
      },
      [`DELETE ${tenant}/api-tokens/:id`]: ({ id }) => without("apiTokens", "id", id),
      [`GET ${tenant}/join-tokens`]: () => people.joinTokens,
      [`DELETE ${tenant}/join-tokens/:id`]: ({ id }) => without("joinTokens", "id", id),
    },
  };
};
