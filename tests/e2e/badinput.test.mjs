// Broken, oversized and malicious requests: each gets its answer, nothing of an invalid record is stored, and the
// server is alive and correct afterwards. After every test it must still take an event and count it.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { base64, freshName, query, sleep, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());
afterEach(async () => {
  assert.ok(world.server.running, `the server is gone: ${world.server.log}`);
  const name = freshName('alive');
  await world.send(world.event(name));
  assert.equal(await world.count(name), 1);
});

const json = { 'Content-Type': 'application/json' };
const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
const post = (body, headers = json, target = '/track?verbose=1') =>
  world.server.request(target, { method: 'POST', headers, body });

// 200 with status 0, as /track says what is wrong with data.
function assertMalformed(answer, pattern = /./) {
  assert.equal(answer.status, 200, `${answer.status} ${answer.text.slice(0, 200)}`);
  const body = answer.json();
  assert.equal(body.status, 0);
  assert.match(body.error, pattern);
}

// Sends bytes as they are and resolves with everything that comes back until the connection ends or falls silent.
function raw(bytes, { silence = 30_000, chunk } = {}) {
  return new Promise((resolve) => {
    const socket = net.connect(world.server.port, '127.0.0.1');
    let received = '',
      timer;
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(received);
    };
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(end, silence);
    };
    socket.on('data', (data) => {
      received += data.toString('latin1');
      wait();
    });
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', () => {});
    socket.on('connect', async () => {
      wait();
      if (!chunk) {
        socket.write(bytes);
        return;
      }
      for (let at = 0; at < bytes.length && !socket.destroyed; at += chunk) {
        if (!socket.write(bytes.subarray(at, at + chunk)))
          await Promise.race([
            new Promise((go) => socket.once('drain', go)),
            new Promise((go) => socket.once('close', go)),
          ]);
        wait();
      }
    });
  });
}
const status = (answer) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);

test('malformed JSON', async () => {
  const good = JSON.stringify(world.event('never'));
  for (const text of [
    '{',
    '[',
    '[}',
    '{"event":}',
    `${good}x`,
    `${good}${good}`,
    good.slice(0, -1),
    `[${good},]`,
    '"text"',
    '17',
    'null',
    'true',
    '[1,2]',
    '[[]]',
    '{"a":01}',
    '{"a":NaN}',
    "{'event':'x'}",
    '{"event":"a\nb"}',
    '{"event":"\\x"}',
    '{"event":"\\ud800"}',
    '\ufeff{',
  ])
    assertMalformed(await post(text));
  for (const text of ['{', '[{]', good.slice(0, -1)])
    assertMalformed(await post(`data=${encodeURIComponent(text)}`, form));
  assert.equal((await post('{', json, '/track')).text, '0');
});

test('malformed base64', async () => {
  const good = base64(world.event('never'));
  for (const text of ['!', 'a', 'abc', `${good}!`, good.slice(0, -5), `=${good}`, '%00%01', 'ąę'])
    assertMalformed(await post(`data=${encodeURIComponent(text)}`, form));
  assertMalformed(await world.server.request('/track?verbose=1&data=!!!'));
  assertMalformed(await world.server.request('/track?verbose=1&data=%'));
  assertMalformed(await world.server.request('/track?verbose=1&data=%zz'));
});

test("malformed UTF-8: in the event name, in a property, in a property's name", async () => {
  const name = freshName();
  const text = JSON.stringify(world.event(name, { p: 'PLACE' }));
  for (const broken of ['\xff', '\xc0\x80', '\xed\xa0\x80', '\xf5\x80\x80\x80', '\xe2\x82', '\x80']) {
    for (const part of ['PLACE', name, '"p"']) {
      const replaced = Buffer.from(text.replace(part, part === '"p"' ? `"${broken}"` : broken), 'latin1');
      const answer = await post(replaced);
      assert.equal(answer.status, 200);
      assert.equal(answer.json().status, 0, `${JSON.stringify(broken)} for ${part}`);
      const encoded = await post(`data=${encodeURIComponent(replaced.toString('base64'))}`, form);
      assert.equal(encoded.json().status, 0);
    }
  }
  assert.equal(await world.count(name), 0);
});

