// /import through the real server: history is counted where it belongs, a batch that comes again changes nothing, who
// may, and what is told of what was refused.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { basic, base64, createAccount, createProject, day, freshName, query, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start({ server: { args: ['--set', 'ingest.import_event_bytes_max=4k'] } });
});
after(() => world?.end());

const hour = 3600;
const now = Math.floor(Date.now() / 1000);
const lastYear = now - 366 * 24 * hour;

const event = (name, insert, time = lastYear, properties = {}) => ({
  event: name,
  properties: { time, distinct_id: 'u', $insert_id: insert, ...properties },
});
const lines = (events) => events.map((one) => JSON.stringify(one)).join('\n');

function send(
  body,
  { params = { strict: 1 }, headers = {}, method = 'POST', authorization = basic(`${world.token}:`), timeout } = {},
) {
  const target = `/import?${query(params)}`;
  const all = authorization ? { Authorization: authorization, ...headers } : headers;
  return world.server.request(target, { method, headers: all, body, timeout });
}
const sendLines = (events, options = {}) =>
  send(zlib.gzipSync(lines(events)), {
    ...options,
    headers: { 'Content-Type': 'application/x-ndjson', 'Content-Encoding': 'gzip', ...options.headers },
  });
const ok = (count) => `{"code":200,"num_records_imported":${count},"status":"OK"}`;
// All of history, by months.
const always = { from_date: '1971-01-01', to_date: day(1), unit: 'month' };
const count = (name, params = {}) => world.count(name, { ...always, ...params });

async function imported(answer, number) {
  assert.equal(answer.text, ok(number));
  assert.equal(answer.status, 200);
}

test('events of any age since 1971, in the month where they happened', async () => {
  const name = freshName();
  const times = [31_536_000, 946_684_800, lastYear, now - 5];
  await imported(await sendLines(times.map((time, n) => event(name, `a-${n}`, time))), 4);
  assert.equal(await count(name), 4);
  assert.equal(await world.count(name, { from_date: '1971-01-01', to_date: '1971-01-01' }), 1);
  assert.equal(await world.count(name, { from_date: '2000-01-01', to_date: '2000-01-01' }), 1);
});

test('imported events say so, tracked ones do not', async () => {
  const name = freshName();
  await imported(await send(JSON.stringify([event(name, 'i-1')])), 1);
  await world.send(world.event(name, { $insert_id: 'i-2', time: now - 5 }));
  assert.equal(await count(name, { where: 'properties["$import"] == true' }), 1);
  assert.equal(await count(name, { where: 'not defined(properties["$import"])' }), 1);
});

test('a batch that is sent again changes nothing: at once, after restarts, over months', async () => {
  const name = freshName();
  const month = 31 * 24 * hour;
  const batch = Array.from({ length: 1000 }, (_, n) => event(name, `b-${n}`, lastYear + (n % 12) * month));
  await imported(await sendLines(batch), 1000);
  await imported(await sendLines(batch), 1000);
  assert.equal(await count(name), 1000);
  await world.restart();
  await imported(await sendLines(batch), 1000);
  assert.equal(await count(name), 1000);
  await world.restart({ kill: true });
  await imported(await send(JSON.stringify(batch.toReversed())), 1000);
  assert.equal(await count(name), 1000);
  await world.restart({ kill: true });
  assert.equal(await count(name), 1000);
  assert.equal(await world.uniques(name, { ...always }), 1);
});

test('a batch whose answer nobody waited for, sent again', async () => {
  const name = freshName();
  const batch = Array.from({ length: 1000 }, (_, n) => event(name, `t-${n}`));
  await Promise.all([sendLines(batch), sendLines(batch)]);
  // Broken off after a millisecond; whether the server had read it by then does not matter.
  await send(JSON.stringify(batch), { timeout: 1 }).catch(() => {});
  await imported(await sendLines(batch), 1000);
  assert.equal(await count(name), 1000);
});

test('/track and /import know each other\'s events; the newest counts', async () => {
  const name = freshName();
  const both = (insert, v) => ({ $insert_id: insert, time: now - 60, distinct_id: 'u', v });
  await world.send(world.event(name, both('x-1', 'track')));
  await imported(await sendLines([{ event: name, properties: both('x-1', 'import') }]), 1);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["v"]', ...always }), { import: 1 });
  await world.restart({ kill: true });
  await world.send(world.event(name, both('x-1', 'track again')));
  assert.deepEqual(await world.totals({ event: name, on: 'properties["v"]', ...always }), { 'track again': 1 });
});

