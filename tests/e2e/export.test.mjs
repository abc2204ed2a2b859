// /export: every event once, in the order of days, in the form that Mixpanel's clients read; with a server that stays
// small while a client is slow or goes away; and what it says to questions that make no sense.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { basic, cairn, createAccount, createProject, day, freshName, query, request, Server, sleep, World } from './harness.mjs';

let world;
before(async () => {
  const options = ['export.concurrent_max=4', 'export.memory_max=32m', 'export.memory=200m'];
  world = await World.start({ server: { args: options.flatMap((option) => ['--set', option]) } });
});
after(() => world?.end());

const get = (params, { headers, ...rest } = {}, base = '/api/2.0/export') =>
  world.server.request(
    `${base}?${query({ project_id: world.project.project_id, from_date: day(-1), to_date: day(0), ...params })}`,
    { headers: { Authorization: world.authorization, ...headers }, ...rest },
  );
const lines = (text) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const exported = async (params, options, base) => {
  const answer = await get(params, options, base);
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  return lines(answer.text);
};
const now = Math.floor(Date.now() / 1000);

// Events of many days, more than one piece of an answer holds.
const bulk = freshName('bulk');
const DAYS = 6,
  PER_DAY = 1500;
async function importBulk() {
  const start = Math.floor(Date.now() / 86_400_000) - 400;
  for (let piece = 0; piece < 5; piece++) {
    const events = [];
    for (let i = piece; i < DAYS * PER_DAY; i += 5) {
      const time = (start + (i % DAYS)) * 86400 + ((i * 7919) % 86400);
      events.push({
        event: bulk,
        properties: { time, distinct_id: `user ${i % 97}`, $insert_id: `bulk-${i}`, i, text: 'x'.repeat(200) },
      });
    }
    const body = events.map((event) => JSON.stringify(event)).join('\n');
    const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
      body,
    });
    assert.equal(answer.status, 200, answer.text);
  }
  return { from_date: day(-400), to_date: day(-400 + DAYS - 1), event: JSON.stringify([bulk]) };
}

test('an event as it was sent, with what belongs to it', async () => {
  const name = freshName();
  const properties = { time: now - 100, distinct_id: 'u1', $insert_id: 'abc-1', plan: 'pro', n: 5.5, list: [1, 'a'] };
  await world.send(world.event(name, properties));
  const rows = await exported({ event: JSON.stringify([name]) });
  assert.equal(rows.length, 1);
  assert.deepEqual(Object.keys(rows[0]), ['event', 'properties']);
  assert.equal(rows[0].event, name);
  const { mp_processing_time_ms, ...rest } = rows[0].properties;
  assert.ok(Math.abs(mp_processing_time_ms - Date.now()) < 600_000);
  for (const [key, value] of Object.entries(properties)) assert.deepEqual(rest[key], value, key);
  assert.equal(rest.token, undefined);
  for (const base of ['/export', '/export/', '/api/2.0/export/'])
    assert.deepEqual(await exported({ event: JSON.stringify([name]) }, {}, base), rows, base);
  assert.deepEqual(await exported({ event: name }), rows, 'a bare name is taken');
  const form = await world.server.request('/api/2.0/export', {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: query({
      project_id: world.project.project_id,
      from_date: day(-1),
      to_date: day(0),
      event: JSON.stringify([name]),
      format: 'json',
    }),
  });
  assert.deepEqual(lines(form.text), rows);
});

test('the time in seconds or milliseconds, an id by which the person is known now', async () => {
  const name = freshName();
  const ms = (now - 500) * 1000 + 123;
  await world.send(
    world.event(name, { time: ms, $device_id: 'device-9', distinct_id: '$device:device-9', $insert_id: 'q1' }),
  );
  await world.send(
    world.event(`${name} login`, { $device_id: 'device-9', $user_id: 'user-9', distinct_id: 'user-9' }),
  );
  const [row] = await exported({ event: JSON.stringify([name]) });
  assert.equal(row.properties.time, now - 500);
  assert.equal(row.properties.distinct_id, 'user-9');
  assert.equal(row.properties.$distinct_id_before_identity, '$device:device-9');
  for (const flag of ['true', '1', 'True'])
    assert.equal((await exported({ event: JSON.stringify([name]), time_in_ms: flag }))[0].properties.time, ms);
  assert.equal(
    (await exported({ event: JSON.stringify([name]), time_in_ms: 'false' }))[0].properties.time,
    now - 500,
  );
});