test('gzip: broken, cut short, with something behind it, and a bomb', async () => {
  const name = freshName();
  const gzip = { ...json, 'Content-Encoding': 'gzip' };
  const good = gzipSync(JSON.stringify(world.event(name)));
  for (const body of [
    Buffer.from('no gzip'),
    good.subarray(0, good.length - 4),
    good.subarray(0, 12),
    Buffer.concat([good.subarray(0, 20), Buffer.from('xxxx'), good.subarray(24)]),
  ]) {
    const answer = await post(body, gzip);
    assert.ok(
      answer.status === 400 || (answer.status === 200 && answer.json().status === 0),
      `${answer.status} ${answer.text}`,
    );
  }
  const bomb = gzipSync(Buffer.alloc(200 << 20, 0x20), { level: 9 });
  assert.ok(bomb.length < 1 << 20);
  const answer = await post(bomb, gzip);
  assert.equal(answer.status, 413);
  assert.equal(answer.json().code, 413);
  const nested = gzipSync(bomb);
  assert.notEqual((await post(nested, gzip)).json().status, 1);
  assert.equal(await world.count(name), 0);
  assert.equal((await post(good, { ...json, 'Content-Encoding': 'br' })).status, 415);
  assert.equal((await post(good, { ...json, 'Content-Encoding': 'nonsense' })).status, 415);
});

test('a body of 20 MB is refused, without waiting for it where its length is declared', async () => {
  const answer = await raw(
    Buffer.from(
      'POST /track HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20971520\r\n\r\n',
    ),
  );
  assert.equal(status(answer), 413, answer.slice(0, 300));
  const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
  assert.equal(body.code, 413);
  assert.equal(body.status, 'Request Entity Too Large');
  assert.match(body.error, /exceeds/);

  const huge = Buffer.concat([
    Buffer.from('POST /track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1400000\r\n'),
    Buffer.alloc(20 << 20, 0x20),
    Buffer.from('\r\n0\r\n\r\n'),
  ]);
  assert.equal(status(await raw(huge, { chunk: 65536 })), 413);
});

test('a header of 100 KB', async () => {
  const answer = await raw(
    Buffer.from(`GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(100 << 10)}\r\n\r\n`),
  );
  assert.equal(status(answer), 431, answer.slice(0, 200));
  const target = await raw(Buffer.from(`GET /track?data=${'a'.repeat(200 << 10)} HTTP/1.1\r\nHost: x\r\n\r\n`));
  assert.ok([414, 431].includes(status(target)), target.slice(0, 200));
});

test('10^5 nested brackets', async () => {
  const depth = 100_000;
  assertMalformed(await post('['.repeat(depth) + ']'.repeat(depth)));
  assertMalformed(await post('['.repeat(depth)));
  assertMalformed(await post('{"a":'.repeat(depth)));
  const inside = `{"event":"deep","properties":{"token":"${world.token}","p":${'['.repeat(depth)}${']'.repeat(depth)}}}`;
  assertMalformed(await post(inside));
  assertMalformed(await post(`data=${encodeURIComponent(base64('['.repeat(depth)))}`, form));
  const identity = await world.server.request('/identity/create', {
    method: 'POST',
    headers: json,
    body: '['.repeat(depth),
  });
  assert.equal(identity.status, 400);
});

test('a batch of 2001', async () => {
  const name = freshName();
  const answer = await post(JSON.stringify(Array.from({ length: 2001 }, () => world.event(name))));
  assert.ok(
    answer.status === 413 || (answer.status === 200 && answer.json().status === 0),
    `${answer.status} ${answer.text}`,
  );
  assert.match(answer.text, /2000|2001/);
  const stored = await world.count(name);
  assert.ok(stored === 0 || stored === 2000, `stored ${stored}`);
});