test('a clock that is ahead: sent again, it is still one event', async () => {
  const name = freshName();
  const ahead = event(name, 'c-1', now + hour - 120);
  await imported(await sendLines([ahead]), 1);
  await imported(await sendLines([ahead]), 1);
  assert.equal(await world.count(name), 1);
});

test('the good ones of a bad batch are stored, each bad one is told', async () => {
  const name = freshName();
  const good = event(name, 'g-1');
  const garbled = Buffer.from(lines([event(name, 'g-2', lastYear, { utm_source: 'X' })]).replace('"X"', '"\x01"'), 'latin1');
  garbled[garbled.indexOf(1)] = 0xff;
  const parts = [
    lines([good]),
    garbled,
    '{"event":"cut sho',
    lines([event(name, 'g-3', now + 2 * hour), event(name, 'not valid'), event(name, 'g-4', lastYear, { distinct_id: 'null' })]),
    lines([event(name, 'g-5', lastYear, { long: 'x'.repeat(5000) }), event(name, 'g-6')]),
  ];
  const body = Buffer.concat(parts.flatMap((part) => [Buffer.from(part), Buffer.from('\n')]));
  const answer = await send(body, { headers: { 'Content-Type': 'application/x-ndjson' } });
  assert.equal(answer.status, 400);
  const { failed_records, ...rest } = answer.json();
  assert.deepEqual(rest, {
    code: 400,
    error: 'some data points in the request failed validation',
    num_records_imported: 2,
    status: 'Bad Request',
  });
  const told = (index, insert_id, field, message) => ({ index, insert_id, field, message, $insert_id: insert_id });
  assert.deepEqual(failed_records, [
    told(1, 'g-2', 'properties.utm_source', 'properties.utm_source is invalid: string should be valid utf8'),
    told(2, '', '', 'record is invalid: must be a JSON object on a line of its own'),
    told(3, 'g-3', 'properties.time', "'properties.time' is invalid: must not be in the future"),
    told(4, 'not valid', '$insert_id', "'$insert_id' is invalid: must only contain alphanumeric or hyphen '-' characters"),
    told(5, 'g-4', 'properties.distinct_id', "'properties.distinct_id' is invalid: must not be a reserved value"),
    told(6, 'g-5', 'event', 'event exceeds max limit of 4096 bytes'),
  ]);
  assert.equal(await count(name), 2);
  // The same, not strict: what can be repaired is.
  const lenient = await send(body, { params: { strict: 0, verbose: 1 }, headers: { 'Content-Type': 'application/x-ndjson' } });
  assert.deepEqual(lenient.json(), {
    code: 200,
    error: 'some data points in the request failed validation',
    num_records_imported: 5,
    status: 0,
  });
  assert.equal(await count(name), 5);
});

test('the dialects of the clients', async () => {
  const name = freshName();
  const one = event(name, 'd-1');
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const secret = basic(`${world.project.secret}:`);
  // Node, Python, Ruby, keolo's client, Go, Java
  assert.equal((await send(`data=${base64(one)}`, { params: { ip: 0 }, headers: form, authorization: secret })).text, '1');
  const python = `data=${encodeURIComponent(JSON.stringify(one))}&verbose=1&ip=0&api_key=${world.project.secret}`;
  assert.equal((await send(python, { params: {}, headers: form, authorization: '' })).text, '{"error":null,"status":1}');
  const ruby = await send(`data=${encodeURIComponent(base64(one))}&verbose=1&project_id=${world.project.project_id}`, {
    params: {},
    headers: form,
    authorization: world.authorization,
  });
  assert.equal(ruby.text, '{"error":null,"status":1}');
  const keolo = { data: base64(one), api_key: world.project.secret };
  assert.equal((await send(undefined, { method: 'GET', params: keolo, authorization: '' })).text, '1');
  const go = await send(JSON.stringify([one]), { params: { strict: 0, verbose: 1 } });
  assert.equal(go.text, '{"code":200,"num_records_imported":1,"status":1}');
  assert.equal((await send(JSON.stringify([one]), { params: { strict: 0 } })).text, ok(1));
  assert.equal((await world.server.request('/import/?strict=1', {
    method: 'POST', headers: { Authorization: secret }, body: JSON.stringify(one),
  })).text, ok(1));
  assert.equal(await count(name), 1);
});

