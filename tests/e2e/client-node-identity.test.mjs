// What the package `mixpanel` for Node sends when ids are joined, in the three identity modes: alias(), and the verbs as
// its documentation has servers send them, with track() and import(). Before, between and after the events that they
// join, with a crash in the middle.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { freshName, repository, World } from './harness.mjs';

const modules = path.join(repository, 'tests/clients/node_modules');
const skip =
  process.env.CI === 'true' || existsSync(path.join(modules, 'mixpanel'))
    ? false
    : 'the packages of tests/clients are not installed: script/bootstrap --tests installs them';
/* The package sends everything through a proxy that is named there. */
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY']) delete process.env[name];

const worlds = {};
let Mixpanel;
before(async () => {
  if (skip) return;
  Mixpanel = createRequire(path.join(modules, 'x.js'))('mixpanel');
  for (const identity of ['simplified', 'original', 'legacy']) worlds[identity] = await World.start({ identity });
});
after(() => Promise.all(Object.values(worlds).map((world) => world.end())));

const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const client = (world) =>
  Mixpanel.init(world.token, {
    host: new URL(world.url).host,
    protocol: 'http',
    path: '',
    logger: quiet,
    key: world.project.secret,
  });
async function well(object, name, ...args) {
  const error = await new Promise((resolve) => object[name](...args, resolve));
  assert.ok(error === undefined || error === null, `${name}: ${error}`);
}
const byPerson = (world, event) => world.totals({ event, on: 'properties["$distinct_id"]' });
const user = () => freshName('user');

test('simplified: events with both ids link; alias and $identify are taken and link nothing', { skip }, async () => {
  const world = worlds.simplified;
  const [name, id, device] = [freshName(), user(), randomUUID()];
  let mixpanel = client(world);
  await well(mixpanel, 'track', name, { $device_id: device });
  await well(mixpanel, 'track', '$identify', { distinct_id: id, $anon_distinct_id: `$device:${device}` });
  await well(mixpanel, 'alias', id, `$device:${device}`);
  await well(mixpanel, 'track', name, { $user_id: id });
  assert.equal(await world.uniques(name), 2);
  await well(mixpanel, 'track', name, { $device_id: device, $user_id: id });
  assert.deepEqual(await byPerson(world, name), { [id]: 3 });
  await world.restart({ kill: true });
  mixpanel = client(world);
  await well(mixpanel, 'track', name, { $device_id: device });
  await well(mixpanel, 'track', name, { $device_id: device, $user_id: user() });
  assert.equal((await byPerson(world, name))[id], 4);
  assert.equal(await world.uniques(name), 2);
  assert.equal(
    await world.count(name, {
      where: 'properties["$identity_failure_reason"] == "errAnonDistinctIdAssignedAlready"',
    }),
    1,
  );
});

test('original: $identify joins what came before and what comes after', { skip }, async () => {
  const world = worlds.original;
  const [name, id, anonymous, second] = [freshName(), user(), randomUUID(), randomUUID()];
  let mixpanel = client(world);
  await well(mixpanel, 'track', name, { distinct_id: anonymous });
  await well(mixpanel, 'track', name, { distinct_id: id });
  assert.equal(await world.uniques(name), 2);
  await well(mixpanel, 'track', '$identify', { $identified_id: id, $anon_id: anonymous });
  assert.deepEqual(await byPerson(world, name), { [id]: 2 });
  await world.restart({ kill: true });
  mixpanel = client(world);
  /* the link before the events, in the words of the SDKs */
  await well(mixpanel, 'track', '$identify', { distinct_id: id, $anon_distinct_id: second });
  await well(mixpanel, 'track', name, { distinct_id: second });
  await well(mixpanel, 'track', name, { distinct_id: anonymous });
  assert.deepEqual(await byPerson(world, name), { [id]: 4 });
  /* an anonymous id belongs to one user for ever */
  const other = user();
  await well(mixpanel, 'track', name, { distinct_id: other });
  await well(mixpanel, 'track', '$identify', { distinct_id: other, $identified_id: other, $anon_id: anonymous });
  assert.deepEqual(await byPerson(world, name), { [id]: 4, [other]: 1 });
});

test('original: aliases, chains of them, and merges by import', { skip }, async () => {
  const world = worlds.original;
  const [name, id, first, second, other] = [freshName(), user(), user(), user(), user()];
  let mixpanel = client(world);
  for (const one of [id, first, second, other]) await well(mixpanel, 'track', name, { distinct_id: one });
  assert.equal(await world.uniques(name), 4);
  await well(mixpanel, 'alias', id, first);
  await well(mixpanel, 'alias', first, second);
  assert.equal(await world.uniques(name), 2);
  await world.restart({ kill: true });
  mixpanel = client(world);
  assert.equal(await world.uniques(name), 2);
  /* track() does not merge; import does */
  await new Promise((resolve) => mixpanel.track('$merge', { $distinct_ids: [id, other] }, resolve));
  assert.equal(await world.uniques(name), 2);
  await well(mixpanel, 'import', '$merge', new Date(), { $distinct_ids: [id, other], $insert_id: randomUUID() });
  assert.equal(await world.uniques(name), 1);
  const people = await byPerson(world, name);
  assert.equal(Object.keys(people).length, 1);
  assert.equal(Object.values(people)[0], 4);
});

test('legacy: an alias counts from then on, one step, and is not taken back', { skip }, async () => {
  const world = worlds.legacy;
  const [name, id, alias, second] = [freshName(), user(), user(), user()];
  let mixpanel = client(world);
  await well(mixpanel, 'track', name, { distinct_id: alias, when: 'before' });
  await well(mixpanel, 'track', name, { distinct_id: id });
  await well(mixpanel, 'alias', id, alias);
  await well(mixpanel, 'track', name, { distinct_id: alias, when: 'after' });
  assert.deepEqual(await byPerson(world, name), { [alias]: 1, [id]: 2 });
  await world.restart({ kill: true });
  mixpanel = client(world);
  await well(mixpanel, 'track', name, { distinct_id: alias, when: 'after' });
  /* of nobody else any more */
  await well(mixpanel, 'alias', second, alias);
  await well(mixpanel, 'track', name, { distinct_id: alias, when: 'after' });
  assert.deepEqual(await byPerson(world, name), { [alias]: 1, [id]: 4 });
  /* a plain event in this mode */
  await well(mixpanel, 'track', '$identify', { distinct_id: id, $anon_distinct_id: second, mark: name });
  await well(mixpanel, 'track', name, { distinct_id: second });
  assert.deepEqual(await byPerson(world, name), { [alias]: 1, [id]: 4, [second]: 1 });
  assert.equal(await world.count('$identify', { where: `properties["mark"] == "${name}"` }), 1);
});
