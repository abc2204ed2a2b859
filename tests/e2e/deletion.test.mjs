// Deleting: by person, by filter, by age and by retention, over HTTP and from the command line; over restarts; and who
// may not.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { basic, cairn, createAccount, createProject, day, freshName, query, sleep, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start({
    role: 'owner',
    server: { args: ['--set', 'store.purge_deadline=20s', '--set', 'ingest.age_max=4000d'] },
  });
});
after(() => world?.end());

const now = Math.floor(Date.now() / 1000);
const mixpanel = '/api/app/data-deletions/v3.0';
const own = () => `/api/app/projects/${world.project.project_id}/deletions`;
const call = (method, target, body, authorization = world.authorization) =>
  world.server.request(target, {
    method,
    headers: { Authorization: authorization, 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
async function ask(body) {
  const answer = await call('POST', own(), body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json().results;
}
const cli = (...args) => cairn(['delete', ...args, '--data', world.data]);
function cliJson(...args) {
  const result = cli(...args, '--json');
  assert.equal(result.code, 0, result.stderr);
  return JSON.parse(result.stdout);
}

test("a person: Mixpanel's way, with all ids, at once and for good", async () => {
  const name = freshName();
  await world.send(
    world.event(name, { $device_id: 'd-1', time: now - 60 }),
    world.event(name, { $device_id: 'd-1', $user_id: 'anna@example.com', time: now - 50 }),
    world.event(name, { $user_id: 'ben@example.com', time: now - 40 }),
  );
  assert.equal(await world.count(name), 3);
  const created = await call('POST', `${mixpanel}/?${query({ token: world.token })}`, {
    distinct_ids: ['anna@example.com', 'nobody@example.com'],
    compliance_type: 'GDPR',
  });
  assert.equal(created.status, 201, created.text);
  const id = created.json().results.task_id;
  assert.equal(typeof id, 'string');
  assert.equal(await world.count(name), 1);
  const status = await call('GET', `${mixpanel}/${id}?${query({ token: world.token })}`);
  assert.equal(status.status, 200);
  const results = status.json().results;
  assert.equal(results.status, 'SUCCESS');
  assert.equal(results.tracking_id, id);
  assert.equal(results.events, 2);
  assert.equal(results.compliance_type, 'GDPR');
  assert.deepEqual(results.distinct_ids, ['anna@example.com', 'nobody@example.com']);
  assert.equal(results.requesting_user, world.account.username);
  const late = await call('DELETE', `${mixpanel}/${id}?${query({ token: world.token })}`);
  assert.equal(late.status, 409);

  await world.restart({ kill: true });
  assert.equal(await world.count(name), 1);
  // The device is nobody's now: what comes from it is a new person, and the same user too.
  await world.send(world.event(name, { $device_id: 'd-1', time: now - 30 }));
  await world.send(world.event(name, { $user_id: 'anna@example.com', time: now - 20 }));
  assert.equal(await world.count(name), 3);
  assert.equal(await world.uniques(name), 3);
});

test('events that match; a dry run first; sent again they are stored again', async () => {
  const name = freshName(),
    other = freshName();
  const events = [];
  for (let i = 0; i < 40; i++)
    events.push(world.event(name, { distinct_id: `u${i % 7}`, plan: i % 4 ? 'paid' : 'free', n: i, time: now - i, $insert_id: i % 2 ? `i-${i}` : undefined }));
  await world.send(...events, world.event(other, { distinct_id: 'u1', plan: 'free' }));
  const request = { event: name, where: 'properties["plan"] == "free"' };
  const dry = await ask({ ...request, dry_run: true });
  assert.equal(dry.events, 10);
  assert.equal(dry.dry_run, true);
  assert.equal(await world.count(name), 40);
  const done = await ask(request);
  assert.equal(done.events, 10);
  assert.match(done.status, /^(marked|purged)$/);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["plan"]' }), { paid: 30 });
  assert.equal(await world.count(other), 1);
  assert.equal((await ask(request)).events, 0);
  await world.send(events[0], events[1]);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["plan"]' }), { paid: 30, free: 1 });
  // Dates are the project's days, both included.
  assert.equal((await ask({ event: [name, other], from_date: '2001-01-01', to_date: '2001-12-31' })).events, 0);
  assert.equal((await ask({ event: name, from_date: day(-1), to_date: day(1) })).events, 31);
});

test('what is older', async () => {
  const name = freshName();
  await world.send(
    world.event(name, { distinct_id: 'a', time: now - 400 * 86400 }),
    world.event(name, { distinct_id: 'a', time: now - 300 * 86400 }),
    world.event(name, { distinct_id: 'a', time: now - 60 }),
  );
  const range = { from_date: day(-500), to_date: day(1) };
  const done = await ask({ before: day(-350) });
  assert.equal(done.events, 1);
  assert.equal(await world.count(name, range), 2);
});

test('from the command line, with a server and without', async () => {
  const name = freshName();
  const project = world.project.project_id;
  await world.send(
    world.event(name, { distinct_id: 'x', time: now - 60 }),
    world.event(name, { distinct_id: 'y', time: now - 60 }),
    world.event(name, { distinct_id: 'z', time: now - 200 * 86400 }),
  );
  const range = { from_date: day(-500), to_date: day(1) };
  const refused = cli('person', '--project', project, 'x');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /--yes/);
  assert.equal(cliJson('person', '--project', project, 'x', '--dry-run').events, 1);
  assert.equal(await world.count(name, range), 3);
  const done = cliJson('person', '--project', project, 'x', '--yes');
  assert.equal(done.events, 1);
  assert.equal(done.requested_by, 'command line');
  assert.equal(await world.count(name, range), 2);
  assert.ok(cliJson('before', '--project', project, day(-150), '--yes').events >= 1);
  assert.equal(await world.count(name, range), 1);
  const wrong = cli('events', '--project', project, '--where', 'properties[', '--yes');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stdout, /failed/);

  await world.server.stop();
  const waiting = cli('events', '--project', project, '--event', name, '--yes', '--json');
  assert.equal(waiting.code, 0, waiting.stderr);
  assert.match(waiting.stderr, /No server runs/);
  const { id, status } = JSON.parse(waiting.stdout);
  assert.equal(status, 'pending');
  const back = cliJson('before', '--project', project, '1990-01-01', '--yes');
  await world.restart();
  for (let i = 0; cliJson('report', id).status === 'pending'; i++) {
    assert.ok(i < 300, 'the request is carried out after the start');
    await sleep(100);
  }
  assert.equal(cliJson('report', id).events, 1);
  assert.equal(await world.count(name, range), 0);
  const list = cliJson('list', '--project', project).deletions;
  assert.equal(list[0].id, back.id);
  assert.ok(list.some((entry) => entry.id === id));
  assert.match(cli('report', id).stdout, /^status +(marked|purged)$/m);
  assert.equal(cli('report', 999999).code, 1);
});

test('retention', async () => {
  const name = freshName();
  const project = world.project.project_id;
  const range = { from_date: day(-500), to_date: day(1) };
  await world.send(
    world.event(name, { distinct_id: 'a', time: now - 40 * 86400 }),
    world.event(name, { distinct_id: 'a', time: now - 20 * 86400 }),
  );
  const set = cairn(['project', 'set', project, '--retention', 30, '--data', world.data, '--json']);
  assert.equal(set.code, 0, set.stderr);
  assert.equal(JSON.parse(set.stdout).retention_days, 30);
  for (let i = 0; (await world.count(name, range)) !== 1; i++) {
    assert.ok(i < 300, 'old events go');
    await sleep(100);
  }
  assert.equal(cairn(['project', 'set', project, '--data', world.data]).code, 2);
  assert.equal(cairn(['project', 'set', project, '--retention', 0, '--data', world.data]).code, 0);
});

test('who may not, and what is wrong', async () => {
  const name = freshName();
  await world.send(world.event(name, { distinct_id: 'safe' }));
  const project = world.project.project_id;
  const admin = createAccount(world.data, project, { role: 'admin' });
  const other = createProject(world.data, { name: 'Other' });
  const stranger = createAccount(world.data, other.project_id, { role: 'owner' });
  const body = { distinct_ids: ['safe'] };
  const as = (account) => basic(`${account.username}:${account.secret}`);
  const post = (target, credentials) => call('POST', target, body, credentials);
  for (const target of [own(), `${mixpanel}?token=${world.token}`]) {
    assert.equal((await post(target, as(admin))).status, 403);
    assert.equal((await post(target, as(stranger))).status, 403);
    assert.equal((await post(target, basic(`${world.token}:`))).status, 403);
    assert.equal((await post(target, basic('who:what'))).status, 401);
    assert.equal((await world.server.request(target, { method: 'POST', body: '{}' })).status, 401);
  }
  // A request of one project is not seen from another, nor called back.
  const { id } = await ask({ distinct_ids: ['nobody at all'] });
  const theirs = `/api/app/projects/${other.project_id}/deletions`;
  assert.equal((await call('GET', `${theirs}/${id}`, undefined, as(stranger))).status, 404);
  assert.equal((await call('DELETE', `${theirs}/${id}`, undefined, as(stranger))).status, 404);
  assert.deepEqual((await call('GET', theirs, undefined, as(stranger))).json().results, []);
  const theirDelete = await call('POST', theirs, body, as(stranger));
  assert.equal(theirDelete.status, 201);
  assert.equal(theirDelete.json().results.events, 0);
  assert.equal(await world.count(name), 1);

  for (const wrong of [
    {},
    [],
    { distinct_ids: [] },
    { distinct_ids: [''] },
    { distinct_ids: 'safe' },
    { distinct_ids: Array.from({ length: 2001 }, (_, i) => `u${i}`) },
    { distinct_ids: ['safe'], before: '2020-01-01' },
    { event: name, before: '2020-01-01' },
    { before: 'yesterday' },
    { event: name, from_date: '2024-02-01', to_date: '2024-01-01' },
    { event: name, from_date: 'x' },
    { event: name, dry_run: 1 },
    { where: '' },
  ]) {
    const answer = await call('POST', own(), wrong);
    assert.equal(answer.status, 400, JSON.stringify(wrong));
    assert.equal(answer.json().status, 'error');
  }
  assert.equal((await call('POST', `${mixpanel}?token=${world.token}`, { event: name })).status, 400);
  for (const where of ['properties[', 'not plan', 'not defined(plan)']) {
    const broken = await ask({ event: name, where });
    assert.equal(broken.status, 'failed', where);
    assert.match(broken.error, /^where: /);
  }
  assert.equal((await call('GET', `${own()}/999999`)).status, 404);
  assert.equal((await call('GET', `${own()}/x`)).status, 404);
  assert.equal(await world.count(name), 1);
});

test('ids of a deleted person leave the log and the catalog', async () => {
  const name = freshName();
  const secret = `person-${process.pid}-${Date.now()}@example.com`;
  await world.send(world.event(name, { distinct_id: secret }), world.event(name, { distinct_id: 'stays' }));
  const holds = (directory, kind) =>
    readdirSync(path.join(world.data, directory))
      .filter((file) => file.endsWith(kind))
      .some((file) => readFileSync(path.join(world.data, directory, file)).includes(secret));
  assert.ok(holds('wal', '.wal'));
  assert.equal((await ask({ distinct_ids: [secret] })).events, 1);
  for (let i = 0; holds('wal', '') || holds('events', '.cat'); i++) {
    assert.ok(i < 300, 'the id leaves the files');
    await sleep(100);
  }
  assert.equal(await world.count(name), 1);
});

test('purged: no file holds the events any more, and the report says so', async () => {
  const name = freshName();
  const word = `needle-${process.pid}-${Date.now()}`;
  await world.send(
    world.event(name, { distinct_id: 'gone', note: word }),
    world.event(name, { distinct_id: 'stays', note: 'other' }),
  );
  await world.restart(); // what is read from the log at the start goes to section files
  const holds = () =>
    ['wal', 'events'].some((directory) =>
      readdirSync(path.join(world.data, directory)).some((file) =>
        readFileSync(path.join(world.data, directory, file)).includes(word),
      ),
    );
  assert.ok(holds());
  const { id, events } = await ask({ distinct_ids: ['gone'] });
  assert.equal(events, 1);
  for (let i = 0; cliJson('report', id).status !== 'purged'; i++) {
    assert.ok(i < 120, 'it is purged before the deadline, or a little later on a slow machine');
    await sleep(500);
  }
  assert.ok(!holds());
  assert.equal(await world.count(name), 1);
});