test('who may', async () => {
  const other = createProject(world.data, { name: 'Other' });
  const analyst = createAccount(world.data, world.project.project_id, { role: 'analyst' });
  const owner = createAccount(world.data, other.project_id, { role: 'owner' });
  const account = ({ username, secret }) => basic(`${username}:${secret}`);
  const name = freshName();
  const body = JSON.stringify([event(name, 'w-1')]);
  const project = { strict: 1, project_id: world.project.project_id };
  const docs = 'https://developer.mixpanel.com/reference/authentication#project-secret';
  for (const [authorization, params, error] of [
    [basic('nobody:secret'), project, 'Not a valid service account username'],
    [account({ ...analyst, secret: 'wrong' }), project, 'Invalid service account credentials'],
    [account({ username: 'x.1.cairn-service-account', secret: 'y' }), project, 'Invalid service account credentials'],
    [account(owner), project, 'not a project member'],
    [account(owner), { ...project, project_id: 999 }, 'not a project member'],
    [basic('0123456789abcdef0123456789abcdef:'), project, `Unauthorized, invalid project secret. See docs for more information: ${docs}`],
    [basic(`${world.token}:`), { ...project, project_id: other.project_id }, 'Credentials in request did not match project_id URL parameter'],
  ]) {
    const answer = await send(body, { params, authorization });
    assert.equal(answer.text, JSON.stringify({ code: 401, error, status: 'Unauthorized' }));
    assert.equal(answer.status, 401);
  }
  const low = await send(body, { params: project, authorization: account(analyst) });
  assert.equal(low.status, 401);
  assert.match(low.json().error, /^the role analyst may not import data/);
  assert.equal((await send(body, { authorization: '' })).status, 401);
  assert.equal((await send(body, { params: { strict: 1 }, authorization: world.authorization })).status, 400);
  assert.equal(await count(name), 0);
  for (const [authorization, params] of [
    [world.authorization, project],
    [basic(world.project.secret), { strict: 1 }],
    [`Basic ${world.account.username}:${world.account.secret}`, project],
    [`Bearer ${world.project.secret}`, { strict: 1 }],
  ])
    await imported(await send(body, { params, authorization }), 1);
  assert.equal(await count(name), 1);
  // The token inside an event does not matter: nothing reaches the other project.
  const foreign = { event: name, properties: { ...event(name, 'w-2').properties, token: other.token } };
  await imported(await send(JSON.stringify([foreign])), 1);
  assert.equal(await count(name), 2);
});

test('limits of its own', async () => {
  const name = freshName();
  const many = Array.from({ length: 2001 }, (_, n) => event(name, `m-${n}`));
  for (const answer of [await sendLines(many), await send(JSON.stringify(many))]) {
    assert.equal(answer.status, 413);
    assert.deepEqual(answer.json(), {
      code: 413,
      error: 'request exceeds max limit of 2000 events',
      status: 'Request Entity Too Large',
    });
  }
  // Small when packed, 11 MB when not.
  const bomb = await sendLines([event(name, 'm-1', lastYear, { a: 'x'.repeat(11 << 20) })]);
  assert.equal(bomb.status, 413);
  assert.match(bomb.json().error, /exceeds/);
  assert.equal(await count(name), 0);
  const options = ['ingest.import_events_max=3', 'ingest.import_bytes_max=2k', 'ingest.import_event_bytes_max=1k'];
  const small = await World.start({ server: { args: options.flatMap((one) => ['--set', one]) } });
  try {
    const ask = (events) =>
      small.server.request('/import?strict=1', {
        method: 'POST', headers: { Authorization: basic(`${small.token}:`) }, body: lines(events),
      });
    assert.equal((await ask(many.slice(0, 3))).text, ok(3));
    assert.equal((await ask(many.slice(0, 4))).status, 413);
    assert.equal((await ask([event(name, 's', lastYear, { a: 'x'.repeat(2000) })])).status, 413);
    assert.equal((await ask([event(name, 's', lastYear, { a: 'x'.repeat(1200) })])).json().failed_records.length, 1);
    // /track keeps its own.
    await small.send(...Array.from({ length: 10 }, () => small.event(name, { a: 'x'.repeat(500) })));
  } finally {
    await small.end();
  }
});

test('damaged bodies refuse the request, and nothing else happens', async () => {
  const name = freshName();
  const packed = zlib.gzipSync(lines([event(name, 'z-1')]));
  const headers = { 'Content-Type': 'application/x-ndjson', 'Content-Encoding': 'gzip' };
  assert.equal((await send(packed.subarray(0, packed.length - 9), { headers })).status, 400);
  for (const body of ['', '[', '[{]', '[1,', '"x"', '\xff'])
    assert.equal((await send(body)).status, 400);
  assert.equal(await count(name), 0);
  await imported(await sendLines([event(name, 'z-1')]), 1);
  assert.equal(await count(name), 1);
});
