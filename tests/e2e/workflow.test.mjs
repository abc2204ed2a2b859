// `cairn workflow` runs the seed workflows (byte for byte, where the folder of seeds is there) and our own against
// a real server, and everything that can be wrong is told before anything is sent, or with the step where it went
// wrong.

import assert from 'node:assert/strict';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { binary, cairn, cairnAsync, day, freshName, repository, seedsFolder, temporaryDirectory, World } from './harness.mjs';

let world, seeds, own;

// The documents are looked for beside openapi/, as their relative addresses say.
function place(source) {
  const root = temporaryDirectory('workflows');
  cpSync(path.join(repository, 'openapi'), path.join(root, 'openapi'), { recursive: true });
  mkdirSync(path.join(root, 'arazzo'));
  for (const name of readdirSync(source))
    writeFileSync(path.join(root, 'arazzo', name), readFileSync(path.join(source, name)));
  const find = (word) =>
    path.join(
      root,
      'arazzo',
      readdirSync(source).find((name) => name.includes(word)),
    );
  return { root, segment: find('track-and-segment'), identity: find('identity-resolve') };
}

before(async () => {
  world = await World.start();
  own = place(path.join(repository, 'workflows'));
  seeds = place(seedsFolder);
});
after(() => world?.end());

const servers = (url = world.url) => ['--server', `ingestionApi=${url}`, '--server', `queryApi=${url}/api/2.0`];
const allServers = (url = world.url) => [...servers(url), '--server', `identityApi=${url}`];
const auth = () => ['--auth', `basicAuth=${world.account.username}:${world.account.secret}`];
const inputs = (values) =>
  Object.entries(values)
    .filter(([, v]) => v !== undefined)
    .flatMap(([name, value]) => ['--input', `${name}=${value}`]);
const segmentInputs = (changes = {}) => ({
  projectToken: world.token,
  projectId: world.project.project_id,
  distinctId: 'ann',
  eventName: 'Hello',
  fromDate: day(-1),
  toDate: day(1),
  ...changes,
});
const identityInputs = (changes = {}) => ({
  projectToken: world.token,
  projectId: world.project.project_id,
  identifiedId: 'ann',
  anonId: 'device-1',
  eventName: 'Hello',
  fromDate: day(-1),
  toDate: day(1),
  ...changes,
});
const total = (buckets) => Object.values(buckets).reduce((a, b) => a + b, 0);

// A server of the test: answers with what `handler(request, body)` returns, and remembers what it was asked.
async function mock(handler) {
  const seen = [];
  const server = http.createServer((request, response) => {
    const parts = [];
    request
      .on('data', (part) => parts.push(part))
      .on('end', () => {
        const body = Buffer.concat(parts).toString();
        seen.push({ method: request.method, url: request.url, headers: request.headers, body });
        const answer = handler(request, body);
        if (!answer) return; // never answers
        response.writeHead(answer.status ?? 200, { 'Content-Type': 'application/json', ...answer.headers });
        response.end(answer.body ?? '{"status":1,"data":{"series":[],"values":{}}}');
      });
  });
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  return {
    seen,
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections?.();
      server.close();
    },
  };
}

// ---- green ------------------------------------------------------------------------------------------------

