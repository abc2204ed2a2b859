// /track takes every form of request that Mixpanel's clients send, answers in the mode they ask for, and enforces the
// rules for events. Whether something was stored is always asked of /segmentation, which is what users see.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { base64, base64url, freshName, query, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());

const json = { 'Content-Type': 'application/json' };
const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
const post = (body, headers, target = '/track') => world.server.request(target, { method: 'POST', headers, body });

function assertOne(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, '1', 'the answer is the single byte 1');
}
function assertZero(answer) {
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.text, '0');
}
const verbose = async (events) => (await world.track(events, { params: { verbose: 1 } })).json();

// Sends one event in the given way and sees that it was stored, and only once.
async function stored(name, send) {
  assertOne(await send(world.event(name, { distinct_id: 'u1' })));
  assert.equal(await world.count(name), 1);
}

// ---- forms of the request ---------------------------------------------------------------------------------

test('JSON: an array, an object, and both inside {"data": …}', async () => {
  await stored(freshName(), (e) => post(JSON.stringify([e]), json));
  await stored(freshName(), (e) => post(JSON.stringify(e), json));
  await stored(freshName(), (e) => post(JSON.stringify({ data: e }), json));
  await stored(freshName(), (e) => post(JSON.stringify({ data: [e] }), json));
  await stored(freshName(), (e) =>
    post(` \n${JSON.stringify([e], null, 2)}\n`, { 'Content-Type': 'application/json; charset=utf-8' }),
  );
});

test('form: JSON and base64 in both alphabets, padded and not', async () => {
  await stored(freshName(), (e) => post(`data=${encodeURIComponent(JSON.stringify(e))}`, form));
  await stored(freshName(), (e) => post(`data=${encodeURIComponent(JSON.stringify([e]))}`, form));
  await stored(freshName(), (e) => post(`data=${encodeURIComponent(base64(e))}`, form));
  await stored(freshName(), (e) =>
    post(`data=${encodeURIComponent(base64([e]))}`, {
      'Content-Type': 'application/x-www-form-urlencoded;charset=UTF-8',
    }),
  );
  await stored(freshName(), (e) => post(`data=${base64url(e)}`, form));
  await stored(freshName(), (e) => post(`data=${base64(e).replace(/=+$/, '')}`.replaceAll('+', '%2B'), form));
});

test('form: base64 whose plus signs were not escaped, and with line breaks inside', async () => {
  const name = freshName();
  // These texts have + and / in their base64, in every alignment.
  const texts = ['>>>>>>>>', 'a>>>>>>>>', 'aa>>>>>>>>', '????????', 'ü>ü>ü>~~~'];
  for (const text of texts) {
    const data = base64(world.event(name, { distinct_id: 'u', text }));
    assertOne(await post(`data=${data}`, form));
  }
  const totals = await world.totals({ event: name, on: 'properties["text"]' });
  assert.deepEqual(Object.keys(totals).sort(), [...texts].sort());

  await stored(freshName(), (e) =>
    post(`data=${encodeURIComponent(base64(e).replace(/.{60}/g, '$&\n') + '\n')}`, form),
  );
  await stored(freshName(), (e) =>
    post(`data=${base64(e).replaceAll('+', '%2B').replace(/.{60}/g, '$&\r\n')}`, form),
  );
});

test('pixel: GET with base64 in the query, or JSON', async () => {
  const get = (data) => world.server.request(`/track?data=${data}`);
  await stored(freshName(), (e) => get(encodeURIComponent(base64(e))));
  await stored(freshName(), (e) => get(encodeURIComponent(base64([e]))));
  await stored(freshName(), (e) => get(base64url(e)));
  await stored(freshName(), (e) => get(encodeURIComponent(JSON.stringify(e))));
  await stored(freshName(), (e) => world.server.request(`/track/?data=${base64url(e)}&ip=1&_=1700000000000&test=1`));
});

