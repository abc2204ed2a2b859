// Who an id is, from outside: asked over HTTP and on the command line, links undone and audited, and what cairn doctor
// finds.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { basic, cairn, createAccount, createProject, freshName, temporaryDirectory, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());

let ids = 0;
const fresh = (kind) => `${kind}-${process.pid}-${++ids}`;
const place = (id, w = world) => `/api/app/projects/${w.project.project_id}/identities/${encodeURIComponent(id)}`;
const ask = (target, { method = 'GET', who = world.authorization, w = world } = {}) =>
  w.server.request(target, { method, headers: who ? { Authorization: who } : {} });
async function show(id, params = '', w = world) {
  const answer = await ask(place(id, w) + params, { w, who: w.authorization });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json().status, 'ok');
  return answer.json().results;
}
const byPerson = (event, w = world) => w.totals({ event, on: 'properties["$distinct_id"]' });
const time = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/;
const credentials = (w = world) => `${w.account.username}:${w.account.secret}`;

test('who an id is: alone, linked by an event, linked on request', async () => {
  const [name, device, second, user] = [freshName(), fresh('d'), fresh('d'), fresh('u')];
  await world.send(world.event(name, { $device_id: device }));
  let who = await show(`$device:${device}`);
  assert.equal(who.canonical_id, `$device:${device}`);
  assert.equal(who.since, null);
  assert.deepEqual(who.links, []);
  assert.equal(who.id_count, 1);

  await world.send(world.event('Log In', { $device_id: device, $user_id: user }));
  who = await show(`$device:${device}`);
  assert.equal(who.distinct_id, `$device:${device}`);
  assert.equal(who.canonical_id, user);
  assert.match(who.since, time);
  assert.equal(who.links.length, 1);
  assert.deepEqual([...who.links[0].ids].sort(), [`$device:${device}`, user].sort());
  assert.equal(who.links[0].by, 'event');
  assert.equal(who.links[0].event, 'Log In');
  assert.equal(who.links[0].at, who.since);
  assert.deepEqual(who.ids.map((one) => one.distinct_id).sort(), [`$device:${device}`, user].sort());

  await world.server.request('/identity/create', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ $token: world.token, $identified_id: user, $anon_id: second }),
  });
  who = await show(user);
  assert.equal(who.canonical_id, user);
  assert.equal(who.since, null, 'it is the shown id itself');
  assert.equal(who.id_count, 3);
  const one = who.ids.find(({ distinct_id: id }) => id === `$device:${second}`);
  assert.equal(one.by, 'request');
  assert.equal(one.with, user);
  assert.equal((await show(`$device:${second}`)).links[0].by, 'request');
});

test('pages of a person with many devices; what was linked stays known over flushes, restarts and crashes', async () => {
  const user = fresh('u');
  const devices = Array.from({ length: 700 }, () => fresh('d'));
  await world.send(...devices.slice(0, 350).map((d) => world.event('Log In', { $device_id: d, $user_id: user })));
  await world.restart();
  await world.send(...devices.slice(350).map((d) => world.event('Sign Up', { $device_id: d, $user_id: user })));
  await world.restart({ kill: true });
  const all = new Set();
  for (let offset = 0; offset < 701; offset += 100) {
    const who = await show(user, `?limit=100&offset=${offset}`);
    assert.equal(who.id_count, 701);
    assert.equal(who.ids.length, offset < 700 ? 100 : 1);
    for (const one of who.ids) {
      all.add(one.distinct_id);
      assert.equal(one.by, 'event');
      assert.match(one.event, /^(Log In|Sign Up)$/);
    }
  }
  assert.equal(all.size, 701);
  assert.equal((await show(user, '?offset=5000')).ids.length, 0);
  assert.equal((await show(`$device:${devices[3]}`)).links[0].event, 'Log In');
  assert.equal((await show(`$device:${devices[600]}`)).links[0].event, 'Sign Up');
});

