// Runs calls of the Node package in a process of its own, whose NODE_EXTRA_CA_CERTS the test chooses: node reads it at
// its start. Standard input: {modules, token, config, account, calls: [[name, ...arguments]]}; {"$date": ms} is a Date.
// Standard output: a JSON list of what the callbacks heard, null for success.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const revive = (_, value) => (value?.$date === undefined ? value : new Date(value.$date));
const { modules, token, config, account, calls } = JSON.parse(readFileSync(0, 'utf8'), revive);
const Mixpanel = createRequire(path.join(modules, 'x.js'))('mixpanel');
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const credentials = account && new Mixpanel.ServiceAccountCredentials(...account);
const client = Mixpanel.init(token, { ...config, logger: quiet, ...(credentials && { credentials }) });
const heard = [];
for (const [name, ...args] of calls) {
  const error = await new Promise((resolve) => client[name](...args, resolve));
  const errors = Array.isArray(error) ? error : error ? [error] : [];
  heard.push(errors.length ? errors.map((one) => one.message) : null);
}
process.stdout.write(JSON.stringify(heard), () => process.exit(0));
