// The package `mixpanel` for Node as npm has it. Nothing is changed but its documented settings: host, protocol and path,
// and verbose, geolocate, test and credentials where a test is about them. What arrived is asked of the server's reports.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createProject, day, freshName, repository, World } from './harness.mjs';
import { profile } from './profiles.mjs';

const modules = path.join(repository, 'tests/clients/node_modules');
const skip =
  process.env.CI === 'true' || existsSync(path.join(modules, 'mixpanel'))
    ? false
    : 'the packages of tests/clients are not installed: script/bootstrap --tests installs them';
/* The package sends everything through a proxy that is named there. */
for (const name of ['HTTP_PROXY', 'HTTPS_PROXY']) delete process.env[name];

const fixtures = path.join(repository, 'tests/e2e/tls');
const certificate = path.join(fixtures, 'chain1.pem');
let world, Mixpanel;
before(async () => {
  if (skip) return;
  const args = ['--listen', 'https://127.0.0.1:0', '--tls-certificate', certificate];
  world = await World.start({ server: { args: [...args, '--tls-key', path.join(fixtures, 'key1.pem')] } });
  Mixpanel = createRequire(path.join(modules, 'x.js'))('mixpanel');
});
after(() => world?.end());

const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const client = (config = {}, token = world.token) =>
  Mixpanel.init(token, {
    host: new URL(world.url).host,
    protocol: 'http',
    path: '',
    logger: quiet,
    ...config,
  });

// Calls `object[name](...args, callback)` and resolves with what the callback heard first: undefined or null is success.
const hear = (object, name, ...args) => new Promise((resolve) => object[name](...args, resolve));
async function well(object, name, ...args) {
  const error = await hear(object, name, ...args);
  assert.ok(error === undefined || error === null, `${name}: ${error}`);
}
const totals = (event, property, params = {}) => world.totals({ event, on: `properties["${property}"]`, ...params });
// The reports' range for history.
const old = { from_date: '2019-01-01', to_date: '2019-12-31' };

for (const verbose of [false, true]) {
  test(`track, verbose ${verbose}`, { skip }, async () => {
    const mixpanel = client({ verbose });
    const name = freshName();
    await well(mixpanel, 'track', name);
    await well(mixpanel, 'track', name, {
      distinct_id: 'ann',
      plan: 'ü+/?&=>~',
      n: 1.5,
      list: ['a', 2],
      nested: { deep: { x: 1 } },
    });
    await well(mixpanel, 'track', name, {
      distinct_id: 'ann',
      when: new Date(Date.UTC(2024, 0, 2, 3, 4, 5)),
      yes: true,
      none: null,
    });
    assert.equal(await world.count(name), 3);
    assert.equal(await world.uniques(name), 1);
    assert.deepEqual(await totals(name, 'plan'), { undefined: 2, 'ü+/?&=>~': 1 });
    assert.deepEqual(await totals(name, 'mp_lib'), { node: 3 });
    assert.equal(
      await world.count(name, { where: 'datetime(properties["when"]) == datetime("2024-01-02T03:04:05")' }),
      1,
    );
    assert.equal(
      await world.count(name, { where: 'properties["yes"] == true and not defined(properties["none"])' }),
      1,
    );
    assert.equal(await world.count(name, { where: 'properties["n"] == 1.5' }), 1);
    /* the token and the address stay nowhere */
    assert.deepEqual(await totals(name, 'token'), { undefined: 3 });
  });
}

test(
  'track without a callback, with the test flag, with geolocation, over a connection that is kept',
  { skip },
  async () => {
    const name = freshName();
    for (const config of [{ test: true }, { geolocate: true }, { keepAlive: false }, { debug: true }])
      await well(client(config), 'track', name, { distinct_id: 'ann' });
    const mixpanel = client();
    mixpanel.track(name, { distinct_id: 'ann' });
    for (let i = 0; i < 20; i++) await well(mixpanel, 'track', name, { distinct_id: 'ann' });
    assert.equal(await world.count(name), 25);
  },
);