test('unlink: at once and backwards; the id is free again; it is on record', async () => {
  const [name, d1, d2, user] = [freshName(), fresh('d'), fresh('d'), fresh('u')];
  await world.send(
    world.event(name, { $device_id: d1 }),
    world.event(name, { $device_id: d1, $user_id: user }),
    world.event(name, { $device_id: d2, $user_id: user }),
    world.event(name, { $device_id: d2 }),
  );
  assert.deepEqual(await byPerson(name), { [user]: 4 });
  const answer = await ask(place(`$device:${d1}`), { method: 'DELETE' });
  assert.equal(answer.status, 200, answer.text);
  const result = answer.json().results;
  assert.equal(result.status, 'done');
  assert.equal(result.taken_from, user);
  assert.equal(result.id_count, 3);
  assert.equal(result.requested_by, world.account.username);
  assert.deepEqual(await byPerson(name), { [`$device:${d1}`]: 1, [user]: 3 });
  assert.equal(await world.uniques(name), 2);
  assert.equal((await show(`$device:${d1}`)).id_count, 1);
  assert.equal((await show(user)).id_count, 2);
  await world.restart({ kill: true });
  assert.deepEqual(await byPerson(name), { [`$device:${d1}`]: 1, [user]: 3 });

  const again = await ask(place(`$device:${d1}`), { method: 'DELETE' });
  assert.equal(again.status, 409, again.text);
  assert.match(again.json().error, /not linked/);
  assert.equal((await ask(place(fresh('nobody')), { method: 'DELETE' })).status, 404);

  const other = fresh('u');
  await world.send(world.event(name, { $device_id: d1, $user_id: other }));
  assert.deepEqual(await byPerson(name), { [other]: 2, [user]: 3 });
  assert.equal((await show(`$device:${d1}`)).canonical_id, other);

  const list = await ask(`/api/app/projects/${world.project.project_id}/identity-unlinks?limit=3`);
  assert.equal(list.status, 200, list.text);
  const [third, secondOne, first] = list.json().results;
  assert.equal(third.status, 'failed');
  assert.match(third.error, /no event has the id/);
  assert.equal(secondOne.status, 'failed');
  assert.equal(first.status, 'done');
  assert.equal(first.distinct_id, `$device:${d1}`);
  assert.match(first.requested, time);
  assert.match(first.done, time);
});

test('an id that was linked and taken out some hundred times is taken out no more, and that is told', async () => {
  const [device, user] = [fresh('d'), fresh('u')];
  let rounds = 0,
    answer;
  do {
    await world.send(world.event('Log In', { $device_id: device, $user_id: user }));
    answer = await ask(place(`$device:${device}`), { method: 'DELETE' });
    rounds++;
  } while (answer.status === 200 && rounds < 300);
  assert.equal(answer.status, 409, answer.text);
  assert.match(answer.json().error, /too often/);
  assert.ok(rounds > 50 && rounds < 300, String(rounds));
  assert.equal((await show(`$device:${device}`)).canonical_id, user);
  const list = await ask(`/api/app/projects/${world.project.project_id}/identity-unlinks?limit=1`);
  assert.equal(list.json().results[0].status, 'failed');
});

test('who may: readers show, admins and owners unlink, others nothing; projects do not see each other', async () => {
  const [device, user] = [fresh('d'), fresh('u')];
  await world.send(world.event('Log In', { $device_id: device, $user_id: user }));
  const id = `$device:${device}`;
  for (const [role, may] of [
    ['consumer', false],
    ['analyst', false],
    ['admin', true],
    ['owner', true],
  ]) {
    const account = createAccount(world.data, world.project.project_id, { role });
    const who = basic(`${account.username}:${account.secret}`);
    assert.equal((await ask(place(id), { who })).status, 200, role);
    const answer = await ask(place(id), { method: 'DELETE', who });
    assert.equal(answer.status, may ? 200 : 403, `${role}: ${answer.text}`);
    await world.send(world.event('Log In', { $device_id: device, $user_id: user }));
  }
  assert.equal((await ask(place(id), { who: null })).status, 401);
  assert.equal((await ask(place(id), { who: basic('nobody:x') })).status, 401);
  assert.equal((await ask(place(id), { who: basic(`${world.project.secret}:`), method: 'DELETE' })).status, 403);
  const other = createProject(world.data, { name: 'Other' });
  assert.equal((await ask(`/api/app/projects/${other.project_id}/identities/${encodeURIComponent(id)}`)).status, 403);
  const stranger = createAccount(world.data, other.project_id, { role: 'owner' });
  const there = { who: basic(`${stranger.username}:${stranger.secret}`) };
  assert.equal((await ask(place(id), there)).status, 403);
  assert.equal(
    (await ask(`/api/app/projects/${other.project_id}/identities/${encodeURIComponent(id)}`, there)).status,
    404,
  );
});