test('other types, or none: what it is shows in the text', async () => {
  for (const type of ['text/plain', 'text/plain;charset=UTF-8', 'application/octet-stream', undefined]) {
    const headers = type ? { 'Content-Type': type } : {};
    await stored(freshName(), (e) => post(JSON.stringify([e]), headers));
    await stored(freshName(), (e) => post(JSON.stringify(e), headers));
    await stored(freshName(), (e) => post(`data=${encodeURIComponent(base64(e))}`, headers));
    await stored(freshName(), (e) => post(`data=${encodeURIComponent(JSON.stringify(e))}`, headers));
  }
});

test('gzip of the whole body, in any form', async () => {
  const gzip = { 'Content-Encoding': 'gzip' };
  await stored(freshName(), (e) => post(gzipSync(JSON.stringify([e])), { ...json, ...gzip }));
  await stored(freshName(), (e) => post(gzipSync(`data=${encodeURIComponent(base64([e]))}`), { ...form, ...gzip }));
  await stored(freshName(), (e) => post(gzipSync(JSON.stringify(e)), { 'Content-Type': 'text/plain', ...gzip }));
});

test('chunked bodies', async () => {
  await stored(freshName(), (e) => post(JSON.stringify([e]), { ...json, 'Transfer-Encoding': 'chunked' }));
});

test('with a slash at the end as without, and never a redirect', async () => {
  await stored(freshName(), (e) => post(JSON.stringify([e]), json, '/track/'));
  await stored(freshName(), (e) => post(`data=${encodeURIComponent(base64(e))}`, form, '/track/?ip=1&verbose=0'));
});

// ---- modes of the answer ----------------------------------------------------------------------------------

test('plain answers are one byte of text, failures too', async () => {
  const good = await world.track([world.event(freshName())]);
  assertOne(good);
  assert.match(good.headers['content-type'], /^text\/plain/);
  assert.equal(good.headers['content-length'], '1');
  assertZero(await world.track([{ event: '', properties: { token: world.token } }]));
});

test('verbose: any value but empty and 0', async () => {
  for (const value of ['1', '2', 'true']) {
    const answer = await world.track([world.event(freshName())], { params: { verbose: value } });
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.deepEqual(answer.json(), { error: null, status: 1 });
  }
  assertOne(await world.track([world.event(freshName())], { params: { verbose: 0 } }));
  assertOne(await world.track([world.event(freshName())], { params: { verbose: '' } }));
});

test('verbose as a field of the form', async () => {
  const data = encodeURIComponent(JSON.stringify(world.event(freshName())));
  assert.deepEqual((await post(`data=${data}&verbose=1&ip=0`, form)).json(), { error: null, status: 1 });
});

test('img=1: a picture, whatever happened', async () => {
  for (const event of [world.event(freshName()), { event: 'no token', properties: {} }]) {
    const answer = await world.server.request(`/track?img=1&verbose=1&data=${base64url(event)}`);
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^image\/gif/);
    assert.match(answer.headers['cache-control'], /no-store/);
    assert.equal(answer.body.subarray(0, 4).toString('latin1'), 'GIF8');
    assert.equal(answer.body.readUInt16LE(6), 1);
    assert.equal(answer.body.readUInt16LE(8), 1);
  }
});

test('callback: a script that calls the function, if it is the name of one', async () => {
  const data = base64url(world.event(freshName()));
  const plain = await world.server.request(`/track?callback=a.b_$1&data=${data}`);
  assert.equal(plain.status, 200);
  assert.match(plain.headers['content-type'], /^text\/javascript/);
  assert.match(plain.text, /^a\.b_\$1\(1\);?$/);
  const full = await world.server.request(`/track?verbose=1&callback=cb&data=${data}`);
  const argument = /^cb\((.*)\);?$/s.exec(full.text);
  assert.deepEqual(JSON.parse(argument[1]), { error: null, status: 1 });
  const failed = await world.server.request('/track?callback=cb&data=');
  assert.match(failed.text, /^cb\(0\);?$/);

  for (const name of ['alert(1)//', '<script>', 'a b', 'x;y']) {
    const answer = await world.server.request(`/track?${query({ callback: name })}&data=${data}`);
    assert.ok(!answer.text.includes(name), `"${name}" must not come back: ${answer.text}`);
  }
});