test('names, filters, limits, and nothing', async () => {
  const a = freshName(),
    b = freshName();
  for (let i = 0; i < 10; i++) await world.send(world.event(i % 2 ? a : b, { i, distinct_id: `u${i}` }));
  const both = JSON.stringify([a, b]);
  assert.equal((await exported({ event: both })).length, 10);
  assert.deepEqual(
    (await exported({ event: both, where: 'properties["i"] >= 7' })).map((row) => row.properties.i).sort(),
    [7, 8, 9],
  );
  assert.equal((await exported({ event: both, limit: 3 })).length, 3);
  const empty = await get({ event: JSON.stringify(['nobody did this']) });
  assert.equal(empty.status, 200);
  assert.equal(empty.text, '');
  assert.equal(empty.headers['content-length'], '0');
  assert.equal((await exported({ event: both, from_date: '2020-01-01', to_date: '2020-01-02' })).length, 0);
  assert.ok((await exported({})).length >= 10, 'all events');
});

test('a long answer: pieces, every event once, day after day; gzip where it is taken', async () => {
  const range = await importBulk();
  for (const stored of ['as they came', 'after a restart']) {
    if (stored === 'after a restart') await world.restart();
    const answer = await get(range);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['transfer-encoding'], 'chunked');
    assert.match(answer.headers['content-type'], /^text\/plain/);
    const rows = lines(answer.text);
    assert.equal(rows.length, DAYS * PER_DAY);
    assert.equal(new Set(rows.map((row) => row.properties.$insert_id)).size, rows.length);
    const days = rows.map((row) => Math.floor(row.properties.time / 86400));
    assert.deepEqual(days, [...days].sort(), stored);
    const packed = await get(range, { headers: { 'Accept-Encoding': 'gzip' } });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.ok(packed.body.length < answer.body.length / 5);
    assert.equal(gunzipSync(packed.body).length, answer.body.length);
    assert.deepEqual(
      lines(gunzipSync(packed.body).toString()).map((row) => row.properties.i).sort(),
      rows.map((row) => row.properties.i).sort(),
    );
  }
  const first = await exported({ ...range, limit: 100 });
  assert.equal(new Set(first.map((row) => Math.floor(row.properties.time / 86400))).size, 1, 'the first day');
  const one = await exported({ ...range, from_date: range.to_date });
  assert.equal(one.length, PER_DAY);
  // An HTTP/1.0 client knows no chunks: the end of the connection ends the answer.
  const target = `/export?${query({ project_id: world.project.project_id, ...range })}`;
  const old = await new Promise((resolve, reject) => {
    const socket = net.connect(world.server.port, '127.0.0.1');
    const parts = [];
    socket.on('data', (part) => parts.push(part));
    socket.on('error', reject);
    socket.on('end', () => resolve(Buffer.concat(parts).toString()));
    socket.write(`GET ${target} HTTP/1.0\r\nAuthorization: ${world.authorization}\r\n\r\n`);
  });
  const [head, body] = [old.slice(0, old.indexOf('\r\n\r\n')), old.slice(old.indexOf('\r\n\r\n') + 4)];
  assert.doesNotMatch(head, /Transfer-Encoding/);
  assert.equal(lines(body).length, DAYS * PER_DAY);
  const headed = await get(range, { method: 'HEAD' });
  assert.equal(headed.status, 200);
  assert.equal(headed.body.length, 0);
});

