// The original and the legacy identity mode, from outside: verbs and what they need, reasons, the limit of a person's
// ids, profiles, what each reader sees; and, in all modes, requests that race, input that makes no sense, the mode that stays.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { basic, cairn, createProject, day, freshName, query, request, World } from './harness.mjs';

const worlds = {};
before(async () => {
  for (const identity of ['simplified', 'original', 'legacy']) worlds[identity] = await World.start({ identity });
});
after(() => Promise.all(Object.values(worlds).map((world) => world.end())));

const json = { 'Content-Type': 'application/json' };
const fresh = (kind) => freshName(kind).replaceAll(' ', '-');
const byPerson = (world, event, params) => world.totals({ event, on: 'properties["$distinct_id"]', ...params });
const imported = (world, events, strict = 1) =>
  world.server.request(`/import?strict=${strict}`, {
    method: 'POST',
    headers: { ...json, Authorization: basic(`${world.project.secret}:`) },
    body: JSON.stringify(events),
  });
const post = (world, target, body) =>
  world.server.request(target, { method: 'POST', headers: json, body: JSON.stringify(body) });
async function linked(world, target, body) {
  const answer = await post(world, `/identity/${target}`, { $token: world.token, ...body });
  assert.deepEqual([answer.status, answer.json()], [200, { error: null, status: 1 }]);
}
const identify = (world, user, anonymous, more = {}) =>
  world.event('$identify', { distinct_id: user, $anon_distinct_id: anonymous, ...more });
const alias = (world, id, name, more = {}) => world.event('$create_alias', { distinct_id: id, alias: name, ...more });
const merge = (world, ids, more = {}) =>
  world.event('$merge', { $distinct_ids: ids, time: Math.floor(Date.now() / 1000), $insert_id: randomUUID(), ...more });
