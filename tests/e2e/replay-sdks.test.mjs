// What the other official SDKs send, as their sources make it, and what each needs to read in the answer: one case per SDK
// and kind of request (replay.mjs). Those that run for real are in client-*.test.mjs.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { base64, base64url, basic, freshName, query } from './harness.mjs';
import {
  account,
  alias,
  any2xx,
  client,
  device,
  event,
  form,
  FORM,
  get,
  good,
  group,
  history,
  imported,
  int1,
  isSet,
  json,
  merge,
  mobile,
  one,
  pixel,
  post,
  rawForm,
  seconds,
  secret,
  set,
  Stage,
  status1,
  times,
  token,
  user,
  uuid,
  zipped,
} from './replay.mjs';

let stage, world;
before(async () => {
  stage = await Stage.start();
  world = stage.world;
});
after(() => world?.end());

const pythonForm = (path, data, more = {}, headers = {}) =>
  form(path, { data: JSON.stringify(data), verbose: 1, ip: 0, ...more }, headers);
const go = { 'Content-Type': 'application/json', Accept: 'text/plain' };
const goForm = (c, path, name, properties, headers = {}) =>
  form(
    path,
    { data: JSON.stringify({ event: name, properties: { token: c.token, ...properties } }) },
    { Accept: 'text/plain', ...headers },
  );
const rubyForm = (path, data, more = {}, headers = {}) =>
  form(path, { data: base64(data), verbose: 1, ...more }, headers);
const javaForm = (path, data) => form(`${path}?ip=0`, { data: base64(data) });
// The Java library takes an import for done by either.
const javaImport = (answer) => {
  assert.equal(answer.status, 200);
  if (answer.text === '1') return;
  assert.deepEqual([answer.json().code, answer.json().status], [200, 'OK']);
};
const reactForm = (path, data) => form(`${path}?ip=1`, { data: JSON.stringify(data) });