test('bad input is told; odd ids are ids', async () => {
  const base = `/api/app/projects/${world.project.project_id}/identities`;
  for (const [target, status] of [
    [base, 400],
    [`${base}?distinct_id=`, 400],
    [`${base}/${fresh('nobody')}`, 404],
    [`${base}/x?limit=0`, 400],
    [`${base}/x?limit=10001`, 400],
    [`${base}/x?limit=many`, 400],
    [`${base}/x?offset=-1`, 400],
    [`/api/app/projects/0/identities/x`, 400],
    [`/api/app/projects/one/identities/x`, 400],
    [`/api/app/projects/${world.project.project_id}/identity-unlinks?limit=x`, 400],
  ]) {
    const answer = await ask(target);
    assert.equal(answer.status, status, `${target}: ${answer.text}`);
    assert.equal(typeof answer.json().error, 'string');
  }
  assert.equal((await ask(`${base}/${'x'.repeat(3000)}`)).status, 404);
  const device = fresh('d');
  await world.send(world.event('E', { $device_id: device }));
  const hint = await ask(place(device));
  assert.equal(hint.status, 404);
  assert.match(hint.json().error, new RegExp(`\\$device:${device}`));
  for (const odd of [`a/b ${fresh('u')}`, `ü?&=#%2F ${fresh('u')}`, `${fresh('u')}/`]) {
    await world.send(world.event('E', { distinct_id: odd }));
    assert.equal((await show(odd)).canonical_id, odd);
    const found = await ask(`${base}?distinct_id=${encodeURIComponent(odd)}`);
    assert.equal(found.json().results.distinct_id, odd);
  }
});