test('times: a Date, seconds, milliseconds', { skip }, async () => {
  const name = freshName();
  const mixpanel = client();
  const yesterday = Date.now() - 86_400_000;
  await well(mixpanel, 'track', name, { time: new Date(yesterday) });
  await well(mixpanel, 'track', name, { time: Math.floor(yesterday / 1000) });
  await well(mixpanel, 'track', name, { time: yesterday });
  await well(mixpanel, 'track_batch', [{ event: name, properties: { time: new Date(yesterday) } }]);
  const date = day(0, 'UTC', yesterday);
  assert.equal(await world.count(name, { from_date: date, to_date: date }), 4);
});

test('what is wrong reaches the callback', { skip }, async () => {
  const name = freshName();
  const ancient = { time: new Date(Date.now() - 30 * 86_400_000) };
  const rows = [
    [false, 'Mixpanel Server Error: 0'],
    [true, /^Mixpanel Server Error: .*(5 days|too old|older|time)/],
  ];
  for (const [verbose, message] of rows) {
    const error = await hear(client({ verbose }), 'track', name, { ...ancient });
    assert.ok(error instanceof Error);
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
  }
  const empty = await hear(client({ verbose: true }), 'track', '');
  assert.equal(empty.message, 'Mixpanel Server Error: event, missing');
  /* an unknown token is nobody's error */
  await well(client({ verbose: true }, 'f'.repeat(32)), 'track', name);
  assert.equal(await world.count(name), 0);
  const nobody = await hear(client({ host: '127.0.0.1:1' }), 'track', name);
  assert.equal(nobody.code, 'ECONNREFUSED');
});

test('track_batch: fifty at a time, at once or in order', { skip }, async () => {
  const mixpanel = client();
  for (const options of [{}, { max_batch_size: 10 }, { max_concurrent_requests: 1 }, { max_batch_size: 100 }]) {
    const name = freshName();
    const events = Array.from({ length: 130 }, (_, i) => ({ event: name, properties: { distinct_id: `u${i}`, i } }));
    await well(mixpanel, 'track_batch', events, options);
    assert.equal(await world.count(name), 130);
    assert.equal(await world.uniques(name), 130);
  }
  /* one that is no good: its batch is told so, the others are taken, and the batch's others as well */
  const name = freshName();
  const events = Array.from({ length: 120 }, (_, i) => ({ event: i === 60 ? '' : name, properties: { i } }));
  const errors = await hear(mixpanel, 'track_batch', events);
  assert.equal(errors.length, 1);
  assert.equal(errors[0].message, 'Mixpanel Server Error: 0');
  assert.equal(await world.count(name), 119);
});

test('import and import_batch over http, with the project’s secret or token as the key', { skip }, async () => {
  for (const key of [world.project.secret, world.token]) {
    for (const verbose of [false, true]) {
      const name = freshName();
      const mixpanel = client({ key, verbose });
      const when = new Date(Date.UTC(2019, 5, 1, 12));
      await well(mixpanel, 'import', name, when, { distinct_id: 'ann', $insert_id: 'one' });
      await well(mixpanel, 'import', name, when, { distinct_id: 'ann', $insert_id: 'one' });
      await well(mixpanel, 'import', name, when.getTime() / 1000, { distinct_id: 'bob' });
      const events = Array.from({ length: 120 }, (_, i) => ({
        event: name,
        properties: { distinct_id: `u${i}`, time: new Date(Date.UTC(2019, 0, 1 + i)), i },
      }));
      await well(mixpanel, 'import_batch', events);
      assert.equal(await world.count(name, old), 122);
      assert.equal(await world.count(name, { from_date: '2019-01-01', to_date: '2019-01-31' }), 31);
    }
  }
  const wrong = await hear(client({ key: 'f'.repeat(32), verbose: true }), 'import', 'x', new Date(0), {});
  assert.match(wrong.message, /^Mixpanel Server Error: Unauthorized/);
});

