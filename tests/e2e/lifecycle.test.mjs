// The life of a server and of its data directory: one server at a time, changes of the control plane seen at once, a
// polite end that loses nobody's request, and everything still there afterwards.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import {
  basic,
  cairn,
  createAccount,
  createProject,
  day,
  freshName,
  query,
  repository,
  Server,
  sleep,
  temporaryDirectory,
  World,
} from './harness.mjs';

const worlds = [];
const start = async (options) => {
  const world = await World.start(options);
  worlds.push(world);
  return world;
};
after(async () => {
  for (const world of worlds) await world.end();
});

async function until(holds, what) {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 1500, what);
    await sleep(20);
  }
}

test('/health and /ready', async () => {
  const world = await start();
  for (const target of ['/health', '/ready']) {
    const answer = await world.server.request(target);
    assert.equal(answer.status, 200);
    assert.match(answer.headers['content-type'], /^application\/json/);
    assert.equal(typeof answer.json(), 'object');
    assert.ok(answer.headers.date, 'every answer carries the date');
    assert.ok(answer.headers['content-length']);
    const head = await world.server.request(target, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body.length, 0);
  }
});

test('the line on standard output names an address that works', async () => {
  const world = await start();
  assert.match(world.url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.ok(world.server.port > 0);
});

test('a second server on the same data directory is refused and says why', async () => {
  const world = await start();
  const second = cairn(['serve', '--data', world.data, '--listen', '127.0.0.1:0'], { timeout: 30_000 });
  assert.notEqual(second.code, 0);
  assert.notEqual(second.code, null, 'it has to give up by itself');
  assert.match(second.stderr, /lock|another|already|in use/i);
  assert.ok(second.stderr.includes(world.data), second.stderr);
  assert.doesNotMatch(second.stdout, /listening on/);
  const name = freshName();
  await world.send(world.event(name));
  assert.equal(await world.count(name), 1);
  await world.server.stop();
  world.server = await Server.start(world.data);
  assert.equal(await world.count(name), 1);
});

test('what a server has in memory when it stops is in files when it starts again', async () => {
  const world = await start();
  const name = freshName();
  const replayed = () => Number(/recovered.*?\bevents"?[=:] ?(\d+)/.exec(world.server.log)?.[1]);
  for (let i = 0; i < 30; i++) {
    const events = [];
    for (let k = 0; k < 2000; k++) events.push(world.event(name, { distinct_id: `u${k}`, $insert_id: `${i}-${k}` }));
    await world.send(...events);
  }
  assert.equal(await world.count(name), 60_000);
  await sleep(1000); // the store counts what it has when it has nothing else to do, four times a second
  await world.restart();
  assert.equal(replayed(), 0, world.server.log);
  assert.equal(await world.count(name), 60_000);
  await world.send(world.event(name)); // a few make no file
  await world.restart();
  assert.equal(replayed(), 1, world.server.log);
  assert.equal(await world.count(name), 60_001);
});

test('the lock does not outlive a killed server', async () => {
  const world = await start();
  const name = freshName();
  await world.send(world.event(name));
  await world.restart({ kill: true });
  assert.equal(await world.count(name), 1);
});

test('an address in use: exit, and the address in the message', async () => {
  const world = await start();
  const data = temporaryDirectory();
  createProject(data);
  const second = cairn(['serve', '--data', data, '--listen', `127.0.0.1:${world.server.port}`], { timeout: 30_000 });
  assert.notEqual(second.code, 0);
  assert.ok(second.stderr.includes(String(world.server.port)), second.stderr);
});

test('wrong usage: exit 2', () => {
  for (const args of [
    ['serve'],
    ['serve', '--data'],
    ['serve', '--data', temporaryDirectory(), '--listen', 'nonsense'],
    ['serve', '--data', temporaryDirectory(), '--set', 'no.such=1'],
    ['nonsense'],
    ['serve', '--nonsense'],
  ]) {
    const { code, stderr } = cairn(args, { timeout: 30_000 });
    assert.equal(code, 2, `${args.join(' ')}: ${code} ${stderr}`);
    assert.notEqual(stderr, '');
  }
});

test('help and version', () => {
  for (const args of [
    ['--help'],
    ['serve', '--help'],
    ['project', '--help'],
    ['account', '--help'],
    ['workflow', '--help'],
  ]) {
    const { code, stdout } = cairn(args);
    assert.equal(code, 0, args.join(' '));
    assert.match(stdout, /cairn/);
  }
  assert.match(cairn(['--version']).stdout, /\d+\.\d+\.\d+/);
  const options = cairn(['serve', '--help']).stdout;
  assert.match(options, /--data/);
  assert.match(options, /--listen/);
});

test('the sample configuration is accepted', async () => {
  const sample = path.join(repository, 'conf/cairn.conf');
  const data = temporaryDirectory();
  createProject(data);
  const server = await Server.start(data, { args: ['--config', sample] });
  assert.equal((await server.request('/health')).status, 200);
  assert.equal((await server.stop()).code, 0);
  const broken = path.join(data, 'broken.conf');
  writeFileSync(broken, `${readFileSync(sample, 'utf8')}\nno.such.option = 1\n`);
  const refused = cairn(['serve', '--data', data, '--config', broken, '--listen', '127.0.0.1:0'], {
    timeout: 30_000,
  });
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /no\.such\.option/);
});

test('SIGTERM: requests under way are answered, then exit 0', async () => {
  const world = await start();
  const name = freshName();
  const body = JSON.stringify([world.event(name)]);
  const socket = net.connect(world.server.port, '127.0.0.1');
  await new Promise((go) => socket.once('connect', go));
  let received = '';
  socket.on('data', (data) => {
    received += data;
  });
  const closed = new Promise((go) => socket.once('close', go));
  socket.write(`POST /track HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`);
  await until(() => received.startsWith('HTTP/1.1 100 '), 'the request has begun');
  received = '';
  socket.write(body.slice(0, 10));
  const ended = world.server.stop();
  const knock = () => world.server.request('/health').then(() => false, () => true);
  await until(knock, 'nobody is let in any more');
  assert.ok(world.server.running, 'it waits for the request that has begun');
  socket.write(body.slice(10));
  await closed;
  assert.match(received, /^HTTP\/1\.1 200 |\r\n\r\nHTTP\/1\.1 200 /);
  assert.match(received, /connection: close/i);
  assert.deepEqual(await ended, { code: 0, signal: null });
  world.server = await Server.start(world.data);
  assert.equal(await world.count(name), 1);
});

test('SIGTERM under load: what was acknowledged is there, the rest was refused or cut', async () => {
  const world = await start();
  const name = freshName();
  let acknowledged = 0,
    sent = 0,
    stop = false;
  const clients = Array.from({ length: 8 }, async (_, client) => {
    while (!stop) {
      sent++;
      try {
        const answer = await world.track([world.event(name, { distinct_id: `c${client}` })]);
        if (answer.text === '1') acknowledged++;
        else assert.equal(answer.status, 503);
      } catch {
        return;
      }
    }
  });
  await until(() => acknowledged > 20, 'clients get answers');
  const end = await world.server.stop();
  stop = true;
  await Promise.all(clients);
  assert.deepEqual(end, { code: 0, signal: null });
  assert.ok(acknowledged > 0);
  world.server = await Server.start(world.data);
  const stored = await world.count(name);
  assert.ok(stored >= acknowledged && stored <= sent, `acknowledged ${acknowledged}, stored ${stored}, sent ${sent}`);
});

test('SIGINT ends it politely as well', async () => {
  const world = await start();
  assert.deepEqual(await world.server.stop('SIGINT'), { code: 0, signal: null });
});

test('a restart keeps projects, accounts, events and links', async () => {
  const world = await start({ timezone: 'Asia/Tokyo' });
  const name = freshName();
  await world.send(
    world.event(name, { $device_id: 'd', v: 'x' }),
    world.event(name, { $device_id: 'd', $user_id: 'u' }),
  );
  for (const kill of [false, true, false]) {
    await world.restart({ kill });
    assert.equal(await world.count(name), 2);
    assert.equal(await world.uniques(name), 1);
    assert.deepEqual(await world.totals({ event: name, on: 'properties["v"]' }), { x: 1, undefined: 1 });
  }
});

test('a project and an account made while the server runs work at once', async () => {
  const world = await start();
  const project = createProject(world.data, { name: 'Late', timezone: 'Europe/Paris' });
  const name = freshName();
  const tracked = await world.server.request('/track', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify([{ event: name, properties: { token: project.token } }]),
  });
  assert.equal(tracked.text, '1');
  const account = createAccount(world.data, project.project_id, { role: 'analyst' });
  const answer = await world.server.request(
    `/api/2.0/segmentation?${query({ project_id: project.project_id, event: name, from_date: day(-1), to_date: day(1) })}`,
    { headers: { Authorization: basic(`${account.username}:${account.secret}`) } },
  );
  assert.equal(answer.status, 200, answer.text);
  assert.equal(
    Object.values(answer.json().data.values[name]).reduce((a, b) => a + b, 0),
    1,
  );

  const listed = cairn(['project', 'list', '--data', world.data, '--json']);
  assert.equal(listed.code, 0);
  assert.ok(listed.stdout.includes('Late'));
  assert.equal(typeof JSON.parse(listed.stdout), 'object');
});