const table = [
  ...client('Python', status1, [
    ['track', (c) => pythonForm('/track', event(c, { mp_lib: 'python', $insert_id: uuid() })), { events: 1 }],
    [
      'track, buffered',
      (c) =>
        pythonForm(
          '/track',
          times(50, () => event(c, { $insert_id: uuid() })),
        ),
      { events: 50 },
    ],
    [
      'track, no event name',
      (c) => pythonForm('/track', { event: '', properties: { token: c.token } }),
      {},
      (answer) => assert.equal(answer.json().status, 0),
    ],
    ['people', (c) => pythonForm('/engage', user(c, set, { $time: seconds() })), { profile: isSet }],
    [
      'people, buffered',
      (c) =>
        pythonForm('/engage', [
          user(c, set),
          user(c, { $append: { l: 1 } }),
          user(c, { $union: { l: [1, 2] } }),
          user(c, { $add: { n: 2 } }),
          user(c, { $set_once: { n: 5 } }),
          user(c, { $unset: ['ü'] }),
          user(c, { $remove: { l: 1 } }),
        ]),
      { profile: { plan: 'pro', l: [2], n: 2 } },
    ],
    [
      'people, delete',
      (c) => [pythonForm('/engage', user(c, set)), pythonForm('/engage', user(c, { $delete: '' }))],
      { profile: null },
    ],
    ['groups', (c) => pythonForm('/groups', group(c, set)), { key: 'company', profile: isSet }],
    [
      'import, project secret as api_key',
      (c) => pythonForm('/import', history(c), { api_key: c.secret }),
      { old: 1 },
    ],
    [
      'import, secret as Basic',
      (c) =>
        pythonForm(
          '/import',
          times(50, () => history(c)),
          {},
          secret(c),
        ),
      { old: 50 },
    ],
    [
      'import, service account',
      (c) => pythonForm(`/import?project_id=${c.project_id}`, history(c), {}, account(c)),
      { old: 1 },
    ],
    ['alias', (c) => pythonForm('/track', alias(c)), {}],
    ['merge', (c) => pythonForm('/import', merge(c), { api_key: c.secret }), { project: 'original' }],
    [
      'flags',
      (c) =>
        get(
          `/flags?${query({ context: '{"distinct_id":"u"}', token: c.token, mp_lib: 'python', lib_version: '5' })}`,
          token(c),
        ),
      {},
      (answer) => assert.deepEqual(answer.json().flags, {}),
    ],
    [
      'flag definitions',
      (c) => get(`/flags/definitions?token=${c.token}&mp_lib=python`, token(c)),
      {},
      (answer) => assert.deepEqual([answer.status, answer.json()], [200, { flags: [] }]),
    ],
  ]),
  ...client('Go', int1, [
    [
      'track',
      (c) => post('/track?verbose=1', JSON.stringify(times(3, () => event(c, { mp_lib: 'go' }))), go),
      { events: 3 },
      good,
    ],
    ['people', (c) => post('/engage', JSON.stringify([user(c, set, { $ip: '0' })]), go), { profile: isSet }],
    [
      'people, $ignore_alias as a text',
      (c) => [
        post('/engage', JSON.stringify([user(c, set)]), go),
        post('/engage', JSON.stringify([user(c, { $delete: 'null' }, { $ignore_alias: 'true' })]), go),
      ],
      { profile: null },
    ],
    ['groups', (c) => post('/groups', JSON.stringify([group(c, set)]), go), { key: 'company', profile: isSet }],
    [
      'import, strict',
      (c) =>
        zipped(
          json(
            `/import?strict=1&project_id=${c.project_id}&verbose=1`,
            times(20, () => history(c)),
            account(c),
          ),
        ),
      { old: 20 },
      imported(20),
    ],
    [
      'import, strict, secret',
      (c) => json('/import?strict=1&verbose=1', [history(c)], secret(c)),
      { old: 1 },
      imported(1),
    ],
    [
      'import, not strict',
      (c) => json('/import?strict=0&verbose=1', [history(c)], secret(c)),
      { old: 1 },
      imported(1, 1),
    ],
    [
      'import, refused records',
      (c) =>
        json(
          `/import?strict=1&project_id=${c.project_id}&verbose=1`,
          [history(c), history(c, { time: 'never' })],
          account(c),
        ),
      { old: 1 },
      (answer) => {
        assert.equal(answer.status, 400);
        const { code, status, num_records_imported, failed_records } = answer.json();
        assert.deepEqual([code, status, num_records_imported], [400, 'Bad Request', 1]);
        assert.deepEqual([failed_records[0].index, failed_records[0].field], [1, 'properties.time']);
      },
    ],
    [
      'import, not authorized',
      (c) => json('/import?strict=1&project_id=1&verbose=1', [history(c)], { Authorization: basic('nobody:wrong') }),
      {},
      (answer) =>
        assert.deepEqual([answer.status, answer.json().code, answer.json().status], [401, 401, 'Unauthorized']),
    ],
    ['alias', (c) => goForm(c, '/track', '$create_alias', { distinct_id: c.id, alias: 'x' }), {}],
    ['identify', (c) => goForm(c, '/track', '$identify', { $identified_id: c.id, $anon_id: 'x' }), {}],
    [
      'merge',
      (c) => goForm(c, '/import', '$merge', { $distinct_ids: [c.id, 'x'], time: seconds() }, secret(c)),
      { project: 'original' },
    ],
  ]),
  ...client('Ruby', good, [
    ['track', (c) => rubyForm('/track', event(c, { mp_lib: 'ruby', time: Date.now() })), { events: 1 }],
    [
      'track, base64 with line breaks',
      (c) => form('/track', { data: base64(event(c)).replace(/.{60}/g, '$&\n') + '\n', verbose: 1 }),
      { events: 1 },
    ],
    [
      'track, buffered',
      (c) =>
        rubyForm(
          '/track',
          times(50, () => event(c)),
        ),
      { events: 50 },
    ],
    ['people', (c) => rubyForm('/engage', user(c, set, { $time: Date.now() })), { profile: isSet }],
    [
      'people, charges',
      (c) =>
        rubyForm('/engage', user(c, { $append: { $transactions: { $amount: 9.5, $time: '2024-01-02T03:04:05' } } })),
      { profile: { $transactions: [{ $amount: 9.5, $time: '2024-01-02T03:04:05' }] } },
    ],
    ['groups', (c) => rubyForm('/groups', group(c, set)), { key: 'company', profile: isSet }],
    ['import, api_key', (c) => rubyForm('/import', history(c), { api_key: c.secret }), { old: 1 }],
    [
      'import, service account',
      (c) => rubyForm('/import', history(c), { project_id: c.project_id }, account(c)),
      { old: 1 },
    ],
    ['pixel', (c) => get(`/track/?data=${base64url(event(c))}&ip=1&img=1`), { events: 1 }, pixel],
    ['alias', (c) => rubyForm('/track', alias(c)), {}],
  ]),
  ...client('Java', one, [
    [
      'track',
      (c) =>
        javaForm(
          '/track',
          times(50, () => event(c, { mp_lib: 'jdk' })),
        ),
      { events: 50 },
    ],
    ['track, gzip', (c) => zipped(javaForm('/track', [event(c)])), { events: 1 }],
    ['people', (c) => javaForm('/engage', [user(c, set, { $time: Date.now() })]), { profile: isSet }],
    ['groups', (c) => javaForm('/groups', [group(c, set)]), { key: 'company', profile: isSet }],
    [
      'import, strict',
      (c) =>
        zipped(
          json(
            '/import?strict=1',
            times(2000, () => history(c)),
            token(c),
          ),
        ),
      { old: 2000 },
      javaImport,
    ],
    [
      'import, not strict',
      (c) =>
        json(
          '/import?strict=0',
          times(3, () => history(c)),
          token(c),
        ),
      { old: 3 },
      javaImport,
    ],
    [
      'flags',
      (c) => get(`/flags?${query({ context: '{"distinct_id":"u"}', token: c.token })}`, token(c)),
      {},
      (answer) => assert.deepEqual([answer.status, answer.json().flags], [200, {}]),
    ],
  ]),
  ...client('PHP', one, [
    [
      'track, curl',
      (c) =>
        rawForm(
          '/track',
          times(50, () => event(c, { mp_lib: 'php' })),
        ),
      { events: 50 },
      (answer) => assert.equal(answer.text.trim(), '1'),
    ],
    ['people', (c) => rawForm('/engage', [user(c, set)]), { profile: isSet }],
    ['groups', (c) => rawForm('/groups', [group(c, set)]), { key: 'company', profile: isSet }],
    ['alias', (c) => rawForm('/track', [alias(c)]), {}],
  ]),
  ...client('Android', any2xx, [
    [
      'track',
      (c) =>
        form('/track/?ip=1', {
          data: base64(
            times(50, () => ({
              event: c.name,
              properties: { token: c.token, time: Date.now(), ...device(c) },
              ...mobile,
            })),
          ),
        }),
      { events: 50 },
    ],
    [
      'track, debug and gzip',
      (c) => zipped(form('/track/?ip=0', { data: base64([{ ...event(c), ...mobile }]), verbose: 1 })),
      { events: 1 },
    ],
    [
      'people',
      (c) =>
        form('/engage/?ip=1', {
          data: base64([
            {
              ...user(c, set, {
                $time: Date.now(),
                $device_id: 'd',
                $user_id: c.id,
                $had_persisted_distinct_id: true,
              }),
              ...mobile,
            },
          ]),
        }),
      { profile: isSet },
    ],
    ['groups', (c) => form('/groups/?ip=1', { data: base64([group(c, set)]) }), { key: 'company', profile: isSet }],
    [
      'flags',
      (c) => [
        get(
          `/flags/?${query({ context: '{"distinct_id":"u","device_id":"d"}', token: c.token, mp_lib: 'android' })}`,
          token(c),
        ),
        json('/flags/', { context: { distinct_id: 'u' } }, token(c)),
      ],
      {},
      (answer) => assert.deepEqual([answer.status, answer.json().flags], [200, {}]),
    ],
    [
      'settings',
      (c) =>
        get(
          `/settings?${query({ $lib_version: '1', mp_lib: 'android-sr', sdk_config: 1, recording: 1, $os: 'Android' })}`,
          token(c),
        ),
      {},
      (answer) => {
        assert.equal(answer.status, 200);
        assert.deepEqual(answer.json(), { recording: { is_enabled: true }, sdk_config: { config: {} } });
      },
    ],
    [
      'record',
      (c) =>
        times(2, (seq) =>
          post(
            `/record?${query({ format: 'gzip', distinct_id: c.id, seq, batch_start_time: 1.5, replay_id: uuid(), replay_length_ms: 10, replay_start_time: 1.5, $os: 'Android', mp_lib: 'android-sr' })}`,
            gzipSync('[{"type":2}]'),
            { ...token(c), 'Content-Type': 'application/octet-stream' },
          ),
        ),
      {},
      (answer) => assert.deepEqual([answer.status, answer.json()], [200, { code: 200, status: 'OK' }]),
    ],
  ]),
  ...client('Swift', int1, [
    [
      'track',
      (c) =>
        json(
          '/track/?ip=1',
          times(50, () => ({
            event: c.name,
            properties: { token: c.token, time: Date.now(), ...device(c), mp_lib: 'swift' },
            ...mobile,
          })),
        ),
      { events: 50 },
    ],
    ['track, gzip', (c) => zipped(json('/track/?ip=0', [event(c)])), { events: 1 }],
    [
      'people',
      (c) => json('/engage/?ip=1', [{ ...user(c, set, { $time: Date.now() }), ...mobile }]),
      { profile: isSet },
    ],
    ['groups', (c) => json('/groups/?ip=1', [group(c, set)]), { key: 'company', profile: isSet }],
    ['alias', (c) => json('/track/?ip=1', [alias(c)]), {}],
  ]),
  ...client('React Native', int1, [
    [
      'track',
      (c) =>
        reactForm(
          '/track/',
          times(50, () => event(c, { mp_lib: 'react-native' })),
        ),
      { events: 50 },
    ],
    ['people', (c) => reactForm('/engage/', [user(c, set)]), { profile: isSet }],
    ['groups', (c) => reactForm('/groups/', [group(c, set)]), { key: 'company', profile: isSet }],
  ]),
];
for (const [name, row] of table) test(`${name}: ${row[0]}`, () => stage.replay(row));