// An answer that nobody reads on: resolves with the socket once the first bytes are there.
function begin(params, of = world) {
  return new Promise((resolve, reject) => {
    const outgoing = http.get(
      `${of.url}/export?${query({ project_id: of.project.project_id, ...params })}`,
      { headers: { Authorization: of.authorization }, agent: false },
      (incoming) => {
        incoming.once('readable', () => resolve({ incoming, outgoing }));
        incoming.on('error', () => {});
      },
    );
    outgoing.on('error', reject);
  });
}

// How many events are left of it.
function readAll(incoming) {
  return new Promise((resolve, reject) => {
    let text = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (part) => (text += part));
    incoming.on('end', () => resolve(lines(text).length));
    incoming.on('error', reject);
  });
}

test('slow clients hold no thread, and those that go give back their place', async () => {
  const range = { from_date: day(-400), to_date: day(-400 + DAYS - 1) };
  // More bytes than sockets hold, so that each really waits.
  const body = [];
  for (let i = 0; i < 1500; i++)
    body.push(
      JSON.stringify({
        event: 'wide',
        properties: {
          time: (Math.floor(Date.now() / 86_400_000) - 398) * 86400 + i,
          distinct_id: 'w',
          $insert_id: `wide-${i}`,
          ...Object.fromEntries(Array.from({ length: 100 }, (_, k) => [`p${k}`, 'y'.repeat(240)])),
        },
      }),
    );
  for (let i = 0; i < body.length; i += 250) {
    const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
      body: body.slice(i, i + 250).join('\n'),
    });
    assert.equal(answer.status, 200, answer.text);
  }
  const slow = await Promise.all([1, 2, 3, 4].map(() => begin(range)));
  assert.equal((await world.segmentation({ event: 'wide' })).status, 200, 'queries go on');
  const fifth = await get(range);
  assert.equal(fifth.status, 429, 'as many as are allowed');
  assert.match(fifth.json().error, /Query rate limit exceeded/);
  assert.ok(fifth.headers['retry-after']);
  slow[0].outgoing.destroy();
  for (const patience = Date.now() + 30_000; ; await sleep(20)) {
    const answer = await get({ ...range, event: '["wide"]', limit: 1 });
    if (answer.status === 200) break;
    assert.equal(answer.status, 429);
    assert.ok(Date.now() < patience, 'the place of a client that is gone is given back');
  }
  // The others read on, and get everything.
  const counts = await Promise.all(slow.slice(1).map(({ incoming }) => readAll(incoming)));
  assert.deepEqual(counts, [DAYS * PER_DAY + 1500, DAYS * PER_DAY + 1500, DAYS * PER_DAY + 1500]);
});

test('a filter that fails at a later event ends the answer with the line that clients look for', async () => {
  const name = freshName();
  const start = (Math.floor(Date.now() / 86_400_000) - 300) * 86400;
  const events = [];
  for (let i = 0; i < 2000; i++)
    events.push({
      event: name,
      properties: {
        time: start + (i === 1999 ? 5 * 86400 : i),
        distinct_id: 'u',
        $insert_id: `t-${i}`,
        flag: i === 1999 ? 'no boolean' : true,
        text: 'z'.repeat(250),
      },
    });
  const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
    body: events.map((event) => JSON.stringify(event)).join('\n'),
  });
  assert.equal(answer.status, 200, answer.text);
  const question = {
    event: JSON.stringify([name]),
    from_date: day(-300),
    to_date: day(-290),
    where: 'properties["flag"] and true',
  };
  const broken = await get(question);
  assert.equal(broken.status, 200);
  const rows = broken.text.split('\n').filter(Boolean);
  assert.equal(rows.at(-1), 'terminated early');
  assert.equal(rows.length, 2000, 'everything of the days before');
  const packed = await get(question, { headers: { 'Accept-Encoding': 'gzip' } });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  const unpacked = gunzipSync(packed.body).toString().split('\n').filter(Boolean);
  assert.deepEqual([...unpacked].sort(), [...rows].sort());
  assert.equal(unpacked.at(-1), 'terminated early');
  for (const patience = Date.now() + 30_000; !/export_terminated_early/.test(world.server.log); await sleep(20))
    assert.ok(Date.now() < patience, 'the log says why');
});

