// Session recordings and what SDKs ask for beside events, over a real server: what is kept on disk and for how long, what
// is refused, and that pages of other origins may ask.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { basic, cairn, createProject, day, query, sleep, World } from './harness.mjs';

const worlds = [];
after(async () => {
  for (const world of worlds) await world.end();
});

async function start(set = {}) {
  const args = Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const world = await World.start({ server: { args } });
  worlds.push(world);
  return world;
}

async function until(holds, what) {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 1500, what);
    await sleep(40);
  }
}

const events = [{ type: 4, data: { href: 'https://shop/' }, timestamp: 1 }];
const packed = gzipSync(JSON.stringify(events));
const stored = { code: 200, status: 'OK' };

function record(world, params, body = packed, headers = {}) {
  const whole = query({ format: 'gzip', replay_id: 'a1b2-c3', seq: 0, ...params });
  return world.server.request(`/record/?${whole}`, {
    method: 'POST',
    headers: { Authorization: basic(`${world.token}:`), 'Content-Type': 'application/octet-stream', ...headers },
    body,
  });
}

const folder = (world, ...parts) => path.join(world.data, 'record', String(world.project.project_id), ...parts);
const names = (directory) => (existsSync(directory) ? readdirSync(directory).sort() : []);

test('a recording is on disk when it is acknowledged, and stays over a crash', async () => {
  const world = await start();
  for (const [seq, body] of [packed, JSON.stringify(events)].entries()) {
    const answer = await record(
      world,
      { seq, distinct_id: '$device:7', $current_url: 'https://shop/?a=1&b="2"' },
      body,
    );
    assert.deepEqual([answer.status, answer.json()], [200, stored]);
  }
  await world.restart({ kill: true });
  const [today] = names(folder(world));
  assert.match(today, /^\d{4}-\d\d-\d\d$/);
  assert.deepEqual(names(folder(world, today)), [
    'a1b2-c3-0.json',
    'a1b2-c3-0.json.gz',
    'a1b2-c3-1.json',
    'a1b2-c3-1.json.gz',
  ]);
  for (const seq of [0, 1]) {
    assert.deepEqual(JSON.parse(gunzipSync(readFileSync(folder(world, today, `a1b2-c3-${seq}.json.gz`)))), events);
    const about = JSON.parse(readFileSync(folder(world, today, `a1b2-c3-${seq}.json`)));
    assert.ok(Math.abs(about.received_ms - Date.now()) < 600_000);
    delete about.received_ms;
    assert.deepEqual(about, {
      replay_id: 'a1b2-c3',
      seq,
      properties: { distinct_id: '$device:7', $current_url: 'https://shop/?a=1&b="2"' },
    });
  }
  /* and `cairn verify` takes them for what they are */
  const verified = cairn(['verify', '--data', world.data]);
  assert.deepEqual([verified.code, /note/.test(verified.stdout)], [0, false], verified.stdout);
  /* after the start what is there is counted first: a piece may be asked to come again, and is taken then */
  await until(async () => (await record(world, { seq: 2 })).status === 200, 'it goes on');
});

test('what is no recording is refused', async () => {
  const world = await start({ 'record.body_bytes_max': '2k', 'record.unpacked_bytes_max': '10k' });
  const rows = [
    [{ replay_id: '' }, packed, {}, 400, 'replay_id, missing or empty'],
    [{ replay_id: 'x'.repeat(256) }, packed, {}, 400, 'replay_id is longer than 255 bytes'],
    [{ seq: '1.5' }, packed, {}, 400, 'seq must be a whole number from 0 to 999999999'],
    [{ seq: undefined }, packed, {}, 400, 'seq must be a whole number from 0 to 999999999'],
    [{}, '', {}, 400, 'the recording is no JSON array'],
    [{}, '{"type":4}', {}, 400, 'the recording is no JSON array'],
    [{}, packed.subarray(0, -2), {}, 400, null],
    [{}, gzipSync(`[${' '.repeat(11_000)}]`), {}, 413, 'the recording unpacks to more than 10240 bytes'],
    [{}, Buffer.alloc(2049, '['), {}, 413, null],
    [{}, packed, { Authorization: basic('unknown:') }, 401, null],
    [{ project_id: 99 }, packed, {}, 401, 'Credentials in request did not match project_id URL parameter'],
  ];
  for (const [params, body, headers, status, error] of rows) {
    const answer = await record(world, params, body, headers);
    assert.equal(answer.status, status, answer.text);
    if (error) assert.equal(answer.json().error, error);
    assert.equal(answer.json().code, status);
  }
  assert.deepEqual(names(folder(world)), []);
  assert.deepEqual(names(path.join(world.data, 'record', 'new')), []);
});

test('an id that would be a path is none', async () => {
  const world = await start();
  for (const replay_id of ['../../../../evil', '..', '/etc/passwd', 'a\u0000b', 'ü'])
    assert.deepEqual((await record(world, { replay_id })).json(), stored);
  const [today] = names(folder(world));
  assert.equal(names(folder(world, today)).length, 10);
  for (const name of names(folder(world, today))) assert.match(name, /^~[0-9a-f]{32}-0\.json(\.gz)?$/);
  assert.deepEqual(names(path.join(world.data, 'record')), [String(world.project.project_id), 'new']);
});