test('the command line: with a server, beside one, and without', async () => {
  const own = await World.start();
  try {
    const [name, device, second, user] = [freshName(), fresh('d'), fresh('d'), fresh('u')];
    const project = own.project.project_id;
    await own.send(
      own.event(name, { $device_id: device }),
      own.event(name, { $device_id: device, $user_id: user }),
      own.event(name, { $device_id: second, $user_id: user }),
    );
    const at = ['--url', own.url, '--credentials', credentials(own), '--project', project];
    const there = ['--data', own.data, '--project', project];
    const json = (args) => {
      const result = cairn(['identity', ...args, '--json']);
      assert.equal(result.code, 0, result.stderr);
      return JSON.parse(result.stdout);
    };
    assert.equal(json(['show', ...at, `$device:${device}`]).canonical_id, user);
    const text = cairn(['identity', 'show', ...at, `$device:${device}`]);
    assert.equal(text.code, 0, text.stderr);
    for (const word of [device, second, user, name]) assert.ok(text.stdout.includes(word), text.stdout);
    const refused = cairn(['identity', 'show', ...there, user]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /--url/);

    /* a request on the directory is carried out by the server that runs there */
    const unlinked = json(['unlink', ...there, `$device:${device}`]);
    assert.equal(unlinked.status, 'done');
    assert.equal(unlinked.requested_by, 'command line');
    assert.deepEqual(await byPerson(name, own), { [`$device:${device}`]: 1, [user]: 2 });
    const twice = cairn(['identity', 'unlink', ...there, `$device:${device}`]);
    assert.notEqual(twice.code, 0);
    assert.match(twice.stderr, /not linked/);
    assert.match(cairn(['identity', 'unlink', ...at, `$device:${device}`]).stderr, /not linked/);

    await own.server.stop();
    assert.equal(json(['show', ...there, `$device:${second}`]).canonical_id, user);
    assert.equal(json(['unlink', ...there, `$device:${second}`]).status, 'done');
    assert.equal(json(['show', ...there, `$device:${second}`]).id_count, 1);
    const audit = json(['audit', ...there]).unlinks;
    assert.deepEqual(
      audit.map(({ status }) => status),
      ['done', 'failed', 'failed', 'done'],
    );
    assert.match(cairn(['identity', 'audit', ...there]).stdout, /command line/);
    const verified = cairn(['verify', '--data', own.data, '--deep']);
    assert.equal(verified.code, 0, verified.stdout);

    for (const [args, code] of [
      [['show', ...there], 2],
      [['show', ...there, ''], 2],
      [['show', '--data', own.data, 'x'], 2],
      [['show', '--project', project, 'x'], 2],
      [['show', ...there, '--limit', '0', 'x'], 2],
      [['show', '--data', own.data, '--project', '77', 'x'], 1],
      [['show', ...there, 'nobody knows'], 1],
      [['unlink', ...there, 'a', 'b'], 2],
      [['audit', ...there, 'x'], 2],
      [['audit', '--data', path.join(own.data, 'missing'), '--project', project], 1],
      [['show', '--url', 'http://127.0.0.1:1', '--credentials', 'a:b', '--project', project, 'x'], 1],
    ]) {
      const result = cairn(['identity', ...args]);
      assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
      assert.notEqual(result.stderr, '');
    }
  } finally {
    await own.end();
  }
});

test('an export says under which id an event came, and can be imported again', async () => {
  const own = await World.start();
  try {
    const [name, device, user] = [freshName(), fresh('d'), fresh('u')];
    await own.send(
      own.event(name, { $device_id: device, n: 1 }),
      own.event(name, { $device_id: device, $user_id: user, n: 2 }),
      own.event(name, { $user_id: user, n: 3 }),
    );
    await own.server.stop();
    const out = path.join(temporaryDirectory('export'), 'events.ndjson');
    const args = ['--data', own.data, '--project', own.project.project_id];
    const done = cairn(['export', ...args, '--only', 'events', '--out', out, '--quiet']);
    assert.equal(done.code, 0, done.stderr);
    const rows = readFileSync(out, 'utf8').trim().split('\n').map(JSON.parse);
    const byNumber = Object.fromEntries(rows.map(({ properties }) => [properties.n, properties]));
    for (const n of [1, 2, 3]) assert.equal(byNumber[n].distinct_id, user);
    assert.equal(byNumber[1].$distinct_id_before_identity, `$device:${device}`);
    assert.equal(byNumber[1].$is_reshuffled, true);
    assert.equal(byNumber[1].$device_id, device);
    for (const n of [2, 3]) {
      assert.ok(!('$distinct_id_before_identity' in byNumber[n]));
      assert.ok(!('$is_reshuffled' in byNumber[n]));
    }
    assert.equal(byNumber[2].$user_id, user);

    const copy = await World.start();
    try {
      await copy.server.stop();
      const to = ['--data', copy.data, '--project', copy.project.project_id];
      const taken = cairn(['import', ...to, '--quiet', out]);
      assert.equal(taken.code, 0, taken.stderr);
      const second = path.join(temporaryDirectory('export'), 'again.ndjson');
      assert.equal(cairn(['export', ...to, '--only', 'events', '--out', second, '--quiet']).code, 0);
      /* the same but for when and how it came in: by now it belongs to the user from the beginning */
      const same = (text) =>
        text
          .trim()
          .split('\n')
          .map((line) => {
            const { event, properties } = JSON.parse(line);
            for (const added of ['mp_processing_time_ms', '$import', '$distinct_id_before_identity', '$is_reshuffled'])
              delete properties[added];
            return JSON.stringify([event, Object.entries(properties).sort()]);
          })
          .sort();
      assert.deepEqual(same(readFileSync(second, 'utf8')), same(readFileSync(out, 'utf8')));
    } finally {
      await copy.end();
    }
  } finally {
    await own.end();
  }
});