test('records of the wrong shape, among good ones', async () => {
  const name = freshName();
  const token = world.token;
  const bad = [
    null,
    1,
    'x',
    [],
    [[]],
    {},
    { event: 1, properties: { token } },
    { event: null, properties: { token } },
    { event: {}, properties: { token } },
    { event: name, properties: [] },
    { event: name, properties: 'x' },
    { event: name, properties: null },
    { event: name, properties: { token: 5 } },
    { event: name, properties: { token: {} } },
    { event: name, properties: { token, time: {} } },
    { event: name, properties: { token, time: 'soon' } },
  ];
  for (const record of bad) {
    const answer = await post(JSON.stringify([world.event(name), record, world.event(name)]));
    assert.equal(answer.status, 200);
    assert.equal(answer.json().status, 0, JSON.stringify(record));
  }
  assert.equal(await world.count(name), 2 * bad.length);
});

test('strange but legal values', async () => {
  const name = freshName();
  const strange = {
    '': 1,
    ' ': 2,
    '"': 3,
    '\u0000': 4,
    '\ud83d\ude00': 5,
    __proto__x: 6,
    'a\nb': 'c\td',
    big: 1e308,
    tiny: 5e-324,
  };
  assert.deepEqual((await post(JSON.stringify(world.event(name, strange)))).json(), { error: null, status: 1 });
  const exact = `{"event":${JSON.stringify(name)},"properties":{"token":"${world.token}","n":12345678901234567890,"m":1e400,"z":-0}}`;
  assert.equal((await post(exact)).status, 200);
  const evil = `${name} '"\\<script>\u2028`;
  await world.send(world.event(evil, { v: '</script>' }));
  assert.equal(await world.count(evil), 1);
  assert.deepEqual(await world.totals({ event: evil, on: 'properties["v"]' }), { '</script>': 1 });
});