test('a project has so much room: today’s recordings are refused, older ones make room', async () => {
  const world = await start({ 'record.bytes_max': '64k' });
  let seq = 0;
  const last = async () => {
    for (;;) {
      const answer = await record(world, { seq: seq++ });
      if (answer.status !== 200) return answer;
      assert.ok(seq < 20);
    }
  };
  const refused = await last();
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['retry-after'], '60');
  assert.equal(seq, 9); /* two blocks of 4 KB each */
  /* others are not concerned */
  const other = createProject(world.data, { name: 'Other' });
  const answer = await record(world, {}, packed, { Authorization: basic(`${other.token}:`) });
  assert.equal(answer.status, 200);
  /* the same on an older day */
  await world.server.stop();
  const [today] = names(folder(world));
  const before = day(-3);
  mkdirSync(folder(world, before));
  for (const name of names(folder(world, today))) writeFileSync(folder(world, before, name), 'x');
  await world.restart();
  await until(() => !existsSync(folder(world, before)), 'the older day is removed');
  assert.equal(names(folder(world, today)).length, 16);
  assert.equal((await record(world, { seq: 100 })).status, 429);
});

test('old recordings are removed, those of deleted projects as well', async () => {
  const world = await start({ 'record.retention_days': 2 });
  assert.equal((await record(world)).status, 200);
  const other = createProject(world.data, { name: 'Other' });
  const others = path.join(world.data, 'record', String(other.project_id));
  assert.equal((await record(world, {}, packed, { Authorization: basic(`${other.token}:`) })).status, 200);
  assert.equal(names(others).length, 1);
  await world.server.stop();
  const [today] = names(folder(world));
  for (const offset of [-9, -1]) {
    mkdirSync(folder(world, day(offset)));
    writeFileSync(folder(world, day(offset), 'a-0.json'), '{}');
  }
  await world.restart();
  await until(() => !existsSync(folder(world, day(-9))), 'the old day is removed');
  assert.ok(existsSync(folder(world, today)));
  const deleted = cairn(['project', 'delete', '--data', world.data, other.project_id, '--yes']);
  assert.equal(deleted.code, 0, deleted.stderr);
  await until(() => !existsSync(others), 'the project’s recordings are removed');
  assert.ok(existsSync(folder(world, today)));
});

test('recording can be switched off', async () => {
  const world = await start({ 'record.enabled': 'no', 'record.sessions_percent': 50 });
  const answer = await record(world);
  assert.equal(answer.status, 403);
  assert.deepEqual(names(folder(world)), []);
  const settings = await world.server.request(`/settings/?token=${world.token}&mp_lib=web`);
  assert.equal(settings.json().recording.is_enabled, false);
  assert.equal(settings.json().sdk_config.config.record_sessions_percent, 0);
});

test('settings, flags and decide', async () => {
  const world = await start({ 'record.sessions_percent': 25 });
  const service = { Authorization: world.authorization };
  const token = {
    Authorization: basic(`${world.token}:`),
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00',
  };
  const flags = { code: 200, flags: {}, pending_first_time_events: [] };
  const settings = { recording: { is_enabled: true }, sdk_config: { config: { record_sessions_percent: 25 } } };
  const context = query({ context: JSON.stringify({ distinct_id: 'u', device_id: 'd' }), token: world.token });
  const json = { 'Content-Type': 'application/json' };
  const rows = [
    ['GET', `/flags/?${context}&mp_lib=web`, token, undefined, flags],
    ['GET', `/flags?${context}`, {}, undefined, flags],
    ['GET', `/flags?project_id=${world.project.project_id}`, service, undefined, flags],
    ['POST', `/flags?token=${world.token}`, json, '{"context":{"distinct_id":"u"}}', flags],
    ['GET', `/flags/definitions?token=${world.token}&lib_version=1`, token, undefined, { flags: [] }],
    ['POST', '/flags/0b1c/first-time-events?mp_lib=web', { ...token, ...json }, '{"distinct_id":"u"}', stored],
    ['GET', '/settings/?$lib_version=2&mp_lib=web&sdk_config=1', token, undefined, settings],
    ['GET', '/decide?token=x&version=1&lib=iphone', {}, undefined, { notifications: [], config: {} }],
  ];
  for (const [method, target, headers, body, expected] of rows) {
    const answer = await world.server.request(target, { method, headers, body });
    assert.equal(answer.status, 200, `${target}: ${answer.text}`);
    assert.deepEqual(answer.json(), expected);
  }
  for (const target of ['/flags?token=x', '/flags/definitions', '/flags?project_id=1']) {
    const answer = await world.server.request(target);
    assert.equal(answer.status, 401);
    assert.equal(answer.json().status, 'error');
  }
  assert.equal((await world.server.request('/flags', { headers: service })).status, 400);
});

test('pages of another origin may ask, with the headers that SDKs send', async () => {
  const world = await start();
  const origin = 'https://shop.example';
  for (const target of [
    '/record/',
    '/flags/',
    '/flags/definitions',
    '/flags/7/first-time-events',
    '/settings/',
    '/decide',
  ]) {
    const answer = await world.server.request(target, {
      method: 'OPTIONS',
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization,content-type,traceparent',
      },
    });
    assert.equal(answer.status, 204, target);
    assert.equal(answer.headers['access-control-allow-origin'], origin);
    const allowed = answer.headers['access-control-allow-headers'].toLowerCase().split(/, */);
    for (const name of ['authorization', 'content-type', 'content-encoding', 'traceparent'])
      assert.ok(allowed.includes(name), name);
    for (const name of ['GET', 'POST']) assert.ok(answer.headers['access-control-allow-methods'].includes(name));
  }
  /* failures, too, can be read, and when to come again */
  for (const target of ['/flags/', '/settings/', '/record/?replay_id=a&seq=0', '/flags/nowhere/else'])
    for (const method of ['GET', 'POST']) {
      const answer = await world.server.request(target, { method, headers: { Origin: origin }, body: '' });
      assert.ok(answer.status >= 400, target);
      assert.equal(answer.headers['access-control-allow-origin'], origin);
      assert.equal(answer.headers['access-control-expose-headers'], 'Retry-After');
      answer.json();
    }
});