async function exported(world, event) {
  const params = { project_id: world.project.project_id, from_date: day(-1), to_date: day(0), event: JSON.stringify([event]) };
  const answer = await world.server.request(`/api/2.0/export?${query(params)}`, { headers: { Authorization: world.authorization } });
  assert.equal(answer.status, 200, answer.text);
  return answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line).properties);
}
async function feed(world, ...ids) {
  const params = { project_id: world.project.project_id, from_date: day(-1), to_date: day(1), distinct_ids: JSON.stringify(ids) };
  const answer = await world.server.request(`/api/query/stream/query?${query(params)}`, { headers: { Authorization: world.authorization } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json().results.events;
}
async function profiles(world, params = {}) {
  const answer = await world.server.request(`/api/query/engage?project_id=${world.project.project_id}`, {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: query(params),
  });
  assert.equal(answer.status, 200, answer.text);
  const all = answer.json().results;
  for (const { $properties } of all) delete $properties.$last_seen;
  return Object.fromEntries(all.map((one) => [one.$distinct_id, one.$properties]));
}
async function engage(world, id, set) {
  const answer = await post(world, '/engage', [{ $token: world.token, $distinct_id: id, $set: set }]);
  assert.equal(answer.text, '1');
}
async function sound(world) {
  await world.server.stop();
  const verified = cairn(['verify', '--data', world.data, '--deep']);
  assert.equal(verified.code, 0, verified.stdout + verified.stderr);
  await world.restart();
}

test('original: every reason for a link that is not made, on the event, by track and by a strict import', async () => {
  const world = worlds.original;
  const [user, other, name, mark] = [fresh('user'), fresh('user'), fresh('name'), fresh('mark')];
  const [taken, free] = [randomUUID(), randomUUID()];
  await world.send(identify(world, user, taken), alias(world, user, name));
  const rows = [
    [identify(world, user, user, { mark, row: 0 }), 'errSameIDs', user],
    [identify(world, other, 'not made up', { mark, row: 1 }), 'errAnonDistinctIdNonGUIDForm', 'not made up'],
    [identify(world, other, taken, { mark, row: 2 }), 'errAnonDistinctIdAssignedAlready', taken],
    [alias(world, other, name, { mark, row: 3 }), 'errAliasAlreadyExists', 'alias already exists'],
    [alias(world, other, other, { mark, row: 4 }), 'errSameIDs', other],
    [identify(world, user, taken, { mark, row: 5 }), undefined, undefined],
    [identify(world, other, free, { mark, row: 6 }), undefined, undefined],
  ];
  await world.send(...rows.map(([event]) => event));
  const more = [
    [merge(world, [user, user], { mark, row: 7 }), 'errSameIDs', user],
    [identify(world, user, free, { mark, row: 8, time: Math.floor(Date.now() / 1000), $insert_id: randomUUID() }), 'errAnonDistinctIdAssignedAlready', free],
  ];
  const answer = await imported(world, more.map(([event]) => event));
  assert.deepEqual(answer.json(), { code: 200, num_records_imported: 2, status: 'OK' });
  const seen = (await Promise.all(['$identify', '$create_alias', '$merge'].map((event) => exported(world, event)))).flat();
  for (const [event, reason, said] of [...rows, ...more]) {
    const properties = seen.find((one) => one.mark === mark && one.row === event.properties.row);
    assert.equal(properties.$failure_reason, reason, `row ${event.properties.row}`);
    if (said) assert.ok(properties.$failure_description.includes(said), properties.$failure_description);
    else assert.equal(properties.$failure_description, undefined);
  }
  assert.deepEqual(await byPerson(world, '$identify', { where: `properties["mark"] == "${mark}"` }), { [user]: 3, [other]: 3 });
});

test('original: a person has up to 500 ids; another one stays alone, and the request succeeds', async () => {
  const world = worlds.original;
  const [user, name] = [fresh('user'), freshName()];
  const devices = Array.from({ length: 501 }, () => randomUUID());
  const now = Math.floor(Date.now() / 1000);
  const events = devices.flatMap((device) => [
    world.event(name, { distinct_id: device, time: now, $insert_id: randomUUID() }),
    identify(world, user, device, { time: now, $insert_id: randomUUID() }),
  ]);
  for (let from = 0; from < 1002; from += 167) {
    const answer = await imported(world, events.slice(from, from + 167));
    assert.deepEqual(answer.json(), { code: 200, num_records_imported: 167, status: 'OK' });
  }
  assert.deepEqual(await byPerson(world, name), { [user]: 499, [devices[499]]: 1, [devices[500]]: 1 });
  const refused = (await exported(world, '$identify')).filter((one) => one.$failure_reason === 'errManyIDs');
  assert.equal(refused.length, 2);
  assert.match(refused[0].$failure_description, /Cluster size: 501 Max limit: 500/);
  /* nor does a merge make it larger; one below it does */
  assert.equal((await imported(world, [merge(world, [devices[0], devices[500]])])).status, 200);
  assert.equal(Object.keys(await byPerson(world, name)).length, 3);
  assert.equal((await imported(world, [merge(world, [devices[499], devices[500]])])).status, 200);
  const people = await byPerson(world, name);
  assert.equal(people[user], 499);
  assert.equal(Object.keys(people).length, 2);
  await world.restart({ kill: true });
  assert.deepEqual(await byPerson(world, name), people);
});

test('original: the limit is an option, and what was linked under another one stays', async () => {
  const world = await World.start({ identity: 'original', server: { args: ['--set', 'ingest.cluster_ids_max=3'] } });
  try {
    const [user, name] = [fresh('user'), freshName()];
    const devices = Array.from({ length: 4 }, () => randomUUID());
    for (const device of devices) await world.send(world.event(name, { distinct_id: device }), identify(world, user, device));
    const people = { [user]: 2, [devices[2]]: 1, [devices[3]]: 1 };
    assert.deepEqual(await byPerson(world, name), people);
    world.serverOptions = { args: ['--set', 'ingest.cluster_ids_max=2'] };
    await world.restart({ kill: true });
    assert.deepEqual(await byPerson(world, name), people);
    world.serverOptions = {};
    await world.restart({ kill: true });
    assert.deepEqual(await byPerson(world, name), people, 'the log says what the limit was');
    await world.send(identify(world, user, devices[3]));
    assert.deepEqual(await byPerson(world, name), { [user]: 3, [devices[2]]: 1 });
  } finally {
    await world.end();
  }
});

test('original: chains, many aliases of one id, circles of aliases', async () => {
  const world = worlds.original;
  const name = freshName();
  const ids = Array.from({ length: 6 }, () => fresh('id'));
  await world.send(...ids.map((id) => world.event(name, { distinct_id: id })));
  assert.equal(await world.uniques(name), 6);
  /* 1 → 0, 2 → 1, 3 → 0: a chain and two of one id; 0 → 2 closes a circle */
  for (const [a, b] of [
    [1, 0],
    [2, 1],
    [3, 0],
    [0, 2],
    [4, 5],
    [5, 4],
  ])
    await world.send(alias(world, ids[b], ids[a]));
  const people = await byPerson(world, name);
  assert.deepEqual(Object.values(people).sort(), [2, 4]);
  assert.equal(people[ids[0]], 4, 'the first that was identified');
  for (const id of ids.slice(0, 4)) {
    const asked = await feed(world, id);
    assert.equal(asked.filter(({ event }) => event === name).length, 4);
    for (const { properties } of asked) assert.equal(properties.$distinct_id ?? properties.distinct_id, ids[0]);
  }
  await sound(world);
  assert.deepEqual(await byPerson(world, name), people);
});

test('original: an id that is taken out is free, and so is its alias; the others stay together', async () => {
  const world = worlds.original;
  const [user, other, name, nick, device, second] = [fresh('user'), fresh('user'), freshName(), fresh('nick'), randomUUID(), randomUUID()];
  for (const id of [nick, device, second]) await world.send(world.event(name, { distinct_id: id }));
  await world.send(alias(world, user, nick), identify(world, user, device), identify(world, user, second), world.event(name, { distinct_id: user }));
  assert.deepEqual(await byPerson(world, name), { [user]: 4 });
  const unlink = (id) =>
    world.server.request(`/api/app/projects/${world.project.project_id}/identities/${id}`, {
      method: 'DELETE',
      headers: { Authorization: world.authorization },
    });
  assert.equal((await unlink(device)).status, 200);
  assert.deepEqual(await byPerson(world, name), { [user]: 3, [device]: 1 });
  await world.send(identify(world, other, device));
  assert.deepEqual(await byPerson(world, name), { [user]: 3, [other]: 1 });
  assert.equal((await unlink(user)).status, 200);
  assert.deepEqual(await byPerson(world, name), { [user]: 1, [nick]: 2, [other]: 1 });
  await world.restart({ kill: true });
  await world.send(alias(world, other, nick));
  assert.deepEqual(await byPerson(world, name), { [user]: 1, [other]: 3 });
  assert.equal((await unlink(user)).status, 409);
  await sound(world);
  assert.deepEqual(await byPerson(world, name), { [user]: 1, [other]: 3 });
});

test('original: verbs with other ids than they need', async () => {
  const world = worlds.original;
  const [a, b, c, name] = [fresh('id'), fresh('id'), fresh('id'), freshName()];
  await world.send(...[a, b, c].map((id) => world.event(name, { distinct_id: id })));
  /* three, one, none, no list, denied: refused everywhere, strict or not */
  for (const ids of [[a, b, c], [a], [], a, [a, 'undefined'], [a, ''], [a, null], undefined]) {
    for (const strict of [0, 1]) {
      const answer = await imported(world, [merge(world, ids)], strict);
      if (strict) assert.equal(answer.status, 400, answer.text);
      else assert.equal(answer.text, '0');
    }
    const asked = await post(world, '/identity/merge', { $token: world.token, $distinct_ids: ids });
    assert.equal(asked.status, 400, asked.text);
  }
  /* a merge wants a secret */
  assert.equal((await world.track([merge(world, [a, b])])).text, '0');
  assert.equal(await world.uniques(name), 3);
  const texts = async (event) => (await imported(world, [{ ...event, properties: { time: Math.floor(Date.now() / 1000), $insert_id: randomUUID(), ...event.properties } }])).text;
  assert.match(await texts(world.event('$identify', { $identified_id: a })), /\$anon_/);
  assert.match(await texts(world.event('$identify', { $anon_id: randomUUID() })), /\$identified_id/);
  assert.match(await texts(world.event('$create_alias', { distinct_id: a })), /alias/);
  assert.match(await texts(world.event('$create_alias', { alias: a })), /distinct_id/);
  assert.match(await texts(world.event('$create_alias', { distinct_id: a, alias: 'undefined' })), /alias/);
  /* by track they are events, and link nothing */
  await world.send(world.event('$create_alias', { distinct_id: a, alias: '' }), world.event('$identify', { distinct_id: a }));
  assert.equal(await world.uniques(name), 3);
  /* $device_id and $user_id link nothing in this mode */
  await world.send(world.event(name, { distinct_id: a, $device_id: b, $user_id: c }));
  assert.equal(await world.uniques(name), 3);
});

test('original: one profile of people who become one, whichever id is written to', async () => {
  const world = worlds.original;
  const [user, other, device, name] = [fresh('user'), fresh('user'), randomUUID(), freshName()];
  await engage(world, user, { plan: 'pro', name: 'Ann' });
  await engage(world, device, { plan: 'free', seen: 'ad' });
  await engage(world, other, { plan: 'gone', city: 'Kiel' });
  await world.send(world.event(name, { distinct_id: user }), identify(world, user, device));
  assert.deepEqual((await profiles(world, { distinct_id: user }))[user], { plan: 'pro', name: 'Ann', seen: 'ad' });
  assert.equal((await imported(world, [merge(world, [user, other])])).status, 200);
  const whole = { plan: 'pro', name: 'Ann', seen: 'ad', city: 'Kiel' };
  for (const id of [user, other, device]) assert.deepEqual(await profiles(world, { distinct_id: id }), { [user]: whole });
  await engage(world, other, { plan: 'team' });
  await engage(world, device, { last: 1 });
  await world.restart({ kill: true });
  const all = await profiles(world);
  assert.deepEqual(all[user], { ...whole, plan: 'team', last: 1 });
  assert.equal(all[other], undefined);
  assert.equal(all[device], undefined);
  assert.deepEqual(await world.totals({ event: name, on: 'user["plan"]' }), { team: 1 });
  await sound(world);
  assert.deepEqual((await profiles(world))[user], { ...whole, plan: 'team', last: 1 });
});

test('original and legacy: what each reader sees', async () => {
  const [name, user, device] = [freshName(), fresh('user'), randomUUID()];
  const world = worlds.original;
  await world.send(world.event(name, { distinct_id: device, n: 1, $device_id: 'raw', $user_id: 'raw too' }));
  await world.send(identify(world, user, device), world.event(name, { distinct_id: user, n: 2 }));
  for (const rows of [await exported(world, name), (await feed(world, device)).filter(({ event }) => event === name).map(({ properties }) => properties)]) {
    const [first, second] = rows.sort((a, b) => a.n - b.n);
    assert.equal(first.distinct_id, user);
    assert.equal(first.$distinct_id_before_identity, device);
    assert.equal(first.$device_id, 'raw');
    assert.equal(first.$user_id, 'raw too');
    assert.equal(second.distinct_id, user);
    assert.equal(second.$distinct_id_before_identity, undefined);
  }
  const verb = (await exported(world, '$identify')).find((one) => one.$anon_distinct_id === device);
  assert.equal(verb.distinct_id, user);

  const old = worlds.legacy;
  const [target, nick] = [fresh('user'), fresh('nick')];
  await old.send(old.event(name, { distinct_id: nick, n: 1 }), alias(old, target, nick), old.event(name, { distinct_id: nick, n: 2 }));
  await engage(old, nick, { plan: 'pro' });
  const rows = (await exported(old, name)).sort((a, b) => a.n - b.n);
  assert.deepEqual(rows.map((one) => [one.distinct_id, one.$distinct_id_before_identity]), [[nick, undefined], [target, nick]]);
  assert.deepEqual(await byPerson(old, name), { [nick]: 1, [target]: 1 });
  assert.deepEqual((await profiles(old))[target], { plan: 'pro' });
  assert.equal((await feed(old, target)).filter(({ event }) => event === name).length, 1);
  assert.equal((await feed(old, nick)).filter(({ event }) => event === name).length, 2);
});

test('legacy: once, one step, no circle; taken back, it counts from then on', async () => {
  const world = worlds.legacy;
  const [a, b, c, name] = [fresh('id'), fresh('id'), fresh('id'), freshName()];
  const send = (id) => world.send(world.event(name, { distinct_id: id }));
  await world.send(alias(world, b, a), alias(world, c, b), alias(world, c, a), alias(world, a, a));
  await send(a);
  await send(b);
  assert.deepEqual(await byPerson(world, name), { [b]: 1, [c]: 1 }, 'a is b, and b is c, and a is not c');
  await world.send(alias(world, a, c));
  await send(c);
  assert.deepEqual(await byPerson(world, name), { [b]: 1, [c]: 1, [a]: 1 }, 'a circle');
  const place = `/api/app/projects/${world.project.project_id}/identities/${a}`;
  const shown = await world.server.request(place, { headers: { Authorization: world.authorization } });
  const who = shown.json().results;
  assert.equal(who.alias_of, b);
  assert.equal(who.canonical_id, a);
  assert.match(who.since, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  assert.deepEqual(who.links, [{ ids: [a, b], by: 'alias', at: who.since }]);
  const said = cairn(['identity', 'show', '--url', world.url, '--credentials', `${world.account.username}:${world.account.secret}`, '--project', world.project.project_id, a]);
  assert.ok(said.stdout.startsWith(`"${a}" stands for "${b}": what comes under it since ${who.since} UTC`), said.stdout + said.stderr);
  const undone = await world.server.request(place, { method: 'DELETE', headers: { Authorization: world.authorization } });
  assert.equal(undone.status, 200, undone.text);
  assert.equal(undone.json().results.taken_from, b);
  await send(a);
  assert.deepEqual(await byPerson(world, name), { [b]: 1, [c]: 1, [a]: 2 });
  const again = await world.server.request(place, { method: 'DELETE', headers: { Authorization: world.authorization } });
  assert.equal(again.status, 409, again.text);
  await sound(world);
  await send(c);
  assert.deepEqual(await byPerson(world, name), { [b]: 1, [c]: 1, [a]: 3 });
});

for (const identity of ['simplified', 'original']) {
  test(`${identity}: links and events that race on two connections, and a history of last year`, async () => {
    const world = worlds[identity];
    const name = freshName();
    const users = Array.from({ length: 8 }, () => fresh('user'));
    const devices = Array.from({ length: 40 }, () => randomUUID());
    const last_year = Math.floor(Date.now() / 1000) - 366 * 86_400;
    const of = (device) => (identity === 'simplified' ? { $device_id: device } : { distinct_id: device });
    const link = (device, user, more) =>
      identity === 'simplified' ? world.event(name, { $device_id: device, $user_id: user, ...more }) : identify(world, user, device, { ...more });
    const events = [],
      links = [];
    for (const [i, device] of devices.entries()) {
      const at = { time: i % 2 ? last_year + i : Math.floor(Date.now() / 1000) - i, $insert_id: randomUUID() };
      for (let n = 0; n < 3; n++) events.push(world.event(name, { ...of(device), ...at, $insert_id: randomUUID() }));
      links.push(link(device, users[i % users.length], at));
    }
    /* Each connection sends some of the events and some of the links, in an order of its own, in requests of all sizes. */
    const all = [...events, ...links].sort(() => Math.random() - 0.5);
    const connection = async (part, route) => {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      for (let from = 0, size = 1; from < part.length; from += size, size = (size % 7) + 1) {
        const answer = await request(`${world.url}${route}`, {
          method: 'POST',
          agent,
          headers: { ...json, Authorization: basic(`${world.project.secret}:`) },
          body: JSON.stringify(part.slice(from, from + size)),
        });
        assert.equal(answer.status, 200, answer.text);
      }
      agent.destroy();
    };
    await Promise.all([
      connection(all.filter((_, i) => i % 2), '/import?strict=1'),
      connection(all.filter((_, i) => i % 2 === 0), '/import?strict=1'),
    ]);
    const range = { from_date: day(-370), to_date: day(1), unit: 'month' };
    const wanted = Object.fromEntries(users.map((user) => [user, identity === 'simplified' ? 20 : 15]));
    assert.deepEqual(await byPerson(world, name, range), wanted);
    await world.restart({ kill: true });
    assert.deepEqual(await byPerson(world, name, range), wanted);
  });
}

test('links are of one project, also where one request is of two', async () => {
  const world = worlds.simplified;
  const other = createProject(world.data, { name: 'Other', identity: 'original' });
  const [name, user, device] = [freshName(), fresh('user'), randomUUID()];
  const of = (token, properties) => ({ event: name, properties: { token, ...properties } });
  const there = async () => {
    const rows = await world.server.request(
      `/api/2.0/export?${query({ from_date: day(-1), to_date: day(0), event: JSON.stringify([name]) })}`,
      { headers: { Authorization: basic(`${other.secret}:`) } },
    );
    assert.equal(rows.status, 200, rows.text);
    return rows.text.split('\n').filter(Boolean).map((line) => JSON.parse(line).properties.distinct_id).sort();
  };
  await world.send(
    of(world.token, { $device_id: device }),
    of(other.token, { distinct_id: `$device:${device}` }),
    of(world.token, { $device_id: device, $user_id: user }),
    of(other.token, { distinct_id: user }),
  );
  assert.deepEqual(await byPerson(world, name), { [user]: 2 });
  assert.deepEqual(await there(), [`$device:${device}`, user].sort());
  await world.send({ event: '$identify', properties: { token: other.token, distinct_id: user, $anon_distinct_id: `$device:${device}` } });
  assert.deepEqual(await there(), [user, user]);
  const gone = await world.server.request(
    `/api/app/projects/${world.project.project_id}/identities/${encodeURIComponent(`$device:${device}`)}`,
    { method: 'DELETE', headers: { Authorization: world.authorization } },
  );
  assert.equal(gone.status, 200, gone.text);
  assert.deepEqual(await byPerson(world, name), { [user]: 1, [`$device:${device}`]: 1 });
  assert.deepEqual(await there(), [user, user]);
});

test('ids of ten thousand bytes, denied values, ids of both kinds: the graph stays sound in all modes', async () => {
  for (const [identity, world] of Object.entries(worlds)) {
    const name = freshName();
    const long = 'é'.repeat(5000);
    const odd = [long, `${long}!`, '$device:', '$device:$device:x', 'null', 'Undefined', '', '0', '\u0000', ' ', { a: 1 }, [1], 1e300, -0, true];
    const events = [];
    for (const a of odd) {
      events.push(world.event(name, { distinct_id: a }), world.event(name, { $device_id: a, $user_id: a, distinct_id: a }));
      for (const b of odd) events.push(world.event(name, { $device_id: a, $user_id: b }), identify(world, a, b), alias(world, a, b));
    }
    for (let from = 0; from < events.length; from += 50) {
      const answer = await world.track(events.slice(from, from + 50));
      assert.equal(answer.status, 200, answer.text);
    }
    const people = await byPerson(world, name, { limit: 1000 });
    const cut = 'é'.repeat(127);
    assert.ok(people[cut] > 0, `${identity}: ${Object.keys(people)}`);
    for (const id of Object.keys(people)) assert.ok(Buffer.byteLength(id) <= 255, id);
    for (const id of ['null', 'Undefined', '0', '$device:']) assert.equal(identity !== 'simplified' && id === '$device:' ? undefined : people[id], undefined, `${identity}: ${id}`);
    const shown = await world.server.request(
      `/api/app/projects/${world.project.project_id}/identities?distinct_id=${encodeURIComponent(cut)}`,
      { headers: { Authorization: world.authorization } },
    );
    assert.equal(shown.status, 200, shown.text);
    await sound(world);
    assert.deepEqual(await byPerson(world, name, { limit: 1000 }), people);
  }
});

test('the mode can be chosen for as long as there is no data', async () => {
  const world = worlds.simplified;
  const own = createProject(world.data, { name: 'Young' });
  const set = (mode) => cairn(['project', 'set', '--data', world.data, own.project_id, '--identity', mode, '--json']);
  assert.equal(JSON.parse(set('original').stdout).identity, 'original');
  assert.equal(JSON.parse(set('legacy').stdout).identity, 'legacy');
  await world.send({ event: 'E', properties: { token: own.token, distinct_id: 'somebody' } });
  const refused = set('simplified');
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /has data, which was joined in the legacy mode: the mode stays/);
  assert.match(refused.stderr, /cairn export/);
  assert.equal(set('legacy').code, 0, 'nothing changes');
  const other = createProject(world.data, { name: 'Profiles only' });
  assert.equal((await post(world, '/engage', [{ $token: other.token, $distinct_id: 'a', $set: { b: 1 } }])).text, '1');
  assert.match(cairn(['project', 'set', '--data', world.data, other.project_id, '--identity', 'original']).stderr, /the mode stays/);
  assert.equal(cairn(['project', 'set', '--data', world.data, own.project_id, '--identity', 'some']).code, 2);
});