for (const which of ['seeds', 'own']) {
  const documents = () => (which === 'seeds' ? seeds : own);

  test(`${which}: track and segment, with progress and with --json`, () => {
    const eventName = freshName();
    const args = [
      'workflow',
      'run',
      documents().segment,
      ...servers(),
      ...auth(),
      ...inputs(segmentInputs({ eventName })),
    ];
    const text = cairn(args);
    assert.equal(text.code, 0, text.stdout + text.stderr);
    for (const output of ['ingestStatus', 'series', 'values'])
      assert.ok(text.stdout.includes(output), `${output} in ${text.stdout}`);
    assert.doesNotMatch(text.stdout + text.stderr, /\x1b|\r/, 'no colours and no cursor movements for a pipe');

    const run = cairn([...args, '--json']);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const result = JSON.parse(run.stdout);
    assert.equal(result.status, 'passed');
    assert.equal(result.workflowId, 'track-and-segment');
    assert.equal(result.outputs.ingestStatus, 1);
    assert.ok(result.outputs.series.includes(day(0)) || result.outputs.series.includes(day(-1)));
    assert.equal(total(result.outputs.values[eventName]), 2, 'both runs sent an event');
    assert.equal(result.steps.length, 2);
    for (const step of result.steps) {
      assert.equal(step.status, 200);
      assert.equal(step.passed, true);
      assert.ok(step.time_ms >= 0);
      assert.ok(step.request.url.startsWith(world.url));
      assert.ok(step.criteria.every((criterion) => criterion.passed));
    }
    assert.equal(result.steps[0].request.method, 'POST');
    assert.doesNotMatch(result.steps[1].request.url, /[?&]on=/, 'an input that was not given is not sent');
  });

  test(`${which}: segment by an expression`, () => {
    const eventName = freshName();
    const run = cairn([
      'workflow',
      'run',
      documents().segment,
      ...servers(),
      ...auth(),
      '--json',
      ...inputs(segmentInputs({ eventName, segmentOn: 'properties["$distinct_id"] == "a=b"' })),
    ]);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const { values } = JSON.parse(run.stdout).outputs;
    assert.equal(total(values.false), 1);
  });

  test(`${which}: an event from before the link counts for the user`, async () => {
    const eventName = freshName(),
      identifiedId = freshName('user'),
      anonId = freshName('device').replaceAll(' ', '-');
    await world.send(world.event(eventName, { $device_id: anonId }));
    const run = cairn([
      'workflow',
      'run',
      documents().identity,
      ...allServers(),
      ...auth(),
      '--json',
      ...inputs(identityInputs({ eventName, identifiedId, anonId })),
    ]);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const { outputs } = JSON.parse(run.stdout);
    assert.equal(outputs.identityStatus, 1);
    assert.equal(outputs.trackStatus, 1);
    assert.equal(await world.count(eventName), 2, 'two events');
    assert.equal(await world.uniques(eventName), 1, 'one person');
    assert.ok(Math.max(...Object.values(outputs.values[eventName])) === 1, JSON.stringify(outputs.values));
  });

  test(`${which}: check`, () => {
    for (const file of [documents().segment, documents().identity]) {
      const run = cairn(['workflow', 'check', file]);
      assert.equal(run.code, 0, run.stdout + run.stderr);
      const json = cairn(['workflow', 'check', file, '--json']);
      assert.equal(json.code, 0);
      assert.equal(JSON.parse(json.stdout).status, 'valid');
    }
  });
}

test('own: count an event', async () => {
  const eventName = freshName();
  await world.send(world.event(eventName), world.event(eventName));
  const file = path.join(own.root, 'arazzo', 'segment.yml');
  const { projectId, fromDate, toDate } = segmentInputs();
  const run = cairn([
    'workflow',
    'run',
    file,
    '--server',
    `queryApi=${world.url}/api/2.0`,
    ...auth(),
    '--json',
    ...inputs({ projectId, fromDate, toDate, eventName }),
  ]);
  assert.equal(run.code, 0, run.stdout + run.stderr);
  assert.equal(total(JSON.parse(run.stdout).outputs.values[eventName]), 2);
});

test('own: every document is good without a remark', () => {
  for (const name of readdirSync(path.join(repository, 'workflows'))) {
    const run = cairn(['workflow', 'check', path.join(own.root, 'arazzo', name)]);
    assert.equal(run.code, 0, name);
    assert.equal(run.stderr, '', name);
  }
});

// ---- inputs and credentials -------------------------------------------------------------------------------

test('inputs from a file and from standard input; --input prevails', () => {
  const eventName = freshName();
  const values = JSON.stringify(segmentInputs({ eventName }));
  const file = path.join(temporaryDirectory('inputs'), 'inputs.json');
  writeFileSync(file, values);
  const base = ['workflow', 'run', own.segment, ...servers(), ...auth(), '--json'];
  assert.equal(cairn([...base, '--inputs', file]).code, 0);
  assert.equal(cairn([...base, '--inputs', '-'], { input: values }).code, 0);
  const other = freshName();
  const run = cairn([...base, '--inputs', file, '--input', `eventName=${other}`]);
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(Object.keys(JSON.parse(run.stdout).outputs.values), [other]);
  for (const broken of ['', '{', '[]', '1'])
    assert.equal(cairn([...base, '--inputs', '-'], { input: broken }).code, 2, JSON.stringify(broken));
  assert.equal(cairn([...base, '--inputs', `${file}.missing`]).code, 2);
});

test('a value may hold equals signs, commas and quotes', () => {
  const eventName = `${freshName()} a=b=c, "d" & ü %41`;
  const run = cairn([
    'workflow',
    'run',
    own.segment,
    ...servers(),
    ...auth(),
    '--json',
    ...inputs(segmentInputs({ eventName })),
  ]);
  assert.equal(run.code, 0, run.stdout + run.stderr);
  assert.equal(total(JSON.parse(run.stdout).outputs.values[eventName]), 1);
});

test('credentials from the environment; those of the command line prevail', () => {
  const args = [
    'workflow',
    'run',
    own.segment,
    ...servers(),
    '--json',
    ...inputs(segmentInputs({ eventName: freshName() })),
  ];
  const good = `${world.account.username}:${world.account.secret}`;
  const fromEnvironment = cairn(args, { env: { CAIRN_AUTH_basicAuth: good } });
  assert.equal(fromEnvironment.code, 0, fromEnvironment.stdout + fromEnvironment.stderr);
  assert.equal(cairn(args, { env: { CAIRN_AUTH_basicAuth: 'wrong:wrong' } }).code, 1);
  assert.equal(cairn([...args, ...auth()], { env: { CAIRN_AUTH_basicAuth: 'wrong:wrong' } }).code, 0);
});