test('requests that would split differently in another server', async () => {
  const body = 'data=x';
  const post1 = (headers, text = body) =>
    raw(Buffer.from(`POST /track HTTP/1.1\r\n${headers}\r\n\r\n${text}`, 'latin1'));
  assert.equal(status(await post1('Host: a\r\nHost: b\r\nContent-Length: 6')), 400, 'two Hosts');
  assert.equal(status(await post1('Content-Length: 6')), 400, 'no Host');
  assert.equal(
    status(await post1('Host: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
    400,
    'length and chunks',
  );
  assert.equal(status(await post1('Host: a\r\nContent-Length: 6\r\nContent-Length: 7')), 400, 'two lengths');
  for (const length of ['7, 7', '+6', '6x', '0x6', '-1', '99999999999999999999'])
    assert.ok([400, 413].includes(status(await post1(`Host: a\r\nContent-Length: ${length}`))), length);
  assert.equal(status(await post1('Host: a\r\nContent-Length : 6')), 400, 'a blank before the colon');
  assert.equal(status(await post1('Host: a\r\nX: y\r\n folded\r\nContent-Length: 6')), 400, 'a folded line');
  assert.ok(
    [400, 501].includes(status(await post1('Host: a\r\nTransfer-Encoding: xchunked', '0\r\n\r\n'))),
    'xchunked',
  );
  assert.ok(
    [400, 501].includes(
      status(await post1('Host: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\n')),
    ),
    'two encodings',
  );
  assert.equal(status(await post1('Host: a\r\nX: a\0b\r\nContent-Length: 6')), 400, 'NUL');
  assert.equal(status(await post1('Host: a\r\nTransfer-Encoding: chunked', 'zz\r\n')), 400, 'a chunk without a size');
  assert.equal(status(await raw(Buffer.from('hello\r\n\r\n'))), 400);
  assert.ok([400, 505].includes(status(await raw(Buffer.from('GET / HTTP/3.7\r\nHost: a\r\n\r\n')))));
});

test('pipelined requests are answered in order, and 100-continue is', async () => {
  const one = 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n',
    last = 'GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const answers = await raw(Buffer.from(one + one + last));
  assert.deepEqual(
    [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((m) => m[1]),
    ['200', '200', '404'],
  );
  const name = freshName();
  const body = JSON.stringify([world.event(name)]);
  const expect = await raw(
    Buffer.from(
      `POST /track HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    ),
  );
  assert.match(expect, /HTTP\/1\.1 200 /);
  assert.equal(await world.count(name), 1);
  const asked = await raw(
    Buffer.from(`POST /track HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`),
  );
  assert.equal(status(asked), 100);
});

test('clients that go away in the middle', async () => {
  const name = freshName();
  const body = JSON.stringify([world.event(name)]);
  for (let n = 0; n < 50; n++) {
    const socket = net.connect(world.server.port, '127.0.0.1');
    socket.on('error', () => {});
    await new Promise((go) => socket.once('connect', go));
    const text = `POST /track HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.write(text.slice(0, Math.floor(((text.length - 1) * n) / 50)));
    await sleep(2);
    if (n % 2) socket.resetAndDestroy?.() ?? socket.destroy();
    else socket.destroy();
  }
  assert.equal(await world.count(name), 0);
});

test('many idle connections do not keep others out', async () => {
  const sockets = Array.from({ length: 300 }, () => {
    const socket = net.connect(world.server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /track HTTP/1.1\r\nHost: a\r\n');
    return socket;
  });
  await sleep(100);
  assert.equal((await world.server.request('/health')).status, 200);
  for (const socket of sockets) socket.destroy();
});

test('clients that dribble are cut off at the deadline, however busy they look', async () => {
  const slow = await World.start({
    server: { args: ['--set', 'http.header_timeout=400ms', '--set', 'http.body_timeout=400ms'] },
  });
  const dribble = (start) =>
    new Promise((resolve) => {
      const started = Date.now();
      const socket = net.connect(slow.server.port, '127.0.0.1');
      let received = '';
      socket.write(start);
      const timer = setInterval(() => socket.write('x'), 50);
      socket.on('data', (data) => (received += data));
      socket.on('error', () => {});
      socket.on('end', () => socket.destroy());
      socket.on('close', () => {
        clearInterval(timer);
        resolve({ received, after: Date.now() - started });
      });
    });
  try {
    for (const start of [
      'GET /health HTTP/1.1\r\nHost: a\r\nX: ',
      'POST /track HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n',
    ]) {
      const { received, after } = await dribble(start);
      assert.equal(status(received), 408, received);
      assert.ok(after >= 300 && after < 15_000, `after ${after} ms`);
    }
    assert.equal((await slow.server.request('/health')).status, 200);
  } finally {
    await slow.end();
  }
});

test('more connections than allowed: the others go on', async () => {
  const small = await World.start({ server: { args: ['--set', 'http.connections_max=20'] } });
  try {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    assert.equal((await small.server.request('/health', { agent })).status, 200);
    const sockets = Array.from({ length: 60 }, () => {
      const socket = net.connect(small.server.port, '127.0.0.1');
      socket.on('error', () => {});
      return socket;
    });
    const knock = () => small.server.request('/health').catch((error) => error);
    const refused = (late) => late instanceof Error || late.status === 503;
    const until = async (wanted, what) => {
      for (let tries = 0; refused(await knock()) !== wanted; tries++) {
        assert.ok(tries < 300, what);
        await sleep(50);
      }
    };
    await until(true, 'one too many is refused');
    assert.equal((await small.server.request('/health', { agent })).status, 200, 'who is connected stays connected');
    for (const socket of sockets) socket.destroy();
    await until(false, 'and there is room again');
    agent.destroy();
  } finally {
    await small.end();
  }
});

test('a seeded storm of mutated requests', async () => {
  let state = Number(process.env.BADINPUT_SEED ?? 20261121) >>> 0;
  const random = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const name = freshName();
  const text = Buffer.from(
    JSON.stringify([world.event(name, { distinct_id: 'u', list: [1, { a: 'b' }], nested: { x: null } })]),
  );
  const pending = [];
  for (let n = 0; n < 400; n++) {
    const bytes = Buffer.from(text);
    for (let change = 0; change <= random(4); change++) bytes[random(bytes.length)] = random(256);
    const body = random(4) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
    const kind = random(4);
    const send =
      kind === 0
        ? post(body)
        : kind === 1
          ? post(`data=${encodeURIComponent(body.toString('base64'))}`, form)
          : kind === 2
            ? post(gzipSync(body), { ...json, 'Content-Encoding': 'gzip' })
            : world.server.request(`/track?${query({ verbose: 1, data: body.toString('base64') })}`);
    pending.push(
      send.then((answer) => {
        assert.equal(answer.status, 200, answer.text);
        assert.ok([0, 1].includes(answer.json().status));
      }),
    );
    if (pending.length >= 20) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
});
