// The same event sent again, by its $insert_id: counted once for all time, and the newest version is the one that
// counts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { freshName, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());

const now = Math.floor(Date.now() / 1000);
const event = (name, insert, properties = {}) =>
  world.event(name, { $insert_id: insert, time: now - 600, distinct_id: 'u', ...properties });
const versions = (name) => world.totals({ event: name, on: 'properties["v"]' });

test('again in another request: one event, the newest', async () => {
  const name = freshName();
  for (const v of ['first', 'second', 'third']) {
    await world.send(event(name, 'a-1', { v }));
    assert.deepEqual(await versions(name), { [v]: 1 });
  }
});

test('again in the same batch: the last one counts', async () => {
  const name = freshName();
  await world.send(event(name, 'a-1', { v: 1 }), event(name, 'a-2', { v: 2 }), event(name, 'a-1', { v: 3 }));
  assert.deepEqual(await versions(name), { 2: 1, 3: 1 });
});

test('over restarts, polite and not', async () => {
  const name = freshName();
  await world.send(event(name, 'r-1', { v: 1 }), event(name, 'r-2', { v: 1 }));
  await world.restart();
  await world.send(event(name, 'r-1', { v: 2 }));
  assert.deepEqual(await versions(name), { 1: 1, 2: 1 });
  await world.restart({ kill: true });
  assert.deepEqual(await versions(name), { 1: 1, 2: 1 });
  await world.send(event(name, 'r-1', { v: 3 }), event(name, 'r-2', { v: 3 }));
  assert.deepEqual(await versions(name), { 3: 2 });
  await world.restart({ kill: true });
  assert.deepEqual(await versions(name), { 3: 2 });
});

test('what differs in name, time, person or $insert_id is another event', async () => {
  const name = freshName();
  await world.send(
    event(name, 'a-1'),
    event(name, 'a-1', { time: now - 601 }),
    event(name, 'a-1', { distinct_id: 'v' }),
    event(name, 'a-2'),
  );
  assert.equal(await world.count(name), 4);
  const twin = freshName();
  await world.send(event(twin, 'a-1'));
  assert.equal(await world.count(twin), 1);
  assert.equal(await world.count(name), 4);
});

test('the whole old version is gone: filters, splits and people', async () => {
  const name = freshName();
  await world.send(event(name, 'a-1', { old: true, price: 1 }), event(name, 'a-2', { price: 1 }));
  await world.send(event(name, 'a-1', { price: 2 }));
  assert.equal(await world.count(name, { where: 'defined(properties["old"])' }), 0);
  assert.equal(await world.count(name, { where: 'properties["price"] == 1' }), 1);
  assert.equal(await world.count(name, { where: 'properties["price"] == 2' }), 1);
});

test('events without $insert_id never collapse, nor do those with an invalid one', async () => {
  const name = freshName();
  const same = { time: now - 60, distinct_id: 'u' };
  await world.send(world.event(name, same), world.event(name, same));
  await world.send(world.event(name, same));
  assert.equal(await world.count(name), 3);
  const other = freshName();
  for (const invalid of ['has blank', 'x'.repeat(37), 'ünicode', ''])
    await world.send(event(other, invalid), event(other, invalid));
  assert.equal(await world.count(other), 8);
});

test('many, twice, in different batches', async () => {
  const name = freshName();
  const batch = (from, v) => Array.from({ length: 1000 }, (_, n) => event(name, `m-${from + n}`, { v }));
  await world.send(...batch(0, 'a'));
  await world.send(...batch(500, 'b'));
  await world.send(...batch(0, 'c'));
  assert.deepEqual(await versions(name), { c: 1000, b: 500 });
});

test('the same at the same time from many clients', async () => {
  const name = freshName();
  await Promise.all(
    Array.from({ length: 40 }, (_, n) =>
      world.send(...Array.from({ length: 5 }, (_, k) => event(name, `c-${k}`, { v: n }))),
    ),
  );
  assert.equal(await world.count(name), 5);
});