test('days are of UTC, or of the zone where the project says so', async () => {
  const project = createProject(world.data, { timezone: 'Pacific/Auckland' });
  const account = createAccount(world.data, project.project_id);
  const headers = { Authorization: basic(`${account.username}:${account.secret}`) };
  const midnight = Math.floor(Date.now() / 86_400_000 - 10) * 86400;
  const body = [-3600, 3600, 82800]
    .map((offset) =>
      JSON.stringify({
        event: 'E',
        properties: { time: midnight + offset, distinct_id: 'u', $insert_id: `o${offset + 10000}`, offset },
      }),
    )
    .join('\n');
  await world.server.request(`/import?strict=1&project_id=${project.project_id}`, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/x-ndjson' },
    body,
  });
  const offsets = async () => {
    const date = new Date(midnight * 1000).toISOString().slice(0, 10);
    const answer = await world.server.request(
      `/export?${query({ project_id: project.project_id, from_date: date, to_date: date })}`,
      { headers },
    );
    return lines(answer.text)
      .map((row) => row.properties.offset)
      .sort((a, b) => a - b);
  };
  assert.deepEqual(await offsets(), [3600, 82800]);
  const set = cairn(['project', 'set', '--data', world.data, project.project_id, '--export-days', 'local', '--json']);
  assert.equal(set.code, 0, set.stderr);
  assert.equal(JSON.parse(set.stdout).export_days, 'local');
  assert.deepEqual(await offsets(), [-3600, 3600], 'Auckland is 12 or 13 hours ahead');
  assert.equal(cairn(['project', 'set', '--data', world.data, project.project_id, '--export-days', 'x']).code, 2);
});

test('events that have thousands of properties together', async () => {
  const name = freshName('odd');
  const start = (Math.floor(Date.now() / 86_400_000) - 500) * 86400;
  const properties = (i) => ({ [`p_${name}_${i % 4000}`]: i, [`q_${i % 3}`]: 'x'.repeat(i % 50), all: i });
  for (let first = 0; first < 8000; first += 2000) {
    const body = Array.from({ length: 2000 }, (_, k) => first + k).map((i) =>
      JSON.stringify({
        event: name,
        properties: { time: start + i, distinct_id: `u${i % 9}`, $insert_id: `odd-${i}`, ...properties(i) },
      }),
    );
    const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
      body: body.join('\n'),
    });
    assert.equal(answer.status, 200, answer.text);
  }
  const range = { from_date: day(-500), to_date: day(-499), event: name };
  for (const stored of ['as they came', 'after a restart']) {
    if (stored === 'after a restart') await world.restart();
    const rows = await exported(range);
    assert.equal(rows.length, 8000, stored);
    for (const { properties: has } of rows) {
      const { time, distinct_id, $insert_id, $import, mp_processing_time_ms, ...own } = has;
      assert.deepEqual(own, properties(own.all));
    }
  }
});