test('no token, name or address of a client is in what it sent before', async () => {
  const name = freshName();
  await world.server.request('/track/?ip=1', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify([{ ...world.event(name, { time: Date.now() }), ...mobile }]),
  });
  for (const property of ['token', 'ip', '$mp_metadata', '$mp_event_id'])
    assert.deepEqual(await world.totals({ event: name, on: `properties["${property}"]` }), { undefined: 1 });
});

// ---- what a single request cannot show ----

test('PHP: a socket that stays open, and answers that fit into its buffer', async () => {
  const name = freshName();
  const body = `data=${base64([world.event(name)])}`;
  const head = [
    'POST /track HTTP/1.1',
    `Host: ${new URL(world.url).host}`,
    'User-Agent: mixpanel-php',
    `Content-Type: ${FORM}`,
    'Accept: application/json',
    `Content-length: ${body.length}`,
  ];
  const socket = net.connect(world.server.port, '127.0.0.1');
  let received = '';
  socket.setEncoding('latin1').on('data', (text) => (received += text));
  for (let i = 1; i <= 3; i++) {
    received = '';
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
    for (let tries = 0; !received.endsWith('\r\n\r\n1'); tries++) {
      assert.ok(tries < 500, `no answer: ${received}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.match(received, /^HTTP\/1\.1 200 /);
    assert.match(received, /\r\nContent-Length: 1\r\n/i);
    assert.ok(received.length <= 2048);
  }
  socket.destroy();
  assert.equal(await world.count(name), 3);
});