test('project create: chosen id, token and zone; wrong ones are refused', () => {
  const data = temporaryDirectory();
  const token = 'abcdef0123456789abcdef0123456789';
  const made = createProject(data, { name: 'Chosen', id: 4711, token, timezone: 'America/New_York' });
  assert.equal(made.project_id, 4711);
  assert.equal(made.token, token);
  assert.equal(made.timezone, 'America/New_York');
  assert.equal(createProject(data, { name: 'Default' }).timezone, 'UTC');
  assert.match(createProject(data, { name: 'Made up' }).token, /^[0-9a-f]{32}$/);
  const refused = [
    ['--name', 'x', '--id', '4711'],
    ['--name', 'x', '--token', token],
    ['--name', 'x', '--timezone', 'Mars/Olympus'],
    ['--name', 'x', '--id', '-1'],
    ['--name', 'x', '--token', 'short'],
    ['--name', 'x', '--identity', 'other'],
    [],
  ];
  for (const args of refused) {
    const { code, stderr, stdout } = cairn(['project', 'create', '--data', data, '--json', ...args]);
    assert.ok(code === 1 || code === 2, `${args.join(' ')}: ${code}`);
    assert.notEqual(stderr, '');
    assert.equal(stdout, '');
  }
  const account = cairn(['account', 'create', '--data', data, '--project', '999', '--role', 'admin', '--json']);
  assert.notEqual(account.code, 0);
  assert.notEqual(
    cairn(['account', 'create', '--data', data, '--project', '4711', '--role', 'king', '--json']).code,
    0,
  );
});

test("a data directory is nobody else's business", async () => {
  const world = await start();
  await world.send(world.event('x'));
  const secret = world.account.secret;
  const files = [];
  const walk = (directory) =>
    readdirSync(directory, { withFileTypes: true }).forEach((entry) => {
      const file = path.join(directory, entry.name);
      if (entry.isDirectory()) walk(file);
      else files.push(file);
    });
  walk(world.data);
  assert.ok(files.length > 0);
  for (const file of files) {
    assert.equal(statSync(file).mode & 0o007, 0, `${file} is open to everybody`);
    if (statSync(file).isFile())
      assert.ok(!readFileSync(file).includes(secret), `${file} holds an account's secret in the clear`);
  }
});

test('a directory that is no data directory, or from the future, is refused', () => {
  const file = path.join(temporaryDirectory(), 'file');
  writeFileSync(file, 'not a directory');
  const { code, stderr } = cairn(['serve', '--data', file, '--listen', '127.0.0.1:0'], { timeout: 30_000 });
  assert.ok(code === 1 || code === 2, `${code}`);
  assert.ok(stderr.includes(file), stderr);
});
