// The public workflow runner of @redocly/cli, `respect`, runs the seeds and workflows/ against the server, unchanged. It sends no
// credentials by itself, so a small proxy of this test adds the Basic header on the way to the query API. The
// descriptions of openapi/ are checked too: that they are well formed, that they name every route of the server and no
// other, and that what the deletion API answers is what its schemas say.
//
// Needs tests/clients/node_modules (script/bootstrap --tests). Without it the test is skipped, except where CI=true.
// The runner wants a newer Node than Debian 12 has: the package node-linux-… of tests/clients brings one.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { day, freshName, repository, seedsFolder, temporaryDirectory, World } from './harness.mjs';

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
  world = await World.start({ role: 'owner' });
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
  files = {};
  for (const [which, source] of [
    ['seeds', seedsFolder],
    ['own', path.join(repository, 'workflows')],
  ]) {
    mkdirSync(path.join(root, which));
    files[which] = {};
    for (const name of readdirSync(source)) {
      const file = path.join(root, which, name);
      writeFileSync(file, readFileSync(path.join(source, name)));
      if (name.includes('identity')) files[which].identity = file;
      if (name.includes('track-and-segment')) files[which].segment = file;
      if (name === 'segment.yml') files[which].count = file;
    }
  }
});
after(async () => {
  proxy?.close();
  await world?.end();
});

function respect(file, inputs, sources, schemas = 'off') {
  const address = `http://127.0.0.1:${proxy.address().port}`;
  const servers = { ingestionApi: world.url, identityApi: world.url, queryApi: `${address}/api/2.0`, deletionApi: address };
  return redocly([
    'respect',
    file,
    '--input',
    JSON.stringify(inputs),
    '--severity',
    `SCHEMA_CHECK=${schemas}`,
    ...sources.flatMap((name) => ['--server', `${name}=${servers[name]}`]),
  ]);
}

