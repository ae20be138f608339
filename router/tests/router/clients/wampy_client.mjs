// A stock wampy client: uses each feature of the router that wampy has, and prints what it sees.
//
// usage: node --experimental-websocket wampy_client.mjs NODE_MODULES URL SERIALIZER
// Prints a line [case, what it saw] of JSON for each case; the test knows what should stand there. The last case ends
// when the router shuts down.
//
// Where wampy 8 falls short of what it documents, there is no case: it never sends `retain` or `exclude_me: false`, does
// not announce that it can be a progressive callee or make progressive calls, fails to unsubscribe from a pattern, and
// hides the reason of a GOODBYE.

import { createRequire } from 'node:module';
import { join as path } from 'node:path';

const [modules, url, serializer] = process.argv.slice(2);
const require = createRequire(path(modules, 'wampy', 'package.json'));
const { Wampy } = require('wampy');
const serializers = {
  json: () => new (require('wampy/JsonSerializer.js').JsonSerializer)(),
  msgpack: () => new (require('wampy/MsgpackSerializer.js').MsgpackSerializer)(),
  cbor: () => new (require('wampy/CborSerializer.js').CborSerializer)(),
};
const tickets = { alice: 'ticket of alice', bob: 'ticket of bob' };

// What the router sends, in order; `next` waits for it.
class Queue {
  items = [];
  waiting = [];
  push = (item) => (this.waiting.length > 0 ? this.waiting.shift()(item) : this.items.push(item));
  next = () => (this.items.length > 0 ? this.items.shift() : new Promise((resolve) => this.waiting.push(resolve)));
}

async function join(authid) {
  const closed = new Queue();
  const proof = authid && { authid, authmethods: ['ticket'], onChallenge: () => tickets[authid] };
  const client = new Wampy(url, {
    realm: 'com.interop',
    serializer: serializers[serializer](),
    ws: WebSocket,
    autoReconnect: false,
    onClose: () => closed.push('closed'),
    ...proof,
  });
  client.welcome = await client.connect();
  client.closed = closed;
  client.id = client.getSessionId();
  client.events = async (topic, options) => {
    const queue = new Queue();
    queue.subscription = await client.subscribe(topic, queue.push, options);
    queue.id = queue.subscription.subscriptionId;
    queue.end = () => client.unsubscribe(queue.id);
    return queue;
  };
  client.answer = async (procedure, ...args) => (await client.call(procedure, args)).argsList[0];
  return client;
}

const errorOf = (promise) => promise.then(({ argsList }) => argsList, (error) => error.errorUri ?? String(error));