// A process that trusts the test's certificate. Resolves with what each callback heard.
function secure({ config = {}, account, calls }, trust = certificate) {
  const found = /^listening on https:\/\/(127\.0\.0\.1:\d+)$/m.exec(world.server.output);
  const host = { host: found[1], protocol: 'https', path: '' };
  return new Promise((resolve, reject) => {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: trust };
    const child = spawn(process.execPath, [path.join(repository, 'tests/e2e/client-node-child.mjs')], { env });
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
    let stdout = '',
      stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0) resolve(JSON.parse(stdout));
      else reject(new Error(`the client ended with ${code}: ${stderr}`));
    });
    child.stdin.end(JSON.stringify({ modules, token: world.token, config: { ...host, ...config }, account, calls }));
  });
}

test('import over https: a service account, and the project’s secret', { skip }, async () => {
  const date = { $date: Date.UTC(2019, 6, 1) };
  const account = [world.account.username, world.account.secret, String(world.project.project_id)];
  const secret = { secret: world.project.secret };
  for (const who of [
    { account },
    { account, config: { verbose: true } },
    { config: secret },
    { config: { ...secret, verbose: true } },
  ]) {
    const name = freshName();
    const batch = Array.from({ length: 70 }, (_, i) => ({
      event: name,
      properties: { time: date, distinct_id: `u${i}` },
    }));
    const calls = [
      ['import', name, date, { distinct_id: 'ann', ü: '+/=' }],
      ['import', name, date.$date / 1000, { distinct_id: 'ann' }],
      ['import_batch', batch, {}],
      ['track', name, { time: { $date: Date.now() } }],
    ];
    assert.deepEqual(await secure({ ...who, calls }), [null, null, null, null]);
    assert.equal(await world.count(name, old), 72);
    assert.equal(await world.count(name), 1);
  }
});

