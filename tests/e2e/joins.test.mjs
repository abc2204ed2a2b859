// user["…"] and group["…"] in questions about events, through a real server: profiles that were written over /engage and
// /groups, users who are linked later, what a deletion takes along, and a restart in between.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { day, freshName, query, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start({ role: 'owner' });
});
after(() => world?.end());

async function write(target, ...messages) {
  const answer = await world.server.request(`${target}?${query({ verbose: 1 })}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(messages.map((message) => ({ $token: world.token, ...message }))),
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json().status, 1, answer.text);
}
const engage = (id, rest) => write('/engage', { $distinct_id: id, ...rest });
const groups = (key, id, rest) => write('/groups', { $group_key: key, $group_id: id, ...rest });

// Numbers by label, of the whole range.
async function ask(event, params) {
  const answer = await world.segmentation({ event, from_date: day(-1), to_date: day(0), ...params });
  assert.equal(answer.status, 200, answer.text);
  const values = Object.entries(answer.json().data.values);
  return Object.fromEntries(values.map(([label, days]) => [label, Object.values(days).reduce((a, b) => a + b, 0)]));
}

test('profiles of users in where and on', async () => {
  const name = freshName();
  await world.send(
    ...['u1', 'u1', 'u2', 'u3'].map((distinct_id, n) => world.event(name, { distinct_id, n })),
    world.event(name, { $device_id: 'd1', n: 9 }),
  );
  await engage('u1', { $set: { plan: 'pro', credit: 1, tags: ['a', 'b'] } });
  await engage('u2', { $set: { plan: 'free', tags: ['b'] } });
  await engage('$device:d1', { $set: { plan: 'hidden later' } });
  const everything = async (device) => {
    assert.deepEqual(await ask(name, { on: 'user["plan"]' }), { pro: 2, free: 1, undefined: 1, ...device });
    assert.deepEqual(await ask(name, { where: 'user["plan"] == "pro"', type: 'unique' }), { [name]: 1 });
    assert.deepEqual(await ask(name, { where: 'properties["n"] >= user["credit"]' }), { [name]: 1 });
  };
  await everything({ 'hidden later': 1 });
  assert.deepEqual(await ask(name, { where: 'defined(user["tags"])', on: 'user["tags"]' }), { a: 2, b: 3 });
  await world.restart();
  await everything({ 'hidden later': 1 });
  await engage('u2', { $set: { plan: 'pro' }, $add: { credit: 0.5 } });
  assert.deepEqual(await ask(name, { on: 'user["plan"]', type: 'unique' }), { pro: 2, undefined: 1, 'hidden later': 1 });

  // The device turns out to be u3's: its events have his profile, which there is none of yet.
  await world.send(world.event(freshName(), { $device_id: 'd1', $user_id: 'u3' }));
  assert.deepEqual(await ask(name, { on: 'user["plan"]' }), { pro: 3, undefined: 2 });
  await engage('u3', { $set: { plan: 'late' } });
  assert.deepEqual(await ask(name, { on: 'user["plan"]' }), { pro: 3, late: 2 });
  await engage('u1', { $delete: '' });
  assert.deepEqual(await ask(name, { on: 'user["plan"]' }), { undefined: 2, pro: 1, late: 2 });
});

test('profiles of groups in where and on', async () => {
  const name = freshName();
  await world.send(
    world.event(name, { distinct_id: 'u1', company: 'acme', team: 5 }),
    world.event(name, { distinct_id: 'u2', company: 'acme', team: [5, '7'] }),
    world.event(name, { distinct_id: 'u3', company: 'initech' }),
  );
  await groups('company', 'acme', { $set: { plan: 'pro', seats: 10 } });
  await groups('team', 5, { $set: { name: 'five' } });
  await groups('team', '7', { $set: { name: 'seven' } });
  assert.deepEqual(await ask(name, { on: 'group["company"]["plan"]' }), { pro: 2, undefined: 1 });
  assert.deepEqual(await ask(name, { on: 'properties["team"]["name"]' }), { five: 2, seven: 1, undefined: 1 });
  assert.deepEqual(await ask(name, { where: 'group["company"]["seats"] > 5', type: 'unique' }), { [name]: 2 });
  await world.restart();
  await groups('company', 'acme', { $set: { plan: 'free' } });
  assert.deepEqual(await ask(name, { on: 'group["company"]["plan"]' }), { free: 2, undefined: 1 });
});

test('what is wrong with an expression is said', async () => {
  const name = freshName();
  await world.send(world.event(name, { distinct_id: 'w1' }));
  await engage('w1', { $set: { vip: 5 } });
  for (const where of ['user[vip]', 'user["vip"', 'user["vip"] and true', 'group["company"]["plan"'])
    assert.equal((await world.segmentation({ event: name, from_date: day(0), to_date: day(0), where })).status, 400);
});