const cases = {
  async welcome() {
    const client = await join('alice');
    const { realm, authid, authrole, authmethod } = client.welcome;
    await client.disconnect();
    return [realm, authid, authrole, authmethod];
  },

  // Every type that the serializer has crosses the router, within wampy and to a client of another make.
  async values(client) {
    await client.register('com.wampy.echo', ({ argsList, argsDict }) => ({ argsList, argsDict }));
    const content = ['ü', null, true, -1, 0.5, [{ k: [] }]];
    const back = await client.call('com.wampy.echo', { argsList: content, argsDict: { key: 'ü' } });
    const bytes = serializer === 'json' ? 'none' : Uint8Array.of(0, 255);
    const fromRust = await client.answer('com.rust.echo', 'text', bytes);
    const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
    return [same(back.argsList, content), back.argsDict, fromRust[0], same([...fromRust[1]], [...bytes])];
  },

  async errors(client) {
    await client.register('com.wampy.fail', ({ argsList }) => {
      throw { error: 'com.wampy.error', argsList, argsDict: { number: 7 } };
    });
    const failed = await client.call('com.wampy.fail', ['why']).catch((error) => error);
    const other = await join();
    const seen = [
      [failed.errorUri, failed.argsList, failed.argsDict],
      await errorOf(client.call('com.wampy.nothing')),
      await errorOf(other.register('com.wampy.fail', () => null)),
    ];
    await client.unregister('com.wampy.fail');
    seen.push(await errorOf(client.call('com.wampy.fail')));
    await other.disconnect();
    return seen;
  },

  async progressive_results(client) {
    const seen = [];
    const progress_callback = ({ argsList }) => seen.push(argsList[0]);
    const result = await client.call('com.rust.count', [3], { progress_callback });
    const unasked = await client.call('com.rust.count', [3]);
    return [seen, result.argsList, unasked.argsList];
  },

  // Rust understands INTERRUPT, and tells in which mode it came.
  async cancel(client) {
    const interrupted = await client.events('com.rust.interrupted');
    const seen = {};
    for (const mode of ['kill', 'killnowait', undefined, 'skip']) {
      const call = client.call('com.rust.endless');
      client.cancel(client.getOpStatus().reqId, mode && { mode });
      seen[mode ?? 'none'] = await errorOf(call);
    }
    const modes = [];
    for (let count = 0; count < 3; count++) modes.push((await interrupted.next()).argsList[0]);
    await interrupted.end();
    return [seen, modes];
  },

  // wampy closes its connection when it gets an INTERRUPT: the router must not send it one.
  async cancel_of_wampy(client) {
    const callee = await join();
    const running = new Queue();
    await callee.register('com.wampy.endless', ({ argsList }) => new Promise((end) => running.push(() => end({ argsList }))));
    const seen = [];
    for (const mode of ['kill', 'killnowait', 'skip']) {
      const call = client.call('com.wampy.endless', [mode]);
      const { reqId } = client.getOpStatus();
      const end = await running.next();
      client.cancel(reqId, { mode });
      seen.push(await errorOf(call));
      end();
    }
    seen.push(await errorOf(client.call('com.wampy.endless', ['late'], { timeout: 20 })));
    (await running.next())();
    const call = client.call('com.wampy.endless', ['in time'], { timeout: 60_000 });
    (await running.next())();
    seen.push((await call).argsList[0]);
    await callee.disconnect();
    return seen;
  },

  async call_timeout(client) {
    const interrupted = await client.events('com.rust.interrupted');
    const error = await errorOf(client.call('com.rust.endless', [], { timeout: 20 }));
    const mode = (await interrupted.next()).argsList[0];
    await interrupted.end();
    return [error, mode];
  },

  async callee_leaves(client) {
    const callee = await join();
    const running = new Queue();
    await callee.register('com.wampy.gone', () => new Promise(running.push));
    const error = errorOf(client.call('com.wampy.gone'));
    await running.next();
    await callee.disconnect();
    return error;
  },

  async disclosure(client) {
    const alice = await join('alice');
    const told = ({ caller, caller_authid, caller_authrole }) => [caller, caller_authid, caller_authrole];
    await client.register('com.wampy.who', ({ details }) => ({ argsList: told(details) }));
    const [session, ...names] = (await alice.call('com.wampy.who')).argsList;
    const anonymous = (await client.call('com.wampy.who')).argsList;
    const asked = (await client.call('com.wampy.who', [], { disclose_me: true })).argsList;
    const events = await client.events('com.wampy.who');
    await alice.publish('com.wampy.who');
    const { details } = await events.next();
    await alice.disconnect();
    const publisher = [details.publisher === alice.id, details.publisher_authid, details.publisher_authrole];
    return [session === alice.id, names, anonymous, asked[0] === client.id, publisher, details.trustlevel];
  },

  async pattern_registration(client) {
    const patterns = {
      'org.p.a.b': 'exact',
      'org.p': 'prefix',
      'org.p.a': 'prefix',
      'org..a.c': 'wildcard',
      'org..x.y.c': 'wildcard',
      'org..x..c': 'wildcard',
    };
    for (const [uri, match] of Object.entries(patterns)) {
      const answer = ({ details }) => ({ argsList: [[uri, details.procedure ?? null]] });
      await client.register(uri, answer, { match });
    }
    const called = ['org.p.a.b', 'org.p.a.c', 'org.p.x', 'org.q.a.c', 'org.q.x.y.c', 'org.q.x.z.c'];
    const seen = [];
    for (const procedure of called) seen.push(await client.answer(procedure));
    return seen;
  },

  async shared_registration(client) {
    const others = [await join(), await join()];
    const seen = {};
    for (const invoke of ['roundrobin', 'first', 'last']) {
      const uri = `com.wampy.${invoke}`;
      for (const [number, callee] of others.entries()) {
        await callee.register(uri, () => ({ argsList: [number] }), { invoke });
      }
      seen[invoke] = [];
      for (let count = 0; count < 4; count++) seen[invoke].push(await client.answer(uri));
    }
    seen['other policy'] = await errorOf(client.register('com.wampy.last', () => null, { invoke: 'first' }));
    for (const callee of others) await callee.disconnect();
    return seen;
  },

  async pattern_subscription(client) {
    const other = await join();
    const seen = {};
    for (const [match, topic] of Object.entries({ exact: 'com.t.a.x', prefix: 'com.t', wildcard: 'com..a.x' })) {
      const events = await client.events(topic, { match });
      await other.publish('com.t.a.x', { argsList: [1], argsDict: { key: 'ü' } });
      const { argsList, argsDict, details } = await events.next();
      seen[match] = [argsList, argsDict, details.topic ?? null];
    }
    await other.disconnect();
    return seen;
  },

  // Rust has published it; wampy can't.
  async retained_events(client) {
    const without = await client.events('com.rust.kept');
    await without.end();
    const events = await client.events('com.rust.kept', { get_retained: true });
    const { argsList, details } = await events.next();
    return [argsList, details.retained, without.items.length];
  },

  // Who gets an event, by each of the six lists.
  async receivers() {
    const everybody = { alice: await join('alice'), bob: await join('bob'), nobody: await join(), publisher: await join() };
    const queues = {};
    for (const [name, other] of Object.entries(everybody)) queues[name] = await other.events('com.wampy.some');
    const lists = {
      exclude: [everybody.alice.id],
      exclude_authid: ['alice', 'bob'],
      exclude_authrole: ['staff'],
      eligible: [everybody.alice.id],
      eligible_authid: ['alice', 'bob'],
      eligible_authrole: ['anonymous'],
    };
    for (const [name, content] of Object.entries(lists)) {
      await everybody.publisher.publish('com.wampy.some', [name], { [name]: content });
    }
    await everybody.publisher.publish('com.wampy.some', ['end']);
    delete queues.publisher;
    const seen = {};
    for (const [name, queue] of Object.entries(queues)) {
      seen[name] = [];
      for (let text; (text = (await queue.next()).argsList[0]) !== 'end'; ) seen[name].push(text);
    }
    for (const other of Object.values(everybody)) await other.disconnect();
    return seen;
  },

  async session_meta(client) {
    const joined = await client.events('wamp.session.on_join');
    const left = await client.events('wamp.session.on_leave');
    const before = await client.answer('wamp.session.count');
    const bob = await join('bob');
    const details = (await joined.next()).argsList[0];
    const got = await client.answer('wamp.session.get', bob.id);
    const listed = await client.answer('wamp.session.list', ['staff']);
    const count = await client.answer('wamp.session.count');
    await bob.disconnect();
    const last = (await left.next()).argsList;
    for (const events of [joined, left]) await events.end();
    return [
      [details.session === bob.id, details.authid, details.authrole, details.authmethod],
      [got.session === bob.id, got.authid],
      [listed.length === 1 && listed[0] === bob.id, count - before],
      [last[0] === bob.id, ...last.slice(1)],
      await errorOf(client.call('wamp.session.get', [bob.id])),
    ];
  },

  async registration_meta(client) {
    const other = await join();
    const queues = [];
    for (const event of ['create', 'register', 'unregister', 'delete']) {
      queues.push(await client.events(`wamp.registration.on_${event}`));
    }
    const uri = 'com.wampy.meta';
    const { registrationId: id } = await other.register(uri, () => null, { match: 'prefix', invoke: 'random' });
    const created = (await queues[0].next()).argsList;
    const registered = (await queues[1].next()).argsList;
    const got = await client.answer('wamp.registration.get', id);
    const seen = [
      got.uri,
      got.match,
      got.invoke,
      (await client.answer('wamp.registration.lookup', uri, { match: 'prefix' })) === id,
      await client.answer('wamp.registration.lookup', uri),
      (await client.answer('wamp.registration.match', `${uri}.more`)) === id,
      (await client.answer('wamp.registration.list')).prefix.includes(id),
      (await client.answer('wamp.registration.list_callees', id))[0] === other.id,
      await client.answer('wamp.registration.count_callees', id),
    ];
    await other.unregister(uri);
    seen.push(created[0] === other.id && created[1].id === id);
    for (const event of [registered, (await queues[2].next()).argsList, (await queues[3].next()).argsList]) {
      seen.push(event[0] === other.id && event[1] === id);
    }
    for (const queue of queues) await queue.end();
    await other.disconnect();
    return seen;
  },

  async subscription_meta(client) {
    const other = await join();
    const queues = [];
    for (const event of ['create', 'subscribe', 'unsubscribe', 'delete']) {
      queues.push(await client.events(`wamp.subscription.on_${event}`));
    }
    const topic = 'com.wampy.meta';
    const { id } = await other.events(topic, { match: 'prefix' });
    const created = (await queues[0].next()).argsList;
    const subscribed = (await queues[1].next()).argsList;
    const got = await client.answer('wamp.subscription.get', id);
    const seen = [
      got.uri,
      got.match,
      (await client.answer('wamp.subscription.lookup', topic, { match: 'prefix' })) === id,
      await client.answer('wamp.subscription.lookup', topic),
      (await client.answer('wamp.subscription.match', `${topic}.more`))[0] === id,
      (await client.answer('wamp.subscription.list')).prefix.includes(id),
      (await client.answer('wamp.subscription.list_subscribers', id))[0] === other.id,
      await client.answer('wamp.subscription.count_subscribers', id),
    ];
    await other.disconnect();
    seen.push(created[0] === other.id && created[1].id === id);
    for (const event of [subscribed, (await queues[2].next()).argsList, (await queues[3].next()).argsList]) {
      seen.push(event[0] === other.id && event[1] === id);
    }
    for (const queue of queues) await queue.end();
    return seen;
  },

  // wampy does not announce that it understands revocation, and closes its connection when it gets one.
  async revocation_of_wampy(client) {
    const other = await join();
    const { registrationId } = await other.register('com.wampy.revoked', () => ({ argsList: [1] }));
    const events = await other.events('com.wampy.revoked');
    await client.call('wamp.registration.remove_callee', [registrationId, other.id]);
    await client.call('wamp.subscription.remove_subscriber', [events.id, other.id]);
    const seen = [await errorOf(client.call('com.wampy.revoked')), (await other.answer('wamp.session.count')) > 0];
    await other.disconnect();
    return seen;
  },

  async testaments(client) {
    const events = await client.events('com.wampy.will', { match: 'prefix' });
    const dying = await join();
    for (const scope of ['destroyed', 'detached']) {
      const argsList = [`com.wampy.will.${scope}`, ['bye'], { from: 'me' }];
      await dying.call('wamp.session.add_testament', { argsList, argsDict: { scope } });
    }
    await dying.call('wamp.session.flush_testaments', { argsDict: { scope: 'detached' } });
    dying.abort();
    const { argsList, argsDict, details } = await events.next();
    return [argsList, argsDict, details.topic];
  },

  async kill(client) {
    const seen = [];
    for (const [procedure, name] of [['kill'], ['kill_by_authid', 'bob'], ['kill_by_authrole', 'staff']]) {
      const victim = await join(name && 'bob');
      const killed = await client.call(`wamp.session.${procedure}`, {
        argsList: [name ?? victim.id],
        argsDict: { reason: 'com.wampy.killed' },
      });
      const count = killed.argsList?.[0];
      seen.push([await victim.closed.next(), Array.isArray(count) ? count[0] === victim.id : (count ?? null)]);
    }
    seen.push(await errorOf(client.call('wamp.session.kill', [client.id])));
    return seen;
  },

  async shutdown(client) {
    say('ready for the end', null);
    return client.closed.next();
  },
};

const say = (name, seen) => console.log(JSON.stringify([name, seen]));

const client = await join();
for (const [name, run] of Object.entries(cases)) {
  const patience = setTimeout(() => {
    console.error(`${name}: waited too long`);
    process.exit(1);
  }, 60_000);
  say(name, await run(client));
  clearTimeout(patience);
}
process.exit(0);
