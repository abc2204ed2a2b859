// Profiles: what servers are told over /engage and /groups is what they have, over restarts and kills; clients that
// change one profile at once lose nothing; whose profile a message changes; and that deleting a person or a project
// takes the profiles along. What a server has is read from its directory when it has stopped (profiles_dump.c).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { base64, binary, cairn, createProject, query, sleep, World } from './harness.mjs';

const dump = path.join(path.dirname(binary), 'tests/e2e/profiles_dump');
let world;
before(async () => {
  world = await World.start({ role: 'owner' });
});
after(() => world?.end());

const json = { 'Content-Type': 'application/json' };
async function post(target, body, params = {}) {
  const answer = await world.server.request(`${target}?${query(params)}`, {
    method: 'POST',
    headers: json,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return answer;
}
const user = (id, rest) => ({ $token: world.token, $distinct_id: id, ...rest });
const group = (key, id, rest) => ({ $token: world.token, $group_key: key, $group_id: id, ...rest });
async function engage(...messages) {
  const answer = await post('/engage', messages);
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '1');
}

// The profiles by event and id, without $last_seen unless it is asked for.
async function profiles({ kill = false, seen = false, project = world.project.project_id } = {}) {
  if (kill) await world.server.kill();
  else await world.server.stop();
  const result = spawnSync(dump, [world.data, String(project)], { encoding: 'utf8', maxBuffer: 64 << 20 });
  assert.equal(result.status, 0, result.stderr);
  await world.restart();
  const found = {};
  for (const line of result.stdout.split('\n').filter(Boolean)) {
    const { event, id, properties } = JSON.parse(line);
    if (!seen) delete properties.$last_seen;
    assert.equal(found[`${event} ${id}`], undefined, 'one row a profile');
    found[`${event} ${id}`] = properties;
  }
  return found;
}

test('every operator, in the order of the messages', async () => {
  await engage(
    user('op', { $set: { a: 1, b: 'x', l: [1, 2], gone: true }, $ip: '1.2.3.4', $device_id: 'D' }),
    user('op', { $set_once: { a: 2, once: 'yes' }, $add: { n: 2.5 }, $append: { l: 3 }, $unset: ['gone'] }),
    user('op', { $union: { l: [3, 4] }, $remove: { l: 1 }, $add: { n: 0.5, m: -1 } }),
    user('brief', { $set: { a: 1 } }),
    user('brief', { $delete: '' }),
  );
  await engage(user('op', { $append: { $transactions: { $amount: 9, $time: '2024-01-01T00:00:00' } } }));
  const found = await profiles({ seen: true });
  assert.match(found['$user op'].$last_seen, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  delete found['$user op'].$last_seen;
  assert.deepEqual(found['$user op'], {
    a: 1,
    b: 'x',
    once: 'yes',
    n: 3,
    m: -1,
    l: [2, 3, 4],
    $transactions: [{ $amount: 9, $time: '2024-01-01T00:00:00' }],
  });
  assert.equal(found['$user brief'], undefined);
});

test('all forms of a request, with a slash and without', async () => {
  let n = 0;
  const message = () => user('forms', { $add: { n: 1 }, $append: { l: ++n } });
  const form = (text) => ({
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: text,
  });
  const answers = [
    await post('/engage/', message(), { verbose: 1 }),
    await post('/engage', { data: [message(), message()] }, { verbose: 1 }),
    await world.server.request('/engage/?ip=0', form(`verbose=1&data=${encodeURIComponent(JSON.stringify(message()))}`)),
    await world.server.request('/engage?verbose=1', form(`data=${base64(message())}`)),
    await world.server.request(`/engage/?${query({ verbose: 1, data: base64([message()]) })}`),
  ];
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json(), { error: null, status: 1 });
  }
  assert.equal((await world.server.request(`/engage?${query({ data: base64(message()) })}`)).text, '1');
  assert.equal((await world.server.request(`/engage?${query({ data: base64(message()), callback: 'f' })}`)).text, 'f(1)');
  const pixel = await world.server.request(`/engage?${query({ data: base64(message()), img: 1 })}`);
  assert.equal(pixel.headers['content-type'], 'image/gif');
  const found = await profiles();
  assert.deepEqual(found['$user forms'], { n, l: Array.from({ length: n }, (_, i) => i + 1) });
});

test('a bad message in the middle: the others count, the first reason is told', async () => {
  const messages = [
    user('mid', { $add: { n: 1 } }),
    user('mid', { $add: { n: 'five' } }),
    { $token: world.token, $set: { a: 1 } },
    user('mid', { $union: { l: { a: 1 } } }),
    user('mid', { $add: { n: 1 } }),
  ];
  assert.equal((await post('/engage', messages)).text, '0');
  const verbose = await post('/engage', messages, { verbose: 1 });
  assert.deepEqual(verbose.json(), { error: "'$add.n' is invalid: must be a number", status: 0 });
  const strict = await post('/engage', messages, { strict: 1, verbose: 1, ip: 0 });
  assert.equal(strict.status, 400);
  assert.deepEqual(
    strict.json().failed_records.map(({ index, field }) => [index, field]),
    [
      [1, '$add.n'],
      [2, '$distinct_id'],
      [3, '$union.l'],
    ],
  );
  assert.equal(strict.json().status, 0);
  const good = await post('/engage', [messages[0], messages[4]], { strict: 1 });
  assert.deepEqual(good.json(), { code: 200, error: null, num_good_events: 2, num_records_imported: 2, status: 1 });
  const big = user('mid', { $set: Object.fromEntries(Array.from({ length: 2001 }, (_, i) => [`p${i}`, i])) });
  assert.match((await post('/engage', [big], { verbose: 1 })).json().error, /2000 properties/);
  const many = await post('/engage', Array.from({ length: 2001 }, () => messages[0]));
  assert.equal(many.status, 413);
  const found = await profiles();
  assert.deepEqual(found['$user mid'], { n: 8 });
});