test('import over https with credentials that are not good', { skip }, async () => {
  const calls = [['import', 'never', { $date: Date.UTC(2019, 6, 1) }, { distinct_id: 'ann' }]];
  const id = String(world.project.project_id);
  const other = createProject(world.data, { name: 'Other' });
  const rows = [
    [
      { account: [world.account.username, 'wrong', id] },
      'Invalid service account credentials|Not a valid service account username',
    ],
    [{ account: [world.account.username, world.account.secret, String(other.project_id)] }, 'not a project member'],
    [{ account: [world.account.username, world.account.secret, '999'] }, 'not a project member'],
    [{ config: { secret: 'f'.repeat(32) } }, 'Unauthorized, invalid project secret'],
  ];
  for (const [who, message] of rows) {
    const [heard] = await secure({ ...who, config: { ...who.config, verbose: true }, calls });
    assert.match(heard[0], new RegExp(`^Mixpanel Server Error: (${message})`));
    const [brief] = await secure({ ...who, calls });
    assert.match(brief[0], /^Mixpanel Server Error: \{/);
  }
  assert.equal(await world.count('never', old), 0);
  const [untrusted] = await secure(
    { calls, config: { secret: world.project.secret } },
    path.join(fixtures, 'chain2.pem'),
  );
  assert.match(untrusted[0], /self.signed certificate/);
});

test('alias is answered with success', { skip }, async () => {
  for (const verbose of [false, true]) {
    const user = freshName('user');
    await well(client({ verbose }), 'alias', '$device:abc', user);
  }
});

// ---- people ----

// Each step with what the profile must be afterwards (null: there is none).
async function follow(steps, read) {
  for (const [i, [call, expected]] of steps.entries()) {
    await call();
    assert.deepEqual(await read(), expected, `after step ${i + 1}`);
  }
}

for (const verbose of [false, true]) {
  test(`people: every method, verbose ${verbose}`, { skip }, async () => {
    const { people } = client({ verbose });
    const id = freshName('user');
    const by =
      (name, ...args) =>
      () =>
        well(people, name, id, ...args);
    const charge = { $amount: 9.5, $time: '2024-01-02T03:04:05.000Z', sku: 'a' };
    const steps = [
      [by('set', 'plan', 'free'), { plan: 'free' }],
      [by('set', { plan: 'pro', n: 1, list: ['a'], ü: '+/=' }), { plan: 'pro', n: 1, list: ['a'], ü: '+/=' }],
      [by('unset', ['n', 'ü']), { plan: 'pro', list: ['a'] }],
      [by('unset', 'list'), { plan: 'pro' }],
      [by('set_once', 'plan', 'basic'), { plan: 'pro' }],
      [by('set_once', { plan: 'basic', first: 'yes' }), { plan: 'pro', first: 'yes' }],
      [by('unset', 'first'), { plan: 'pro' }],
      [by('increment', 'visits'), { plan: 'pro', visits: 1 }],
      [by('increment', 'visits', 4.5), { plan: 'pro', visits: 5.5 }],
      [by('increment', { visits: -5.5, level: 2 }), { plan: 'pro', visits: 0, level: 2 }],
      [by('unset', ['visits', 'level', 'never']), { plan: 'pro' }],
      [by('append', 'pages', 'home'), { plan: 'pro', pages: ['home'] }],
      [by('append', { pages: 'cart', others: 7 }), { plan: 'pro', pages: ['home', 'cart'], others: [7] }],
      [
        by('union', { pages: ['cart', 'pay'], others: 7 }),
        { plan: 'pro', pages: ['home', 'cart', 'pay'], others: [7] },
      ],
      [by('remove', { pages: 'cart' }), { plan: 'pro', pages: ['home', 'pay'], others: [7] }],
      [by('unset', ['pages', 'others', 'plan']), {}],
      [by('track_charge', 9.5, { $time: new Date(charge.$time), sku: 'a' }), { $transactions: [charge] }],
      [by('track_charge', '2'), { $transactions: [charge, { $amount: 2 }] }],
      [by('clear_charges'), { $transactions: [] }],
      [by('set', { a: 1 }, { $ignore_time: true, $ip: '0' }), { $transactions: [], a: 1 }],
      [by('set', 'b', 2, { $ignore_alias: true, $time: new Date() }), { $transactions: [], a: 1, b: 2 }],
      [by('delete_user'), null],
      [by('set', 'again', true), { again: true }],
      [by('delete_user', { $ignore_alias: true }), null],
    ];
    await follow(steps, () => profile(world, id));
  });
}

test('groups: every method', { skip }, async () => {
  for (const [id, text] of [
    [freshName('Acme'), undefined],
    [4711 + process.pid, String(4711 + process.pid)],
  ]) {
    const { groups } = client({ verbose: true });
    const by =
      (name, ...args) =>
      () =>
        well(groups, name, 'company', id, ...args);
    const steps = [
      [by('set', '$name', 'Acme Inc.'), { $name: 'Acme Inc.' }],
      [by('set', { $name: 'Acme', seats: 5 }), { $name: 'Acme', seats: 5 }],
      [by('set_once', 'seats', 7), { $name: 'Acme', seats: 5 }],
      [by('set_once', { seats: 7, since: 2019 }), { $name: 'Acme', seats: 5, since: 2019 }],
      [by('unset', ['since', 'seats']), { $name: 'Acme' }],
      [by('union', { products: ['anvil', 'rope'] }), { $name: 'Acme', products: ['anvil', 'rope'] }],
      [by('union', { products: 'anvil' }), { $name: 'Acme', products: ['anvil', 'rope'] }],
      [by('remove', { products: 'anvil' }), { $name: 'Acme', products: ['rope'] }],
      [by('unset', 'products'), { $name: 'Acme' }],
      [by('delete_group'), null],
    ];
    await follow(steps, async () => {
      const found = await profile(world, text ?? id, 'company');
      if (found) delete found.$group_id;
      return found;
    });
  }
});

test('messages that are not good, and two clients at once', { skip }, async () => {
  const { people } = client({ verbose: true });
  const bad = await hear(people, 'set', '', { a: 1 });
  assert.equal(bad.message, 'Mixpanel Server Error: $distinct_id, missing or empty');
  const id = freshName('user');
  const other = client().people;
  await Promise.all(Array.from({ length: 100 }, (_, i) => well(i % 2 ? people : other, 'increment', id, 'n', 1)));
  assert.deepEqual(await profile(world, id), { n: 100 });
});