test('cairn doctor: a hot id, many devices, events of nobody, placeholders, requests that wait', async () => {
  const own = await World.start();
  try {
    const [name, user] = [freshName(), fresh('u')];
    const project = own.project.project_id;
    const hot = Array.from({ length: 500 }, (_, i) => own.event(name, { distinct_id: 'kiosk', i }));
    const nobody = Array.from({ length: 300 }, (_, i) =>
      own.event(name, i % 2 ? { distinct_id: 'undefined' } : { $device_id: '' }),
    );
    const others = Array.from({ length: 200 }, () => own.event(name, { distinct_id: randomUUID() }));
    const devices = Array.from({ length: 150 }, () => own.event(name, { $device_id: randomUUID(), $user_id: user }));
    await own.send(...hot, ...nobody, ...others, ...devices, own.event(name, { distinct_id: 'guest' }));
    const args = ['doctor', '--data', own.data, '--events', '100', '--share', '20', '--ids', '100'];
    const empty = cairn([...args, '--json']);
    assert.equal(empty.code === 0 || empty.code === 1, true, empty.stderr);
    await own.server.stop();
    /* an import writes everything to files, where the doctor looks */
    const record = JSON.stringify(own.event(name, { time: Math.floor(Date.now() / 1000), distinct_id: 'one' }));
    const taken = cairn(['import', '--data', own.data, '--project', project, '--quiet', '-'], { input: record });
    assert.equal(taken.code, 0, taken.stderr);
    const found = cairn([...args, '--json']);
    assert.equal(found.code, 1, found.stderr);
    const findings = JSON.parse(found.stdout).findings;
    const one = (kind) => {
      const all = findings.filter((finding) => finding.kind === kind);
      assert.equal(all.length, 1, `${kind}: ${found.stdout}`);
      assert.equal(all[0].project_id, project);
      assert.ok(all[0].what && all[0].do);
      return all[0];
    };
    const heavy = one('hot_id');
    assert.equal(heavy.distinct_id, 'kiosk');
    assert.equal(heavy.events, 500);
    assert.ok(Math.abs(heavy.percent - 43.4) < 0.02, String(heavy.percent));
    assert.equal(heavy.ids, 1);
    const large = one('many_ids');
    assert.equal(large.distinct_id, user);
    assert.equal(large.ids, 151);
    const none = one('events_of_nobody');
    assert.equal(none.events, 300);
    assert.equal(one('placeholder_id').distinct_id, 'guest');
    assert.equal(findings.length, 4, found.stdout);

    const text = cairn(args);
    assert.equal(text.code, 1);
    for (const word of ['"kiosk"', '43.4', user, 'nobody', '"guest"']) assert.ok(text.stdout.includes(word), text.stdout);
    const calm = cairn(['doctor', '--data', own.data, '--project', '99']);
    assert.equal(calm.code, 0, calm.stdout);
    assert.match(calm.stdout, /Nothing was found/);

    for (const bad of [
      ['doctor'],
      ['doctor', '--data', own.data, '--share', '101'],
      ['doctor', '--data', own.data, '--ids', '1'],
      ['doctor', '--data', own.data, '--limit', '0'],
      ['doctor', '--data', own.data, '--project', 'x'],
      ['doctor', '--data', own.data, 'x'],
    ])
      assert.equal(cairn(bad).code, 2, bad.join(' '));
    assert.equal(cairn(['doctor', '--data', path.join(own.data, 'missing')]).code, 1);

    cairn(['delete', 'person', '--data', own.data, '--project', project, '--yes', 'kiosk']);
    const waits = JSON.parse(cairn([...args, '--json']).stdout).findings.filter(({ kind }) => kind === 'request_waits');
    assert.equal(waits.length, 1);
  } finally {
    await own.end();
  }
});