test('browsers of other origins may send and read', async () => {
  const origin = 'https://shop.example';
  const answer = await post(
    `data=${encodeURIComponent(base64(world.event(freshName())))}`,
    { ...form, Origin: origin },
    '/track/?verbose=1&ip=1&_=1',
  );
  assert.equal(answer.headers['access-control-allow-origin'], origin);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
  assert.match(answer.headers.vary ?? '', /origin/i);
  const failed = await post('data=', { ...form, Origin: origin });
  assert.equal(failed.headers['access-control-allow-origin'], origin, 'failures can be read as well');

  const preflight = await world.server.request('/track/', {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type',
    },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], origin);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  assert.match(preflight.headers['access-control-allow-headers'], /content-type/i);
  assert.ok(Number(preflight.headers['access-control-max-age']) > 0);
});

// ---- what the clients send, each exactly ------------------------------------------------------------------

const now = () => Math.floor(Date.now() / 1000);

test('browser SDK on its own host: base64 form, verbose, float seconds, device id', async () => {
  const name = freshName();
  const event = {
    event: name,
    properties: {
      $os: 'Linux',
      $browser: 'Firefox',
      mp_lib: 'web',
      $lib_version: '2.82.1',
      $insert_id: 'k3jx0qv2a1b4c5d6',
      time: Date.now() / 1000,
      distinct_id: '$device:18c1e6a6-aaaa-4bbb-8ccc-000000000001',
      $device_id: '18c1e6a6-aaaa-4bbb-8ccc-000000000001',
      $had_persisted_distinct_id: true,
      token: world.token,
    },
    $mp_metadata: { $mp_event_id: 'abc', $mp_session_id: 'def', $mp_session_seq_id: 0, $mp_session_start_sec: now() },
  };
  const answer = await post(
    `data=${encodeURIComponent(base64([event]))}`,
    { ...form, Origin: 'http://localhost:3000', 'User-Agent': 'Mozilla/5.0' },
    `/track/?verbose=1&ip=1&_=${Date.now()}`,
  );
  assert.deepEqual(answer.json(), { error: null, status: 1 });
  // On leaving a page the same batch comes again by sendBeacon, as text.
  await post(
    `data=${encodeURIComponent(base64([event]))}`,
    { 'Content-Type': 'text/plain;charset=UTF-8' },
    '/track/?verbose=1&ip=1',
  );
  assert.equal(await world.count(name), 1);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["$browser"]' }), { Firefox: 1 });
});

test('Node SDK: GET for one, un-escaped base64 form for many', async () => {
  const name = freshName();
  const event = (n) => ({
    event: name,
    properties: { distinct_id: 'n', time: Date.now(), token: world.token, mp_lib: 'node', n },
  });
  assertOne(await world.server.request(`/track?${query({ ip: 0, verbose: 0, data: base64(event(1)) })}`));
  assertOne(
    await post(
      `data=${base64([event(2), event(3)])}`,
      { ...form, Accept: 'application/json' },
      '/track?ip=0&verbose=0',
    ),
  );
  assert.equal(await world.count(name), 3);
});

test('Python SDK: form with raw JSON and verbose', async () => {
  const name = freshName();
  const event = {
    event: name,
    properties: {
      token: world.token,
      distinct_id: 'p',
      time: now() + 0.25,
      $insert_id: '0123456789abcdef0123456789abcdef',
      mp_lib: 'python',
      $lib_version: '5.3.0',
    },
  };
  const body = `data=${encodeURIComponent(JSON.stringify(event)).replaceAll('%20', '+')}&verbose=1&ip=0`;
  assert.deepEqual((await post(body, form)).json(), { error: null, status: 1 });
  assert.equal(await world.count(name), 1);
});

