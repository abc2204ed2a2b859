// The simplified identity mode, from outside: which ids become one person, in which order, and that it holds
// backwards.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { basic, base64, day, freshName, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());

let ids = 0;
const fresh = (kind) => `${kind}-${process.pid}-${++ids}`;
const post = (path, body, { headers = {}, token = true } = {}) =>
  world.server.request(`/identity/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body:
      typeof body === 'string' || Buffer.isBuffer(body)
        ? body
        : JSON.stringify(token ? { $token: world.token, ...body } : body),
  });
const person = (event, properties) => world.event(event, properties);
// {distinct_id as reported: number of events}
// From three days back: some events are of the day before yesterday, when it is just after midnight.
const byPerson = (event) => world.totals({ event, on: 'properties["$distinct_id"]', from_date: day(-3) });
function assertLinked(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json(), { error: null, status: 1 });
}

test('the example of eight events: two people, and each event with the right one', async () => {
  const name = freshName();
  const [d1, d2, u1, u2] = ['D1', 'D2', 'U1', 'U2'].map(fresh);
  const rows = [
    [{ $device_id: d1 }, u1],
    [{ $device_id: d1, $user_id: u1 }, u1],
    [{ $device_id: d1 }, u1],
    [{ $device_id: d2 }, u1],
    [{ $device_id: d2, $user_id: u1 }, u1],
    [{ $device_id: d1, $user_id: u2 }, u2],
    [{ $device_id: d1 }, u1],
    [{ $user_id: u2 }, u2],
  ];
  // One request each, so that the order is beyond doubt.
  for (const [n, [properties]] of rows.entries()) await world.send(person(name, { ...properties, row: n + 1 }));
  assert.equal(await world.count(name), 8);
  assert.equal(await world.uniques(name), 2);
  const u1Rows = rows.filter(([, user]) => user === u1).length;
  assert.deepEqual(await byPerson(name), { [u1]: u1Rows, [u2]: 8 - u1Rows });
  for (const [n, [, user]] of rows.entries())
    assert.equal(
      await world.count(name, { where: `properties["row"] == ${n + 1} and properties["$distinct_id"] == "${user}"` }),
      1,
      `row ${n + 1}`,
    );
  assert.equal(
    await world.count(name, {
      where: 'properties["$identity_failure_reason"] == "errAnonDistinctIdAssignedAlready"',
    }),
    1,
  );
  assert.equal(
    await world.count(name, {
      where: `properties["$identity_failure_reason"] == "errAnonDistinctIdAssignedAlready" and properties["row"] == 6`,
    }),
    1,
  );
});

test('the same eight events in one batch', async () => {
  const name = freshName();
  const [d1, d2, u1, u2] = ['D1', 'D2', 'U1', 'U2'].map(fresh);
  await world.send(
    ...[
      { $device_id: d1 },
      { $device_id: d1, $user_id: u1 },
      { $device_id: d1 },
      { $device_id: d2 },
      { $device_id: d2, $user_id: u1 },
      { $device_id: d1, $user_id: u2 },
      { $device_id: d1 },
      { $user_id: u2 },
    ].map((properties) => person(name, properties)),
  );
  assert.equal(await world.uniques(name), 2);
  assert.deepEqual(await byPerson(name), { [u1]: 6, [u2]: 2 });
});

test('distinct_id alone is a user, or with $device: in front a device', async () => {
  const name = freshName();
  const [device, user] = [fresh('d'), fresh('u')];
  await world.send(person(name, { distinct_id: `$device:${device}` }));
  assert.deepEqual(await byPerson(name), { [`$device:${device}`]: 1 });
  await world.send(
    person(name, { distinct_id: user }),
    person(name, { $user_id: user }),
    person(name, { $device_id: device }),
  );
  assert.deepEqual(await byPerson(name), { [`$device:${device}`]: 2, [user]: 2 });
  assert.equal(await world.uniques(name), 2);
  await world.send(person(name, { $device_id: device, $user_id: user }));
  assert.deepEqual(await byPerson(name), { [user]: 5 });
});

test('exactly one $device: prefix is taken off', async () => {
  const name = freshName();
  const device = fresh('d');
  await world.send(
    person(name, { distinct_id: `$device:$device:${device}` }),
    person(name, { $device_id: `$device:${device}` }),
  );
  assert.equal(await world.uniques(name), 1);
});

test('the $ ids win over a distinct_id that says something else', async () => {
  const name = freshName();
  const [user, someone] = [fresh('u'), fresh('x')];
  await world.send(person(name, { distinct_id: someone, $user_id: user }), person(name, { $user_id: user }));
  assert.deepEqual(await byPerson(name), { [user]: 2 });
});

test('a link holds backwards and forwards, and over a restart', async () => {
  const name = freshName();
  const [device, user] = [fresh('d'), fresh('u')];
  await world.send(person(name, { $device_id: device }), person(name, { $user_id: user }));
  assert.equal(await world.uniques(name), 2);
  await world.send(person(freshName('login'), { $device_id: device, $user_id: user }));
  assert.equal(await world.uniques(name), 1);
  await world.restart();
  assert.equal(await world.uniques(name), 1);
  await world.send(person(name, { $device_id: device }));
  assert.deepEqual(await byPerson(name), { [user]: 3 });
  await world.restart({ kill: true });
  assert.deepEqual(await byPerson(name), { [user]: 3 });
});

test('one event is enough, also when it is back-dated', async () => {
  const name = freshName();
  const [device, user] = [fresh('d'), fresh('u')];
  const hour = Math.floor(Date.now() / 1000) - 3600;
  await world.send(person(name, { $device_id: device, time: hour + 60 }));
  await world.send(person(name, { $device_id: device, $user_id: user, time: hour - 86400 }));
  assert.deepEqual(await byPerson(name), { [user]: 2 });
});

test('the verbs do not link, and are answered with success', async () => {
  const name = freshName();
  for (const verb of ['$identify', '$create_alias', '$merge']) {
    const [device, user] = [fresh('d'), fresh('u')];
    await world.send(person(name, { $device_id: device }));
    const properties = {
      $device_id: device,
      $user_id: user,
      distinct_id: user,
      $anon_distinct_id: `$device:${device}`,
      alias: device,
      $distinct_ids: [device, user],
    };
    const answer = await world.server.request('/track', {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: `data=${encodeURIComponent(base64(person(verb, properties)))}`,
    });
    assert.equal(answer.text, '1', verb);
    assert.equal(
      await world.count(name, { where: `properties["$distinct_id"] == "${user}"` }),
      0,
      `${verb} must not link`,
    );
    await world.send(person(name, { $device_id: device, $user_id: user }));
    assert.equal(
      await world.count(name, { where: `properties["$distinct_id"] == "${user}"` }),
      2,
      'the next event does',
    );
  }
});

test('many devices, one user', async () => {
  const name = freshName();
  const user = fresh('u');
  const devices = Array.from({ length: 600 }, () => fresh('d'));
  await world.send(...devices.map((device) => person(name, { $device_id: device })));
  assert.equal(await world.uniques(name), 600);
  await world.send(...devices.map((device) => person('login', { $device_id: device, $user_id: user })));
  assert.equal(await world.uniques(name), 1);
});

test("another project's links are its own", async () => {
  const name = freshName();
  const second = await World.start();
  try {
    const [device, user] = [fresh('d'), fresh('u')];
    await second.send(second.event('login', { $device_id: device, $user_id: user }));
    await world.send(person(name, { $device_id: device }));
    assert.deepEqual(await byPerson(name), { [`$device:${device}`]: 1 });
  } finally {
    await second.end();
  }
});

// ---- /identity/* ------------------------------------------------------------------------------------------

test('create: links at once and backwards, with or without the prefix', async () => {
  for (const prefix of ['', '$device:']) {
    const name = freshName();
    const [device, user] = [fresh('d'), fresh('u')];
    await world.send(person(name, { $device_id: device }), person(name, { $user_id: user }));
    assert.equal(await world.uniques(name), 2);
    assertLinked(await post('create', { $identified_id: user, $anon_id: prefix + device }));
    assert.equal(await world.uniques(name), 1);
    assert.deepEqual(await byPerson(name), { [user]: 2 });
    assertLinked(await post('create', { $identified_id: user, $anon_id: prefix + device }));
  }
});

test('create: the first user keeps the device', async () => {
  const name = freshName();
  const [device, first, second] = [fresh('d'), fresh('u'), fresh('u')];
  assertLinked(await post('create', { $identified_id: first, $anon_id: device }));
  const answer = await post('create', { $identified_id: second, $anon_id: device });
  assert.equal(answer.status, 200, 'the request itself was fine');
  await world.send(person(name, { $device_id: device }));
  assert.deepEqual(await byPerson(name), { [first]: 1 });
});

test('create: token instead of $token, or Basic credentials instead of either', async () => {
  const body = () => ({ $identified_id: fresh('u'), $anon_id: fresh('d') });
  assertLinked(await post('create', { token: world.token, ...body() }, { token: false }));
  const basics = [basic(`${world.project.secret}:`), basic(`${world.token}:`)];
  for (const header of basics)
    assertLinked(await post('create', body(), { token: false, headers: { Authorization: header } }));
  // The token in the body is enough, whatever the header says about it.
  assertLinked(await post('create', body(), { headers: { Authorization: world.authorization } }));
});

test('create: what is missing, malformed or not allowed', async () => {
  const full = { $identified_id: fresh('u'), $anon_id: fresh('d') };
  const error = (answer, status) => {
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.headers['content-type'], /^application\/json/);
    const body = answer.json();
    assert.equal(typeof body.error, 'string');
    return body.error;
  };
  assert.match(error(await post('create', { $anon_id: full.$anon_id }), 400), /\$identified_id/);
  assert.match(error(await post('create', { $identified_id: full.$identified_id }), 400), /\$anon_id/);
  assert.match(error(await post('create', { $identified_id: '', $anon_id: 'x' }), 400), /\$identified_id/);
  assert.match(error(await post('create', { $identified_id: { a: 1 }, $anon_id: 'x' }), 400), /\$identified_id/);
  for (const text of ['', '{', '[]', '"x"', 'null', '{"$identified_id":"\xff"}'])
    error(await post('create', Buffer.from(text, 'latin1')), 400);
  error(await post('create', full, { token: false }), 401);
  error(await post('create', { ...full, $token: 'f'.repeat(32) }), 401);
  error(await post('create', full, { token: false, headers: { Authorization: basic('nobody:x') } }), 401);
  const get = await world.server.request('/identity/create');
  assert.equal(get.status, 405);
});

test('create-alias: success; links when exactly one side is a device', async () => {
  const name = freshName();
  const [user, alias, device] = [fresh('u'), fresh('a'), fresh('d')];
  await world.send(
    person(name, { distinct_id: user }),
    person(name, { distinct_id: alias }),
    person(name, { $device_id: device }),
  );
  assertLinked(await post('create-alias', { distinct_id: user, alias }));
  assert.equal(await world.uniques(name), 3, 'two users stay two');
  assertLinked(await post('create-alias', { distinct_id: user, alias: `$device:${device}` }));
  assert.deepEqual(await byPerson(name), { [user]: 2, [alias]: 1 });
  assert.equal((await post('create-alias', { alias })).status, 400);
  assert.equal((await post('create-alias', { distinct_id: user })).status, 400);
});

test('merge: a device and a user become one, two users do not', async () => {
  const name = freshName();
  const [user, second, device] = [fresh('u'), fresh('u'), fresh('d')];
  await world.send(
    person(name, { distinct_id: user }),
    person(name, { distinct_id: second }),
    person(name, { $device_id: device }),
  );
  assertLinked(await post('merge', { $distinct_ids: [`$device:${device}`, user] }));
  assert.deepEqual(await byPerson(name), { [user]: 2, [second]: 1 });
  const refused = await post('merge', { $distinct_ids: [user, second] });
  assert.equal(refused.status, 200);
  assert.deepEqual(refused.json(), {
    status: 0,
    error: 'identity events are not allowed when project is using simplified identity management',
  });
  assert.equal(await world.uniques(name), 2);
  for (const bad of [undefined, [], [user], [user, second, device], 'x', [1, {}]])
    assert.equal((await post('merge', { $distinct_ids: bad })).status, 400, JSON.stringify(bad));
});

test('a slash at the end of the path', async () => {
  assertLinked(await post('create/', { $identified_id: fresh('u'), $anon_id: fresh('d') }));
});