test('secrets are not shown', () => {
  for (const extra of [[], ['--json']]) {
    const run = cairn([
      'workflow',
      'run',
      own.segment,
      ...servers(),
      ...auth(),
      ...inputs(segmentInputs({ eventName: freshName() })),
      ...extra,
    ]);
    assert.equal(run.code, 0);
    const shown = run.stdout + run.stderr;
    assert.ok(!shown.includes(world.account.secret), "the account's secret");
    assert.ok(
      !shown.includes(Buffer.from(`${world.account.username}:${world.account.secret}`).toString('base64')),
      'nor in base64',
    );
    assert.ok(!shown.includes(world.token), 'an input with format: password');
  }
});

test('credentials stay behind when a redirect leads to another origin', async () => {
  const thief = await mock(() => ({}));
  const front = await mock((request) =>
    request.method === 'GET' ? { status: 307, headers: { Location: `${thief.url}${request.url}` } } : {},
  );
  try {
    await cairnAsync(['workflow', 'run', own.segment, ...servers(front.url), ...auth(), ...inputs(segmentInputs())]);
    assert.ok(
      front.seen.some((request) => request.headers.authorization),
      'the origin itself was given them',
    );
    for (const request of thief.seen) assert.equal(request.headers.authorization, undefined);
  } finally {
    thief.close();
    front.close();
  }
});

test('what is sent is what the document says', async () => {
  const server = await mock(() => ({}));
  try {
    const run = await cairnAsync([
      'workflow',
      'run',
      seeds.segment,
      ...servers(server.url),
      ...auth(),
      ...inputs(segmentInputs({ eventName: 'A b' })),
    ]);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const [track, query] = server.seen;
    assert.equal(track.method, 'POST');
    const url = new URL(track.url, server.url);
    assert.equal(url.pathname, '/track');
    assert.equal(url.searchParams.get('verbose'), '1');
    assert.match(track.headers['content-type'], /^application\/json/);
    const body = JSON.parse(track.body);
    const event = body.data ?? body;
    assert.equal(event.event, 'A b');
    assert.equal(event.properties.token, world.token);
    assert.equal(track.headers.authorization, undefined, '/track asks for no basic credentials');
    const asked = new URL(query.url, server.url);
    assert.equal(asked.pathname, '/api/2.0/segmentation');
    assert.equal(asked.searchParams.get('project_id'), String(world.project.project_id));
    assert.equal(asked.searchParams.get('event'), 'A b');
    assert.equal(asked.searchParams.has('on'), false);
    assert.equal(
      query.headers.authorization,
      `Basic ${Buffer.from(`${world.account.username}:${world.account.secret}`).toString('base64')}`,
    );
  } finally {
    server.close();
  }
});

// ---- wrong before any request: exit 2 ---------------------------------------------------------------------

test('inputs that are missing, of the wrong type or unknown: exit 2, all named, nothing sent', async () => {
  const server = await mock(() => ({}));
  try {
    const run = (changes, ...extra) =>
      cairnAsync([
        'workflow',
        'run',
        seeds.segment,
        ...servers(server.url),
        ...auth(),
        ...inputs(segmentInputs(changes)),
        ...extra,
      ]);
    const missing = await run({ eventName: undefined, distinctId: undefined });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /eventName/);
    assert.match(missing.stderr, /distinctId/);
    const wrong = await run({ projectId: 'seven' });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /projectId/);
    assert.match(wrong.stderr, /integer/);
    const unknown = await run({ evntName: 'x' });
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /evntName/);
    const json = await run({ projectId: '1.5' }, '--json');
    assert.equal(json.code, 2);
    const result = JSON.parse(json.stdout);
    assert.equal(result.status, 'invalid');
    assert.ok(
      result.errors.some(({ text }) => text.includes('projectId')),
      json.stdout,
    );
    assert.equal((await run({}, '--workflow', 'nonsense')).code, 2);
    assert.equal((await run({}, '--server', 'nonsense=http://127.0.0.1:1')).code, 2);
    assert.equal(server.seen.length, 0, 'nothing was sent');
  } finally {
    server.close();
  }
});

// Writes a changed copy of our first workflow.
function changed(change) {
  const text = readFileSync(own.segment, 'utf8');
  const file = path.join(own.root, 'arazzo', `changed-${Math.random().toString(36).slice(2)}.yml`);
  const result = change(text);
  assert.notEqual(result, text, 'the test has to change something');
  writeFileSync(file, result);
  return file;
}