test('Go SDK: JSON array with verbose; integer status', async () => {
  const name = freshName();
  const answer = await post(
    JSON.stringify([world.event(name, { distinct_id: 'g', time: now(), mp_lib: 'go' })]),
    { ...json, Accept: 'application/json' },
    '/track?verbose=1',
  );
  assert.strictEqual(answer.json().status, 1);
  assert.equal(await world.count(name), 1);
  const alias = { event: '$create_alias', properties: { distinct_id: 'g', alias: 'g2', token: world.token } };
  assertOne(await post(`data=${encodeURIComponent(JSON.stringify(alias))}`, { ...form, Accept: 'text/plain' }));
});

test('Ruby SDK: base64 with line breaks, and its pixel', async () => {
  const name = freshName();
  const encoded =
    base64(world.event(name, { distinct_id: 'r', time: Date.now(), mp_lib: 'ruby' })).replace(/.{60}/g, '$&\n') +
    '\n';
  assert.deepEqual((await post(`data=${encodeURIComponent(encoded)}&verbose=1`, form)).json(), {
    error: null,
    status: 1,
  });
  const pixel = Buffer.from(JSON.stringify(world.event(name, { distinct_id: 'r' })))
    .toString('base64')
    .replaceAll('+', '-')
    .replaceAll('/', '_');
  assert.match((await world.server.request(`/track/?data=${pixel}&ip=1&img=1`)).headers['content-type'], /gif/);
  assert.equal(await world.count(name), 2);
});

test('Java SDK: gzip of an escaped base64 form', async () => {
  const name = freshName();
  const body = gzipSync(
    `data=${encodeURIComponent(base64([world.event(name, { distinct_id: 'j', time: now(), mp_lib: 'jdk' })]))}`,
  );
  assertOne(await post(body, { ...form, 'Content-Encoding': 'gzip' }, '/track?ip=0'));
  assert.equal(await world.count(name), 1);
});

test('PHP SDK: raw base64 in a form', async () => {
  const name = freshName();
  const body = `data=${base64([world.event(name, { distinct_id: 'h', time: now(), mp_lib: 'php' })])}`;
  assertOne(await post(body, form));
  assert.equal(await world.count(name), 1);
});

test('Android SDK: base64 form, ip in the query', async () => {
  const name = freshName();
  const event = {
    event: name,
    properties: {
      ...world.event(name).properties,
      distinct_id: '$device:a1',
      $device_id: 'a1',
      time: Date.now(),
      mp_lib: 'android',
    },
    $mp_metadata: { $mp_event_id: '1' },
  };
  assertOne(await post(`data=${encodeURIComponent(base64([event]))}`, form, '/track/?ip=1'));
  assert.equal(await world.count(name), 1);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["$mp_metadata"]' }), { undefined: 1 });
});

test('Swift SDK: raw JSON array, body read as an integer', async () => {
  const name = freshName();
  assertOne(
    await post(
      JSON.stringify([world.event(name, { distinct_id: 's', time: Date.now(), mp_lib: 'swift' })]),
      json,
      '/track/?ip=1',
    ),
  );
  assert.equal(await world.count(name), 1);
});

test('React Native SDK: raw JSON in a form, answer parsed as JSON', async () => {
  const name = freshName();
  const answer = await post(
    `data=${encodeURIComponent(JSON.stringify([world.event(name, { distinct_id: 'n', time: now() })]))}`,
    form,
    '/track/?ip=1',
  );
  assert.equal(answer.status, 200);
  assert.equal(answer.json(), 1);
  assert.equal(await world.count(name), 1);
});

test('the dialect of the seed workflows: token in the query, event wrapped in data', async () => {
  const name = freshName();
  const answer = await post(
    JSON.stringify({ data: { event: name, properties: { distinct_id: 'w', token: world.token } } }),
    json,
    `/track?token=${world.token}&verbose=1`,
  );
  assert.deepEqual(answer.json(), { error: null, status: 1 });
  assert.equal(await world.count(name), 1);
});

// ---- rules for events -------------------------------------------------------------------------------------