test('clients that add at once: each addition counts, also those before a kill', async () => {
  const clients = 4,
    rounds = 60;
  const add = async (name) => {
    for (let i = 0; i < rounds; i++) {
      const answer = await post('/engage', [user('hot', { $add: { n: 1, [name]: 1 }, $append: { [`${name}s`]: i } })]);
      assert.equal(answer.text, '1');
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, i) => add(`c${i}`)));
  const found = (await profiles({ kill: true }))['$user hot'];
  assert.equal(found.n, clients * rounds);
  for (let i = 0; i < clients; i++) {
    assert.equal(found[`c${i}`], rounds);
    assert.deepEqual(
      found[`c${i}s`],
      Array.from({ length: rounds }, (_, k) => k),
    );
  }
});

test('a profile follows its user; one of an anonymous device stays behind', async () => {
  await engage(user('$device:P1', { $set: { from: 'anonymous' } }));
  await world.send(world.event('linked', { $device_id: 'P1', $user_id: 'pia' }));
  await engage(user('$device:P1', { $set: { from: 'device' } }), user('pia', { $set: { also: 1 } }));
  await engage(user('$device:P1', { $set: { from: 'literally' }, $ignore_alias: true }));
  const found = await profiles();
  assert.deepEqual(found['$user pia'], { from: 'device', also: 1 });
  assert.deepEqual(found['$user $device:P1'], { from: 'literally' });
});

test('groups: a key is made by using it; ids keep their type', async () => {
  const answers = await Promise.all([
    post('/groups', group('company', 42, { $set: { plan: 'pro' } })),
    post('/groups/', [group('company', 'acme', { $set: { plan: 'free' } }), group('team', '42', { $set: { plan: 'x' } })]),
    post('/groups', group('company', 42, { $union: { tags: ['a', 'b'] } }), { verbose: 1 }),
  ]);
  assert.deepEqual(
    answers.map((answer) => answer.text),
    ['1', '1', '{"error":null,"status":1}'],
  );
  const missing = await post('/groups', { $token: world.token, $group_id: 1, $set: {} }, { verbose: 1 });
  assert.equal(missing.json().error, '$group_key, missing or empty');
  const found = await profiles();
  assert.deepEqual(found['$group:company 42'], { plan: 'pro', tags: ['a', 'b'], $group_id: 42 });
  assert.deepEqual(found['$group:company acme'], { plan: 'free', $group_id: 'acme' });
  assert.deepEqual(found['$group:team 42'], { plan: 'x', $group_id: '42' });
});

test('deleting a person takes the profiles of all ids, and no group', async () => {
  await engage(user('$device:Q1', { $set: { a: 1 } }), user('quentin', { $set: { a: 2 } }));
  await post('/groups', group('company', 'quentin', { $set: { a: 3 } }));
  await world.send(world.event('linked', { $device_id: 'Q1', $user_id: 'quentin' }));
  const answer = await world.server.request(`/api/app/projects/${world.project.project_id}/deletions`, {
    method: 'POST',
    headers: { ...json, Authorization: world.authorization },
    body: JSON.stringify({ distinct_ids: ['quentin'] }),
  });
  assert.equal(answer.status, 201, answer.text);
  for (let i = 0; i < 100 && (await world.count('linked')) > 1; i++) await sleep(100);
  let found = await profiles();
  assert.equal(found['$user quentin'], undefined);
  assert.equal(found['$user $device:Q1'], undefined);
  assert.deepEqual(found['$group:company quentin'], { a: 3, $group_id: 'quentin' });
  await engage(user('quentin', { $set: { b: 1 } }));
  found = await profiles();
  assert.deepEqual(found['$user quentin'], { b: 1 });
});

test('a page of another origin may send and read', async () => {
  const preflight = await world.server.request('/engage/', {
    method: 'OPTIONS',
    headers: { Origin: 'https://shop.example', 'Access-Control-Request-Method': 'POST' },
  });
  assert.equal(preflight.status, 204);
  const answer = await world.server.request('/groups/?verbose=1', {
    method: 'POST',
    headers: { Origin: 'https://shop.example', 'Content-Type': 'application/x-www-form-urlencoded' },
    body: `data=${base64(group('company', 1, { $set: {} }))}`,
  });
  assert.equal(answer.headers['access-control-allow-origin'], 'https://shop.example');
  assert.equal(answer.json().status, 1);
});

test('events of the project show nothing of its profiles', async () => {
  const total = await world.segmentation({ event: '$user' });
  assert.equal(total.status, 200);
  assert.deepEqual(Object.values(total.json().data.values.$user ?? {}).filter((n) => n > 0), []);
});

test('a deleted project loses its profiles, also when it has nothing else', async () => {
  const other = createProject(world.data, { name: 'Only profiles' });
  await sleep(1500); // the server looks once a second
  await engage({ $token: other.token, $distinct_id: 'u', $set: { a: 1 } });
  assert.equal(Object.keys(await profiles({ project: other.project_id })).length, 1);
  const deleted = cairn(['project', 'delete', '--data', world.data, '--id', other.project_id, '--yes']);
  assert.equal(deleted.code, 0, deleted.stderr);
  await sleep(3000);
  assert.deepEqual(await profiles({ project: other.project_id }), {});
});

test('the directory is sound', async () => {
  await world.server.stop();
  const verified = cairn(['verify', '--data', world.data, '--deep']);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  const inspected = cairn(['inspect', '--data', world.data]);
  assert.match(inspected.stdout, /profiles of project \d+/);
  await world.restart();
});