test('as many as are allowed at once, if each can have the least', async () => {
  const options = ['export.concurrent_max=25', 'export.memory_max=16m', 'export.memory=200m'];
  const busy = await World.start({ server: { args: options.flatMap((option) => ['--set', option]) } });
  try {
    const body = [];
    for (let i = 0; i < 1800; i++)
      body.push(
        JSON.stringify({
          event: 'wide',
          properties: {
            time: (Math.floor(Date.now() / 86_400_000) - 9) * 86400 + i,
            distinct_id: 'w',
            $insert_id: `wide-${i}`,
            ...Object.fromEntries(Array.from({ length: 100 }, (_, k) => [`p${k}`, 'y'.repeat(240)])),
          },
        }),
      );
    for (let i = 0; i < body.length; i += 300) {
      const answer = await busy.server.request(`/import?strict=1&project_id=${busy.project.project_id}`, {
        method: 'POST',
        headers: { Authorization: busy.authorization, 'Content-Type': 'application/x-ndjson' },
        body: body.slice(i, i + 300).join('\n'),
      });
      assert.equal(answer.status, 200, answer.text);
    }
    const range = { from_date: day(-9), to_date: day(-9) };
    const all = await Promise.all(Array.from({ length: 25 }, () => begin(range, busy)));
    assert.deepEqual(new Set(all.map(({ incoming }) => incoming.statusCode)), new Set([200]));
    const refused = await begin(range, busy);
    assert.equal(refused.incoming.statusCode, 429);
    const counts = await Promise.all(all.map(({ incoming }) => readAll(incoming)));
    assert.deepEqual(new Set(counts), new Set([1800]));
    // A client that is too slow for export.time_max is told by the last line, or where nothing had begun by the status.
    await busy.server.stop();
    busy.server = await Server.start(busy.data, { args: ['--set', 'export.time_max=1s'] });
    const { incoming } = await begin(range, busy);
    await sleep(1500);
    let text = '';
    for await (const part of incoming.setEncoding('utf8')) text += part;
    if (incoming.statusCode === 200) assert.match(text, /\nterminated early\n$/);
    else assert.equal(incoming.statusCode, 504, text);
  } finally {
    await busy.end();
  }
});

test('what makes no sense is refused, by name', async () => {
  const cases = [
    [{ from_date: undefined }, 400, /from_date is required/],
    [{ to_date: '' }, 400, /to_date is required/],
    [{ from_date: 'yesterday' }, 400, /Error in from_date: invalid date/],
    [{ from_date: '2024-02-30' }, 400, /Error in from_date/],
    [{ from_date: '2024-02-02', to_date: '2024-02-01' }, 400, /from_date/],
    [{ to_date: '2199-01-01' }, 400, /to_date cannot be later than today/],
    [{ event: '[1,{}]' }, 400, /event/],
    [{ event: '[]' }, 400, /Error in event: an empty list/],
    [{ event: '["a"' }, 400, /Error in event: not a JSON array/],
    [{ where: 'properties["a"] ==' }, 400, /where.*position/],
    [{ where: 'x'.repeat(30000) }, 400, /where/],
    [{ limit: 0 }, 400, /Error in limit/],
    [{ limit: 100001 }, 400, /Error in limit.*100000/],
    [{ limit: '1e9' }, 400, /Error in limit/],
    [{ limit: 'many' }, 400, /Error in limit/],
    [{ time_in_ms: 'perhaps' }, 400, /Error in time_in_ms/],
    [{ project_id: 'x' }, 400, /project_id/],
    [{ project_id: 999999 }, 403, /./],
  ];
  for (const [params, status, text] of cases) {
    const answer = await get(params);
    assert.equal(answer.status, status, `${JSON.stringify(params).slice(0, 80)}: ${answer.text.slice(0, 200)}`);
    assert.match(answer.json().error, text);
    assert.ok(answer.json().request.startsWith('/api/2.0/export'));
  }
  const unknown = await request(`${world.url}/export?from_date=2024-01-01&to_date=2024-01-01`);
  assert.equal(unknown.status, 401);
  const wrong = await get({}, { headers: { Authorization: basic('nobody:nothing-at-all') } });
  assert.equal(wrong.status, 401);
  assert.equal((await get({}, { method: 'PUT' })).status, 405);
});

// VmHWM: the most that the server ever had in memory.
const peak = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${world.server.child.pid}/status`, 'utf8'))[1]);

test('the size of an answer is not the size of the server', { skip: process.platform !== 'linux' }, async () => {
  // Read several times over, as one answer of all days and in parallel: tens of megabytes go through.
  const range = { from_date: day(-400), to_date: day(-390) };
  await get(range);
  const before = peak();
  await Promise.all([1, 2, 3, 4].map(() => get(range)));
  const grown = (peak() - before) / 1024;
  assert.ok(grown < 120, `grew by ${grown.toFixed(0)} MiB`);
});