test('reasons of refusal', async () => {
  const token = world.token;
  const reasons = [
    [{ event: 'e', properties: {} }, 'token, missing or empty'],
    [{ event: 'e', properties: { token: '' } }, 'token, missing or empty'],
    [{ event: 'e' }, 'token, missing or empty'],
    [{ properties: { token } }, 'event, missing'],
    [{ event: '', properties: { token } }, 'event, missing'],
  ];
  for (const [event, reason] of reasons) {
    const answer = await world.track([event], { params: { verbose: 1 } });
    assert.equal(answer.status, 200);
    const { status, error } = answer.json();
    assert.equal(status, 0, JSON.stringify(event));
    assert.ok(error.startsWith(reason), `${JSON.stringify(event)}: ${error}`);
  }
  for (const [body, headers] of [
    ['', json],
    ['', form],
    ['data=', form],
    ['other=1', form],
    ['', {}],
  ]) {
    const answer = await post(body, headers, '/track?verbose=1');
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json(), { error: 'data, missing or empty', status: 0 }, JSON.stringify(body));
  }
  assert.equal((await world.server.request('/track?verbose=1')).json().error, 'data, missing or empty');
  assertZero(await post('', form));
});

test("an unknown token is no error, and the event is nobody's", async () => {
  const name = freshName();
  const event = { event: name, properties: { token: 'f'.repeat(32), distinct_id: 'u' } };
  assertOne(await world.track([event]));
  assert.deepEqual(await verbose([event]), { error: null, status: 1 });
  assert.equal(await world.count(name), 0);
});

test('of a mixed batch the valid events are stored, and the answer tells the first reason', async () => {
  const name = freshName();
  const answer = await verbose([
    world.event(name, { distinct_id: 'a' }),
    { properties: { token: world.token } },
    world.event(name, { distinct_id: 'b' }),
    { event: name, properties: {} },
    17,
  ]);
  assert.equal(answer.status, 0);
  assert.match(answer.error, /^event, missing/);
  assert.equal(await world.count(name), 2);
});

test('the largest allowed batch', async () => {
  const name = freshName();
  assertOne(
    await world.track(Array.from({ length: 2000 }, (_, n) => world.event(name, { distinct_id: `u${n % 7}` }))),
  );
  assert.equal(await world.count(name), 2000);
  assert.equal(await world.uniques(name), 7);
});

test('time: seconds, fractions, milliseconds, numeric text, none', async () => {
  const name = freshName();
  const at = now() - 3600;
  for (const time of [at, at + 0.5, at * 1000, String(at), String(at * 1000)])
    assertOne(await world.track([world.event(name, { distinct_id: 'u', time })]));
  const hour = new Date(at * 1000).toISOString().slice(0, 13).replace('T', ' ') + ':00:00';
  const answer = (await world.segmentation({ event: name, unit: 'hour' })).json();
  assert.equal(answer.data.values[name][hour], 5);
  assertOne(await world.track([world.event(name, { distinct_id: 'u' })]));
  assert.equal(await world.count(name), 6);
});

test('time: older than five days is refused, the future is now', async () => {
  const name = freshName();
  assertZero(await world.track([world.event(name, { time: now() - 5 * 86400 - 3600 })]));
  assertOne(await world.track([world.event(name, { time: now() - 5 * 86400 + 3600 })]));
  assertOne(await world.track([world.event(name, { time: now() + 30 * 86400 })]));
  assertZero(await world.track([world.event(name, { time: 'yesterday' })]));
  const values = (
    await world.segmentation({ event: name, interval: 7, unit: 'day', from_date: undefined, to_date: undefined })
  ).json().data.values[name];
  assert.equal(
    Object.values(values).reduce((a, b) => a + b, 0),
    2,
  );
  assert.equal(await world.count(name), 1, 'the event of the future counts today');
});

test('$ignore: taken and thrown away', async () => {
  const name = freshName();
  assertOne(await world.track([world.event(name, { $ignore: true })]));
  assert.equal(await world.count(name), 0);
});