function redocly(args) {
  const env = {
    ...process.env,
    REDOCLY_TELEMETRY: 'off',
    REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true',
    NO_COLOR: '1',
    CI: 'true',
  };
  delete env.NODE_TEST_CONTEXT;
  return new Promise((resolve, reject) => {
    const child = spawn(node, [cli, ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
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

for (const which of ['seeds', 'own']) {
  test(`${which}: track and segment`, { skip }, async () => {
    const eventName = freshName();
    const inputs = {
      projectToken: world.token,
      projectId: world.project.project_id,
      distinctId: 'ann',
      eventName,
      fromDate: day(-1),
      toDate: day(1),
    };
    const run = await respect(files[which].segment, inputs, ['ingestionApi', 'queryApi']);
    assert.equal(run.code, 0, run.output);
    assert.equal(await world.count(eventName), 1);
  });

  test(`${which}: track and segment, with a split`, { skip }, async () => {
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
    const run = await respect(files[which].segment, inputs, ['ingestionApi', 'queryApi']);
    assert.equal(run.code, 0, run.output);
  });

  test(`${which}: resolve an identity and track`, { skip }, async () => {
    const eventName = freshName();
    await world.send(world.event(eventName, { $device_id: `respect-device-${which}` }));
    const inputs = {
      projectToken: world.token,
      projectId: world.project.project_id,
      identifiedId: `respect-user-${which}`,
      anonId: `respect-device-${which}`,
      eventName,
      fromDate: day(-1),
      toDate: day(1),
    };
    const run = await respect(files[which].identity, inputs, ['identityApi', 'ingestionApi', 'queryApi']);
    assert.equal(run.code, 0, run.output);
    assert.equal(await world.count(eventName), 2);
    assert.equal(await world.uniques(eventName), 1);
  });
}

test('own: count an event', { skip }, async () => {
  const eventName = freshName();
  await world.send(world.event(eventName));
  const inputs = { projectId: world.project.project_id, eventName, fromDate: day(-1), toDate: day(1) };
  const run = await respect(files.own.count, inputs, ['queryApi']);
  assert.equal(run.code, 0, run.output);
});

test('descriptions are well formed', { skip }, async () => {
  const names = readdirSync(path.join(root, 'openapi'));
  assert.ok(names.length >= 4);
  const run = await redocly(['lint', '--extends', 'spec', ...names.map((name) => path.join('openapi', name))]);
  assert.equal(run.code, 0, run.output);
});

test('descriptions name every route and no other', () => {
  // The table of routes as the compiler sees it, with the macros that write several of them.
  const cc = spawnSync(process.env.CC ?? 'cc', ['-E', '-P', '-Isrc', 'src/api/api.c'], { cwd: repository, encoding: 'utf8' });
  assert.equal(cc.status, 0, cc.stderr);
  const served = new Set();
  for (const [, names, strings] of cc.stdout.matchAll(/\.methods = ([^,]+),\s*\.path = ((?:"[^"]+"\s*)+)/g)) {
    const target = strings.replaceAll(/"\s*"/g, '').trim().slice(1, -1);
    const methods = [...names.matchAll(/HTTP_METHOD_(\w+)/g)].map(([, name]) => name.toLowerCase());
    if (methods.includes('options')) continue; // what browsers ask before they send
    if (target.startsWith('/api/query/')) continue; // the same as /api/2.0, as the description says
    if (served.has(`get /api/2.0${target}`)) continue; // the same without a base
    const only = target.startsWith('/api/2.0/') ? ['get'] : methods; // a POST carries the same, as it says too
    for (const method of only) served.add(`${method} ${target}`);
  }
  assert.ok(served.size >= 10);
  const described = new Set();
  for (const name of readdirSync(path.join(repository, 'openapi'))) {
    let prefix = '',
      target;
    for (const line of readFileSync(path.join(repository, 'openapi', name), 'utf8').split('\n')) {
      prefix = /^- url: http:\/\/[^/]+(\/.*)$/.exec(line)?.[1] ?? prefix;
      target = /^ {2}(\/\S*):$/.exec(line)?.[1] ?? (/^\S/.test(line) ? undefined : target);
      const method = /^ {4}(get|post|put|patch|delete):$/.exec(line)?.[1];
      if (target && method) described.add(`${method} ${prefix}${target}`);
    }
  }
  assert.deepEqual([...described].sort(), [...served].sort());
});

const deletions = `arazzo: 1.0.1
info: {title: Deletions, version: 0.1.0}
sourceDescriptions:
- {name: deletionApi, type: openapi, url: ../openapi/cairn-deletion-openapi.yml}
workflows:
- workflowId: delete
  inputs:
    type: object
    properties:
      token: {type: string}
      project: {type: integer}
      event: {type: string}
  steps:
  - stepId: asMixpanel
    operationId: createDataDeletion
    parameters: [{name: token, in: query, value: $inputs.token}]
    requestBody:
      contentType: application/json
      payload: {distinct_ids: [gone], compliance_type: GDPR}
    successCriteria: [{condition: $statusCode == 201}, {condition: $response.body#/results/status == "SUCCESS"}]
    outputs: {id: $response.body#/results/task_id}
  - stepId: status
    operationId: getDataDeletion
    parameters:
    - {name: token, in: query, value: $inputs.token}
    - {name: id, in: path, value: $steps.asMixpanel.outputs.id}
    successCriteria: [{condition: $statusCode == 200}, {condition: $response.body#/results/events == 2}]
  - stepId: tooLate
    operationId: cancelDataDeletion
    parameters:
    - {name: token, in: query, value: $inputs.token}
    - {name: id, in: path, value: $steps.asMixpanel.outputs.id}
    successCriteria: [{condition: $statusCode == 409}]
  - stepId: byFilter
    operationId: createDeletion
    parameters: [{name: project_id, in: path, value: $inputs.project}]
    requestBody:
      contentType: application/json
      payload: {event: $inputs.event, where: 'properties["n"] == 1', dry_run: true}
    successCriteria: [{condition: $statusCode == 201}, {condition: $response.body#/results/events == 1}]
    outputs: {id: $response.body#/results/id}
  - stepId: report
    operationId: getDeletion
    parameters:
    - {name: project_id, in: path, value: $inputs.project}
    - {name: id, in: path, value: $steps.byFilter.outputs.id}
    successCriteria: [{condition: $statusCode == 200}, {condition: $response.body#/results/dry_run == true}]
  - stepId: all
    operationId: listDeletions
    parameters: [{name: project_id, in: path, value: $inputs.project}]
    successCriteria: [{condition: $statusCode == 200}, {condition: $response.body#/results/0/kind == "events"}]
  - stepId: tooLateAgain
    operationId: cancelDeletion
    parameters:
    - {name: project_id, in: path, value: $inputs.project}
    - {name: id, in: path, value: $steps.byFilter.outputs.id}
    successCriteria: [{condition: $statusCode == 409}]
  - stepId: unknown
    operationId: getDeletion
    parameters: [{name: project_id, in: path, value: $inputs.project}, {name: id, in: path, value: 99999}]
    successCriteria: [{condition: $statusCode == 404}]
`;

test('deletions are answered as described', { skip }, async () => {
  const eventName = freshName(),
    file = path.join(root, 'seeds', 'deletions.yml');
  writeFileSync(file, deletions);
  await world.send(
    world.event(eventName, { distinct_id: 'gone' }),
    world.event(eventName, { distinct_id: 'gone', n: 1 }),
    world.event(eventName, { distinct_id: 'stays', n: 1 }),
  );
  const inputs = { token: world.token, project: world.project.project_id, event: eventName };
  const run = await respect(file, inputs, ['deletionApi'], 'error');
  assert.equal(run.code, 0, run.output);
  assert.equal(await world.count(eventName), 1);
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
  const run = await respect(files.seeds.segment, inputs, ['ingestionApi', 'queryApi']);
  assert.notEqual(run.code, 0, 'otherwise the tests above mean nothing');
});