test('documents that are wrong: exit 2, with file and line, nothing sent; check agrees', async () => {
  const server = await mock(() => ({}));
  const cases = [
    [
      'unknown operation',
      (text) => text.replace('ingestionApi.trackEvent', 'ingestionApi.trackNothing'),
      /trackNothing/,
    ],
    [
      'unknown source',
      (text) => text.replace('$sourceDescriptions.ingestionApi', '$sourceDescriptions.nobody'),
      /nobody/,
    ],
    ['source that is not there', (text) => text.replace('mixpanel-query-openapi.yml', 'missing.yml'), /missing\.yml/],
    ['two steps of one name', (text) => text.replace('stepId: count', 'stepId: send'), /send/],
    [
      'reference to a step that does not exist',
      (text) => text.replace('$steps.count.outputs.series', '$steps.nowhere.outputs.series'),
      /nowhere/,
    ],
    [
      'reference to an output that does not exist',
      (text) => text.replace('$steps.send.outputs.status', '$steps.send.outputs.nothing'),
      /nothing/,
    ],
    [
      'reference to an input that does not exist',
      (text) => text.replace('event: $inputs.eventName', 'event: $inputs.noInput'),
      /noInput/,
    ],
    [
      'criterion that cannot be read',
      (text) => text.replace('$statusCode == 200', '$statusCode === 200'),
      /\$statusCode/,
    ],
    ['no steps', (text) => text.replace(/ {2}steps:\n[^]*?\n {2}outputs:/, '  outputs:'), /steps/],
    ['broken YAML', (text) => text.replace('workflows:\n', 'workflows: [\n'), /:\d+/],
    ['another version of Arazzo', (text) => text.replace('arazzo: 1.0.1', 'arazzo: 2.0.0'), /2\.0\.0/],
  ];
  try {
    for (const [what, change, pattern] of cases) {
      const file = changed(change);
      const run = await cairnAsync([
        'workflow',
        'run',
        file,
        ...servers(server.url),
        ...auth(),
        ...inputs(segmentInputs()),
      ]);
      assert.equal(run.code, 2, `${what}: ${run.code} ${run.stdout}${run.stderr}`);
      assert.match(run.stderr, pattern, what);
      const check = cairn(['workflow', 'check', file]);
      assert.equal(check.code, 2, what);
      assert.match(check.stderr, pattern, what);
      const json = cairn(['workflow', 'check', file, '--json']);
      assert.equal(JSON.parse(json.stdout).status, 'invalid', what);
      assert.ok(JSON.parse(json.stdout).errors.length > 0, what);
    }
    assert.equal(server.seen.length, 0);
  } finally {
    server.close();
  }
});

test('what this version cannot do is refused by name, before anything is sent', async () => {
  const server = await mock(() => ({}));
  try {
    for (const [name, change] of [
      ['selector objects', (text) => text.replace('      status: $response.body#/status', '      status: {context: $response.body, selector: $.status, type: jsonpath}')],
      ['querystring', (text) => text.replace('- {name: verbose, in: query,', '- {name: verbose, in: querystring,')],
    ]) {
      const run = await cairnAsync(['workflow', 'run', changed(change), ...servers(server.url), ...auth(), ...inputs(segmentInputs())]);
      assert.equal(run.code, 2, `${name}: ${run.stdout}${run.stderr}`);
      assert.match(run.stderr, new RegExp(name));
    }
    assert.equal(server.seen.length, 0);
  } finally {
    server.close();
  }
});

// ---- more ways to run and to look ---------------------------------------------------------------------------

const flow = (workflows, more = {}) => {
  const root = temporaryDirectory('flow');
  const api = {
    openapi: '3.1.0',
    info: { title: 'A', version: '1' },
    paths: {
      '/a': { get: { operationId: 'a' } },
      '/b': { get: { operationId: 'b', security: [{ basic: [] }] } },
      '/c': { post: { operationId: 'c', security: [{ key: [] }] } },
    },
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' }, key: { type: 'apiKey', in: 'query', name: 'key' } },
    },
  };
  writeFileSync(path.join(root, 'api.json'), JSON.stringify(api));
  const document = {
    arazzo: '1.0.1',
    info: { title: 'F', version: '1' },
    sourceDescriptions: [{ name: 'api', url: 'api.json' }],
    workflows,
    ...more,
  };
  const file = path.join(root, 'w.json');
  writeFileSync(file, JSON.stringify(document));
  return { root, file };
};
const step = (stepId, operationId, more = {}) => ({ stepId, operationId, ...more });