test('properties keep their types', async () => {
  const name = freshName();
  const values = ['5', 5, 5.5, true, 'true', null, [1, 'a'], { k: 1 }];
  await world.send(...values.map((v) => world.event(name, { v })));
  const where = (expression) => world.count(name, { where: expression });
  assert.equal(await where('properties["v"] == 5'), 1);
  assert.equal(await where('properties["v"] == "5"'), 1);
  assert.equal(await where('properties["v"] == true'), 1);
  assert.equal(await where('properties["v"] == "true"'), 1);
  assert.equal(await where('properties["v"] > 5'), 1);
  assert.equal(await where('"a" in properties["v"]'), 1);
  assert.equal(await where('properties["v"]["k"] == 1'), 1);
  assert.equal(await where('defined(properties["v"])'), 7);
});

test('strings and names are cut at 255 bytes, not inside a character', async () => {
  const name = freshName();
  assertOne(
    await world.track([
      world.event(name, { ascii: 'x'.repeat(300), accent: 'é'.repeat(200), ['k'.repeat(300)]: 'long' }),
    ]),
  );
  assert.deepEqual(await world.totals({ event: name, on: 'properties["ascii"]' }), { ['x'.repeat(255)]: 1 });
  assert.deepEqual(await world.totals({ event: name, on: 'properties["accent"]' }), { ['é'.repeat(127)]: 1 });
  assert.deepEqual(await world.totals({ event: name, on: `properties["${'k'.repeat(255)}"]` }), { long: 1 });
});

test('limits of an event: 255 properties, three levels, 254 elements and keys', async () => {
  const properties = (count) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, n]));
  const good = [
    properties(250),
    { list: Array(254).fill(0) },
    { object: properties(254) },
    { nested: { a: { b: { c: 1 } } } },
  ];
  const bad = [
    properties(300),
    { list: Array(300).fill(0) },
    { object: properties(300) },
    { nested: { a: { b: { c: { d: { e: 1 } } } } } },
  ];
  for (const extra of good) assertOne(await world.track([world.event(freshName(), extra)]));
  for (const extra of bad) {
    const name = freshName();
    assertZero(await world.track([world.event(name, extra)]));
    assert.equal(await world.count(name), 0, `stored: ${Object.keys(extra)[0]}`);
  }
});

test('an event above one megabyte is refused, its neighbours are not', async () => {
  const name = freshName();
  const large = world.event(
    name,
    Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`p${n}`, 'x'.repeat(11000)])),
  );
  assertZero(await world.track([world.event(name), large, world.event(name)]));
  assert.equal(await world.count(name), 2);
});

test('no user: counted in totals, not among people', async () => {
  const name = freshName();
  await world.send(
    world.event(name, { distinct_id: '' }),
    world.event(name, { distinct_id: 'undefined' }),
    world.event(name),
  );
  assert.equal(await world.count(name), 3);
  assert.equal(await world.uniques(name), 0);
});

test('methods that /track does not know', async () => {
  for (const method of ['PUT', 'DELETE', 'PATCH']) {
    const answer = await world.server.request('/track', { method });
    assert.equal(answer.status, 405);
    assert.match(answer.headers.allow, /POST/);
    assert.equal(typeof answer.json().error, 'string');
  }
  const missing = await world.server.request('/no/such/path');
  assert.equal(missing.status, 404);
  assert.equal(typeof missing.json().error, 'string');
});

test('a page of another origin may read why a request was refused as a whole', async () => {
  const origin = 'https://shop.example';
  const headers = { Origin: origin, 'Content-Type': 'application/json' };
  const many = JSON.stringify(Array.from({ length: 2001 }, () => world.event('refused')));
  const messages = JSON.stringify(
    Array.from({ length: 2001 }, () => ({ $token: world.token, $distinct_id: 'u', $set: { a: 1 } })),
  );
  const large = Buffer.alloc((10 << 20) + 1, ' ');
  for (const [target, body] of [
    ['/track', many],
    ['/engage', messages],
    ['/groups', messages],
    ['/track', large],
  ]) {
    const answer = await world.server.request(target, { method: 'POST', headers, body });
    assert.equal(answer.status, 413, target);
    /* two of them are as bad as none: a browser shows its page neither the body nor the status then */
    assert.equal(answer.headers['access-control-allow-origin'], origin, target);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true', target);
    assert.equal(answer.headers['access-control-expose-headers'], 'Retry-After', target);
  }
});
