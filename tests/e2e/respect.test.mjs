// The public workflow runner of @redocly/cli, `respect`, runs the seeds against the server, unchanged. It sends no
// credentials by itself, so a small proxy of this test adds the Basic header on the way to the query API.
//
// Needs tests/clients/node_modules (script/bootstrap --tests). Without it the test is skipped, except where CI=true.
// The runner wants a newer Node than Debian 12 has: the package node-linux-… of tests/clients brings one.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { day, freshName, repository, temporaryDirectory, World } from './harness.mjs';

const modules = path.join(repository, 'tests/clients/node_modules');
const cli = path.join(modules, '@redocly/cli/bin/cli.js');
const skip =
  existsSync(cli) || process.env.CI === 'true'
    ? false
    : `${cli} is not installed: script/bootstrap --tests installs it`;
const ownNode = path.join(modules, `node-linux-${process.arch}/bin/node`);
const node = existsSync(ownNode) ? ownNode : process.execPath;

let world, proxy, root, files;
before(async () => {
  if (skip) return;
  assert.ok(existsSync(cli), `${cli} is missing`);
  world = await World.start();
  // Everything goes through, with credentials added.
  proxy = http.createServer((request, response) => {
    const outgoing = http.request(
      world.url + request.url,
      {
        method: request.method,
        headers: { ...request.headers, authorization: world.authorization },
      },
      (incoming) => {
        response.writeHead(incoming.statusCode, incoming.headers);
        incoming.pipe(response);
      },
    );
    outgoing.on('error', () => response.destroy());
    request.pipe(outgoing);
  });
  await new Promise((go) => proxy.listen(0, '127.0.0.1', go));

  root = temporaryDirectory('respect');
  cpSync(path.join(repository, 'openapi'), path.join(root, 'openapi'), { recursive: true });
  mkdirSync(path.join(root, 'arazzo'));
  const seeds = path.join(repository, '../shared/seeds');
  const source = existsSync(seeds) ? seeds : path.join(repository, 'workflows');
  files = {};
  for (const name of readdirSync(source)) {
    const file = path.join(root, 'arazzo', name);
    writeFileSync(file, readFileSync(path.join(source, name)));
    if (name.includes('identity')) files.identity = file;
    if (name.includes('track-and-segment')) files.segment = file;
  }
});
after(async () => {
  proxy?.close();
  await world?.end();
});

function respect(file, inputs, sources) {
  const address = `http://127.0.0.1:${proxy.address().port}`;
  const servers = { ingestionApi: world.url, identityApi: world.url, queryApi: `${address}/api/2.0` };
  const args = [
    cli,
    'respect',
    file,
    '--input',
    JSON.stringify(inputs),
    '--severity',
    'SCHEMA_CHECK=off',
    ...sources.flatMap((name) => ['--server', `${name}=${servers[name]}`]),
  ];
  const env = {
    ...process.env,
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
    NO_COLOR: '1',
    CI: 'true',
  };
  delete env.NODE_TEST_CONTEXT;
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    child.stderr.on('data', (text) => {
      output += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}

test('track and segment', { skip }, async () => {
  const eventName = freshName();
  const inputs = {
    projectToken: world.token,
    projectId: world.project.project_id,
    distinctId: 'ann',
    eventName,
    fromDate: day(-1),
    toDate: day(1),
  };
  const run = await respect(files.segment, inputs, ['ingestionApi', 'queryApi']);
  assert.equal(run.code, 0, run.output);
  assert.equal(await world.count(eventName), 1);
});

test('track and segment, with a split', { skip }, async () => {
  const eventName = freshName();
  const inputs = {
    projectToken: world.token,
    projectId: world.project.project_id,
    distinctId: 'ann',
    eventName,
    fromDate: day(-1),
    toDate: day(1),
    segmentOn: 'properties["$distinct_id"]',
  };
  const run = await respect(files.segment, inputs, ['ingestionApi', 'queryApi']);
  assert.equal(run.code, 0, run.output);
});

test('resolve an identity and track', { skip }, async () => {
  const eventName = freshName();
  await world.send(world.event(eventName, { $device_id: 'respect-device' }));
  const inputs = {
    projectToken: world.token,
    projectId: world.project.project_id,
    identifiedId: 'respect-user',
    anonId: 'respect-device',
    eventName,
    fromDate: day(-1),
    toDate: day(1),
  };
  const run = await respect(files.identity, inputs, ['identityApi', 'ingestionApi', 'queryApi']);
  assert.equal(run.code, 0, run.output);
  assert.equal(await world.count(eventName), 2);
  assert.equal(await world.uniques(eventName), 1);
});

test('it notices when something is wrong', { skip }, async () => {
  const inputs = {
    projectToken: world.token,
    projectId: 987654,
    distinctId: 'ann',
    eventName: 'x',
    fromDate: day(-1),
    toDate: day(1),
  };
  const run = await respect(files.segment, inputs, ['ingestionApi', 'queryApi']);
  assert.notEqual(run.code, 0, 'otherwise the tests above mean nothing');
});