test('check: text, JSON and SARIF say the same', () => {
  const { file } = flow([{ workflowId: 'w', colour: 'red', steps: [step('s', 'nope'), step('s', 'a')] }]);
  const text = cairn(['workflow', 'check', file]);
  assert.equal(text.code, 2);
  const json = cairn(['workflow', 'check', file, '--format', 'json']);
  assert.equal(json.code, 2);
  const found = JSON.parse(json.stdout);
  assert.deepEqual(new Set(found.errors.map((e) => e.rule)), new Set(['id-duplicate']));
  const sarif = cairn(['workflow', 'check', file, '--format', 'sarif']);
  assert.equal(sarif.code, 2);
  const log = JSON.parse(sarif.stdout);
  assert.equal(log.version, '2.1.0');
  const [run] = log.runs;
  assert.equal(run.results.length, found.errors.length + found.warnings.length);
  for (const result of run.results) {
    assert.equal(run.tool.driver.rules[result.ruleIndex].id, result.ruleId);
    assert.ok(['error', 'warning'].includes(result.level));
    assert.ok(result.locations[0].physicalLocation.region.startLine >= 1);
    assert.ok(text.stderr.includes(`${result.message.text} [${result.ruleId}]`), result.message.text);
  }
  assert.match(text.stderr, /^field-unknown: correct its name, or begin it with x-$/m);
  for (const problem of [...found.errors, ...found.warnings]) assert.ok(problem.rule && problem.hint && problem.line);
  assert.equal(cairn(['workflow', 'check', own.segment, '--format', 'sarif']).code, 0);
});

test('list and graph', () => {
  const { file } = flow([
    {
      workflowId: 'first',
      summary: 'Does "<things>"',
      inputs: { type: 'object', required: ['x'], properties: { x: { type: 'string' }, y: {} } },
      steps: [
        step('one', 'a', { outputs: { n: '$response.body#/n' } }),
        step('two', 'b', {
          parameters: [{ name: 'q', in: 'query', value: '$steps.one.outputs.n' }, { name: 'x', in: 'query', value: '{$inputs.x}' }],
          onFailure: [{ name: 'again', type: 'retry' }, { name: 'back', type: 'goto', stepId: 'one' }],
        }),
      ],
      outputs: { n: '$steps.one.outputs.n' },
    },
    { workflowId: 'second', steps: [{ stepId: 'call', workflowId: 'first' }] },
  ]);
  const list = cairn(['workflow', 'list', file]);
  assert.equal(list.code, 0, list.stderr);
  assert.match(list.stdout, /first +2 +x\* y +Does "<things>"/);
  const json = JSON.parse(cairn(['workflow', 'list', file, '--json']).stdout);
  assert.deepEqual(json.workflows[0].inputs, [{ name: 'x', required: true }, { name: 'y', required: false }]);
  const mermaid = cairn(['workflow', 'graph', file]).stdout;
  assert.match(mermaid, /^flowchart TD\n/);
  assert.match(mermaid, /w0_s0 -\. "n" \.-> w0_s1/);
  assert.match(mermaid, /w0_inputs -\. "x" \.-> w0_s1/);
  assert.match(mermaid, /w0_s1 == "back" ==> w0_s0/);
  assert.match(mermaid, /w0_s0 -\. "n" \.-> w0_outputs/);
  const svg = cairn(['workflow', 'graph', file, '--workflow', 'first', '--format', 'svg']).stdout;
  assert.match(svg, /^<svg /);
  assert.ok(svg.includes('>two</text>') && !svg.includes('second') && !svg.includes('<script'));
  // long labels are cut, but not by the edge of the picture
  const drawn = cairn(['workflow', 'graph', path.join(repository, 'workflows/identity-resolve-and-track.yml'), '--format', 'svg']).stdout;
  assert.ok(drawn.includes('>identityApi.createIdentity<'));
  const labels = [...drawn.matchAll(/class="label"[^>]* x="(\d+)"[^>]*>([^<]*)</g)];
  assert.ok(labels.some(([, , text]) => text.endsWith('…')));
  for (const [, x, text] of labels) assert.ok(Number(x) + 7 * text.length <= Number(/width="(\d+)"/.exec(drawn)[1]), text);
  assert.equal(cairn(['workflow', 'graph', file, '--workflow', 'third']).code, 2);
  assert.equal(cairn(['workflow', 'graph', file, '--format', 'sarif']).code, 2);
});

