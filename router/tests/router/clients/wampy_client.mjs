// A stock wampy client: uses what the dashboard uses, and checks what it gets.
//
// usage: node --experimental-websocket wampy_client.mjs NODE_MODULES URL SERIALIZER
// Exits with 0 only if everything was as it should be.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [modules, url, serializer] = process.argv.slice(2);
const require = createRequire(join(modules, 'wampy', 'package.json'));
const { Wampy } = require('wampy');
const serializers = {
  json: () => new (require('wampy/JsonSerializer.js').JsonSerializer)(),
  msgpack: () => new (require('wampy/MsgpackSerializer.js').MsgpackSerializer)(),
};

const patience = setTimeout(() => {
  console.error('waited too long');
  process.exit(1);
}, 15_000);

async function fails(uri, promise) {
  const error = await promise.then(
    () => assert.fail(`no ${uri}`),
    (error) => error,
  );
  assert.equal(error.errorUri ?? error.error, uri, String(error));
  return error;
}

const create = () =>
  new Wampy(url, {
    realm: 'realm1',
    serializer: serializers[serializer](),
    ws: WebSocket,
    maxRetries: 0,
    reconnectInterval: 0,
  });
const client = create();
const welcome = await client.connect();
assert.equal(welcome.realm, 'realm1');

await client.register('com.wampy.add', ({ argsList, argsDict }) => ({
  argsList: [argsList[0] + argsList[1]],
  argsDict,
}));
const sum = await client.call('com.wampy.add', { argsList: [1, 2], argsDict: { key: 'ü' } });
assert.deepEqual(sum.argsList, [3]);
assert.deepEqual(sum.argsDict, { key: 'ü' });
const echoed = await client.call('com.rust.echo', ['text', null, -1, 0.5]);
assert.deepEqual(echoed.argsList, [['text', null, -1, 0.5]]);

const failed = await fails('com.rust.error', client.call('com.rust.fail', ['why']));
assert.deepEqual(failed.argsList, ['why']);
await fails('wamp.error.no_such_procedure', client.call('com.wampy.nothing'));

const events = [];
const waiting = [];
const onEvent = (event) => {
  events.push(event);
  waiting.shift()?.();
};
await client.subscribe('com.wampy..stats', onEvent, { match: 'wildcard' });
const publisher = create();
await publisher.connect();
await publisher.publish('com.wampy.d1.stats', { argsDict: { load: 0.5 } });
if (events.length === 0) await new Promise((resolve) => waiting.push(resolve));
assert.equal(events[0].details.topic, 'com.wampy.d1.stats');
assert.deepEqual(events[0].argsDict, { load: 0.5 });
const count = await client.call('wamp.session.count');
assert.ok(count.argsList[0] >= 2);

await publisher.disconnect();
await client.disconnect();
clearTimeout(patience);
console.log('wampy is content');
process.exit(0);
