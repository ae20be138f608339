// A third-party client in JavaScript: joins with an API token, subscribes to the telemetry of all devices, and prints
// one JSON line for each event. It uses wampy alone, nothing of the platform.
//
//   node telemetry.mjs --url ws://127.0.0.1:8081/ --realm ecep.tenant.acme --authid TOKEN-ID --ticket-file token.txt

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Wampy } from 'wampy';
import WebSocket from 'ws';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    realm: { type: 'string' },
    authid: { type: 'string' },
    'ticket-file': { type: 'string' },
    device: { type: 'string', default: '' },
    events: { type: 'string', default: '10' },
    timeout: { type: 'string', default: '30' },
  },
});
for (const name of ['url', 'realm', 'authid', 'ticket-file']) {
  if (!options[name]) end(1, `--${name} is missing`);
}
function end(status, reason) {
  if (reason) console.error(reason);
  process.exit(status);
}

function told(error) {
  const { errorUri, details, argsList } = error;
  return [errorUri ?? error.message, details?.message ?? argsList?.[0]].filter(Boolean).join(': ');
}

function read(file) {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    return end(1, `cannot read the ticket: ${error.message}`);
  }
}

setTimeout(() => end(1, 'not enough events in time; is a device connected?'), Number(options.timeout) * 1000);

let joined = false;
const ticket = read(options['ticket-file']);
const client = new Wampy(options.url, {
  realm: options.realm,
  ws: WebSocket,
  maxRetries: 0,
  authid: options.authid,
  authmethods: ['ticket'],
  onChallenge: () => ticket,
  onClose: () => joined && end(1, 'the connection has ended'),
});
// The device's part of the topic left empty matches every device.
const topic = `ecep.device.${options.device}.stats`;
let left = Number(options.events);

try {
  await client.connect();
  joined = true;
  await client.subscribe(
    topic,
    ({ argsDict }) => {
      process.stdout.write(`${JSON.stringify(argsDict)}\n`, () => {
        left -= 1;
        if (left === 0) end(0);
      });
    },
    { match: options.device ? 'exact' : 'wildcard' },
  );
} catch (error) {
  end(1, `${options.url}: ${told(error)}`);
}