test('a dry run shows the requests and sends nothing', async () => {
  const server = await mock(() => ({}));
  const { file } = flow([
    {
      workflowId: 'w',
      steps: [
        step('one', 'a', { outputs: { id: '$response.body#/id' } }),
        step('two', 'c', { parameters: [{ name: 'id', in: 'query', value: '$steps.one.outputs.id' }], requestBody: { payload: { a: [1] } } }),
      ],
    },
  ]);
  try {
    const run = await cairnAsync(['workflow', 'run', file, '--dry-run', '--server', `api=${server.url}`, '--auth', 'key=k3y']);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /# one\nGET http:\S+\/a\n/);
    assert.match(run.stdout, /# two\nPOST http:\S+\/c\?id=%7B%24response\.body%23%2Fid%7D&key=\*\*\*\nContent-Type: application\/json\n/);
    assert.equal(server.seen.length, 0);
  } finally {
    server.close();
  }
});

test('a trace and a JUnit report of a run with a retry, secrets masked', async () => {
  let calls = 0;
  const server = await mock(() => (++calls === 1 ? { status: 503, body: '{"busy":"s3cret!"}' } : { body: '{"n":1}' }));
  const { root, file } = flow([
    { workflowId: 'w', steps: [step('one', 'b', { onFailure: [{ name: 'again', type: 'retry', retryAfter: 0.01 }] }), step('two', 'c', { requestBody: { payload: { a: 1 } }, successCriteria: [{ condition: '$response.body#/n == 2 && 1 < 2' }] })] },
  ]);
  const trace = path.join(root, 'trace.har'), report = path.join(root, 'junit.xml');
  try {
    const run = await cairnAsync(['workflow', 'run', file, '--server', `api=${server.url}`, '--auth', 'basic=ann:s3cret!', '--auth', 'key=k3yk3y', '--trace', trace, '--junit', report]);
    assert.equal(run.code, 1, run.stdout + run.stderr);
    assert.match(run.stdout, /again: tries again after 10 ms/);
    const har = JSON.parse(readFileSync(trace));
    assert.equal(har.log.version, '1.2');
    assert.deepEqual(har.log.entries.map((e) => e.response.status), [503, 200, 200]);
    assert.deepEqual(har.log.entries.map((e) => e.comment), ['w/one', 'w/one', 'w/two']);
    assert.ok(har.log.entries.every((e) => !Number.isNaN(Date.parse(e.startedDateTime)) && e.timings.wait >= 0));
    assert.equal(har.log.entries[2].request.postData.text, '{"a":1}');
    const xml = readFileSync(report, 'utf8');
    assert.match(xml, /<testsuite name="w" tests="3" failures="1" errors="0"/);
    assert.match(xml, /name="one" [^>]*>\s*<skipped/);
    assert.match(xml, /name="one \(attempt 2\)" time="[0-9.]+"\/>/);
    assert.match(xml, /1 &lt; 2/);
    for (const text of [readFileSync(trace, 'utf8'), xml, run.stdout, run.stderr]) assert.ok(!/s3cret|k3yk3y/.test(text));
  } finally {
    server.close();
  }
});

test('JUnit: a failure that an action leads on from is none, dependencies are suites', async () => {
  const server = await mock((request) => (request.url === '/a' ? { status: 500 } : {}));
  const { root, file } = flow([
    {
      workflowId: 'w',
      dependsOn: ['base'],
      steps: [step('one', 'a', { onFailure: [{ name: 'on', type: 'goto', stepId: 'two' }] }), step('two', 'b')],
    },
    { workflowId: 'base', steps: [step('s', 'b')] },
  ]);
  const report = path.join(root, 'junit.xml');
  try {
    const run = await cairnAsync(['workflow', 'run', file, '--workflow', 'w', '--server', `api=${server.url}`, '--junit', report]);
    assert.equal(run.code, 0, run.stdout + run.stderr);
    const xml = readFileSync(report, 'utf8');
    assert.match(xml, /<testsuite name="base" tests="1" failures="0"[^]*<testsuite name="w" tests="2" failures="0" errors="0"/);
    assert.match(xml, /name="one" [^>]*>\s*<skipped/);
  } finally {
    server.close();
  }
});

test('several workflows at the same time, dependencies in their order', async () => {
  const server = await mock((request) => (request.url.startsWith('/b') ? { status: 500 } : {}));
  const { file } = flow([
    { workflowId: 'one', steps: [step('s', 'a')] },
    { workflowId: 'two', dependsOn: ['three'], steps: [step('s', 'a')] },
    { workflowId: 'three', steps: [step('s', 'a')] },
    { workflowId: 'four', steps: [step('s', 'b')] },
    { workflowId: 'five', steps: [step('s', 'a')] },
  ]);
  try {
    const run = await cairnAsync(['workflow', 'run', file, '--parallel', '4', '--server', `api=${server.url}`, '--json']);
    assert.equal(run.code, 1, run.stderr);
    const result = JSON.parse(run.stdout);
    assert.equal(result.status, 'failed');
    const status = Object.fromEntries(result.workflows.map((w) => [w.workflowId, w.status]));
    assert.equal(status.one, 'passed');
    assert.equal(status.two, 'passed');
    assert.equal(status.four, 'failed');
    assert.equal(status.five, 'passed');
    assert.equal(server.seen.length, 5);
  } finally {
    server.close();
  }
});

test('credentials from a file that only its owner may read, for their host', async () => {
  const server = await mock(() => ({}));
  const { root, file } = flow([{ workflowId: 'w', steps: [step('s', 'b'), step('t', 'c')] }]);
  const secrets = path.join(root, 'credentials');
  const run = (text, mode) => {
    writeFileSync(secrets, text);
    chmodSync(secrets, mode);
    return cairnAsync(['workflow', 'run', file, '--server', `api=${server.url}`, '--credentials', secrets]);
  };
  try {
    const good = await run('# ours\nmachine 127.0.0.1 login ann password "p w\\"x"\nscheme key credential k1\nmachine other.test scheme key credential k2\n', 0o600);
    assert.equal(good.code, 0, good.stdout + good.stderr);
    assert.equal(server.seen[0].headers.authorization, `Basic ${Buffer.from('ann:p w"x').toString('base64')}`);
    assert.equal(server.seen[1].url, '/c?key=k1');
    for (const [text, mode, pattern] of [
      ['scheme key credential k1', 0o640, /can be read by others.*chmod 600/],
      ['scheme key', 0o600, /line 1 needs login and password, or credential/],
      ['key k1', 0o600, /line 1: expected machine, scheme/],
      ['machine h credential x', 0o600, /needs a scheme/],
      ['scheme key credential "x', 0o600, /quote is not closed/],
    ]) {
      const bad = await run(text, mode);
      assert.equal(bad.code, 2, text);
      assert.match(bad.stderr, pattern);
      assert.ok(!bad.stderr.includes('k1'));
    }
    assert.equal(server.seen.length, 2);
  } finally {
    server.close();
  }
});

test('https: only whom the system or --ca-file trusts, never another name', async () => {
  const certificate = (name) => path.join(repository, 'tests/e2e/tls', name);
  const server = https.createServer(
    { key: readFileSync(certificate('key1.pem')), cert: readFileSync(certificate('chain1.pem')) },
    (request, response) => response.end(),
  );
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  const { file } = flow([{ workflowId: 'w', steps: [step('one', 'a')] }]);
  const run = (...more) =>
    cairnAsync(['workflow', 'run', file, '--server', `api=https://localhost:${server.address().port}`, ...more]);
  try {
    for (const [more, code, says] of [
      [[], 1, /certificate/i],
      [['--ca-file', certificate('chain2.pem')], 1, /certificate/i],
      [['--ca-file', certificate('chain1.pem')], 0, /200/],
      [['--ca-file', certificate('chain1.pem'), '--parallel', '2'], 0, /200/],
      [['--ca-file', certificate('nowhere.pem')], 2, /cannot read ".*nowhere.pem"/],
    ]) {
      const { code: got, stdout, stderr } = await run(...more);
      assert.equal(got, code, `${more}: ${stdout}${stderr}`);
      assert.match(stdout + stderr, says);
    }
  } finally {
    server.close();
  }
});

test('limits of a run', async () => {
  const server = await mock(() => ({ status: 503, headers: { 'Retry-After': '3600' } }));
  const { file } = flow([{ workflowId: 'w', steps: [step('s', 'a', { onFailure: [{ name: 'again', type: 'retry', retryLimit: 9 }] })] }]);
  try {
    const run = await cairnAsync(['workflow', 'run', file, '--server', `api=${server.url}`, '--total-timeout', '5']);
    assert.equal(run.code, 1);
    assert.match(run.stdout, /waiting 3600000 ms before a retry would pass the run's total time/);
    for (const bad of [['--max-steps', '0'], ['--parallel', 'x'], ['--max-depth', '1000'], ['--max-body', '-1'], ['--format', 'json']])
      assert.equal(cairn(['workflow', 'run', file, ...bad]).code, 2, bad.join(' '));
  } finally {
    server.close();
  }
});

const script = ['/usr/bin/script', '/bin/script'].find(existsSync);
test('a live line on a terminal, colours unless NO_COLOR is set, plain lines on a dumb one', { skip: !script && 'no script' }, () => {
  const args = [binary, 'workflow', 'run', own.segment, ...servers(), ...auth(), ...inputs(segmentInputs({ eventName: freshName() }))];
  const command = args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  const shown = (env) => {
    const run = spawnSync(script, ['-qec', command, '/dev/null'], {
      env: { ...process.env, NO_COLOR: '', TERM: 'xterm', ...env },
      encoding: 'utf8',
      input: '',
    });
    assert.equal(run.status, 0, run.stdout + run.stderr);
    return run.stdout.replaceAll('\r\n', '\n');
  };
  const live = shown({});
  assert.match(live, /POST http:\S+\/track[^\n]*\r\x1b\[2K/, 'what is being sent, and then it is wiped away');
  assert.match(live, /\x1b\[3\dm|\x1b\[\d*;?3\dm/, 'colours');
  const plain = shown({ NO_COLOR: '1' });
  assert.match(plain, /\r\x1b\[2K/);
  assert.doesNotMatch(plain.replaceAll('\r\x1b[2K', ''), /\x1b/);
  assert.doesNotMatch(shown({ TERM: 'dumb' }), /\x1b|\r/);
});

test('wrong usage: exit 2 and a message', () => {
  for (const args of [
    [],
    ['walk', own.segment],
    ['run'],
    ['run', own.segment, own.identity],
    ['run', own.segment, '--input', 'novalue'],
    ['run', own.segment, '--nonsense'],
    ['run', own.segment, '--timeout', 'soon'],
    ['run', own.segment, '--timeout', '-1'],
    ['run', own.segment, '--timeout'],
    ['run', path.join(own.root, 'missing.yml')],
    ['run', own.root],
    ['check', own.segment, '--input', 'a=b'],
  ]) {
    const { code, stderr } = cairn(['workflow', ...args]);
    assert.equal(code, 2, `${args.join(' ')}: ${code} ${stderr}`);
    assert.notEqual(stderr, '', args.join(' '));
  }
});

// ---- wrong on the way: exit 1 -----------------------------------------------------------------------------

test('nobody there: exit 1, the step and why', () => {
  for (const extra of [[], ['--json']]) {
    const run = cairn([
      'workflow',
      'run',
      seeds.segment,
      ...servers('http://127.0.0.1:1'),
      ...auth(),
      ...inputs(segmentInputs()),
      ...extra,
    ]);
    assert.equal(run.code, 1, run.stdout + run.stderr);
    const step = path.basename(seeds.segment) === path.basename(own.segment) ? 'send' : 'trackEvent';
    if (extra.length === 0) {
      assert.match(run.stdout + run.stderr, new RegExp(step));
      assert.match(run.stdout + run.stderr, /refused|connect/i);
    } else {
      const result = JSON.parse(run.stdout);
      assert.equal(result.status, 'failed');
      assert.equal(result.steps.length, 1);
      assert.equal(result.steps[0].stepId, step);
      assert.equal(result.steps[0].passed, false);
      assert.match(result.steps[0].error, /connect|refused/i);
    }
  }
});

test('a criterion that does not hold: exit 1, the step, the condition and the status; nothing after it is sent', async () => {
  const server = await mock((request) =>
    request.url.startsWith('/track') ? { status: 500, body: '{"error":"out of order"}' } : {},
  );
  try {
    const args = ['workflow', 'run', own.segment, ...servers(server.url), ...auth(), ...inputs(segmentInputs())];
    const text = await cairnAsync(args);
    assert.equal(text.code, 1);
    assert.match(text.stdout + text.stderr, /send/);
    assert.match(text.stdout + text.stderr, /\$statusCode == 200/);
    assert.match(text.stdout + text.stderr, /500/);
    assert.equal(server.seen.length, 1);
    const json = await cairnAsync([...args, '--json']);
    assert.equal(json.code, 1);
    const result = JSON.parse(json.stdout);
    assert.equal(result.status, 'failed');
    assert.equal(result.steps[0].status, 500);
    assert.equal(
      result.steps[0].criteria.find((criterion) => criterion.condition === '$statusCode == 200').passed,
      false,
    );
  } finally {
    server.close();
  }
});

test('wrong credentials for the second step: exit 1 there', () => {
  const run = cairn([
    'workflow',
    'run',
    seeds.segment,
    ...servers(),
    '--auth',
    'basicAuth=a:b',
    '--json',
    ...inputs(segmentInputs({ eventName: freshName() })),
  ]);
  assert.equal(run.code, 1);
  const result = JSON.parse(run.stdout);
  assert.deepEqual(
    result.steps.map((step) => [step.status, step.passed]),
    [
      [200, true],
      [401, false],
    ],
  );
});

test('an answer that does not come: --timeout ends it', async () => {
  const server = await mock(() => null);
  try {
    const started = Date.now();
    const run = await cairnAsync([
      'workflow',
      'run',
      own.segment,
      ...servers(server.url),
      ...auth(),
      ...inputs(segmentInputs()),
      '--timeout',
      '0.5',
    ]);
    assert.equal(run.code, 1);
    assert.match(run.stdout + run.stderr, /time/i);
    assert.ok(Date.now() - started < 20_000);
  } finally {
    server.close();
  }
});

test('answers that are no JSON, empty, or want to drive the terminal', async () => {
  for (const body of ['', 'not json', '{"status":"\u001b[31mred\u0007"}', '{"status":1', '[]']) {
    const server = await mock(() => ({ body }));
    try {
      const run = await cairnAsync([
        'workflow',
        'run',
        own.segment,
        ...servers(server.url),
        ...auth(),
        ...inputs(segmentInputs()),
      ]);
      assert.equal(run.code, 1, JSON.stringify(body));
      assert.doesNotMatch(run.stdout + run.stderr, /[\x00-\x08\x0b-\x1f]/);
    } finally {
      server.close();
    }
  }
});
