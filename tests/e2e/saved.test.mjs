// Saved funnels and cohorts: made, read, changed and deleted over HTTP and by the command line, by those who may; what
// the lists of the Query API say of them; and what is said of definitions that make no sense.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { basic, cairn, createAccount, createProject, query, temporaryDirectory, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start({
    role: 'analyst',
    server: { args: ['--set', 'saved.funnels_max=20', '--set', 'query.funnel_steps_max=5'] },
  });
});
after(() => world?.end());

const app = (method, target, body, { authorization = world.authorization, project = world.project.project_id } = {}) =>
  world.server.request(`/api/app/projects/${project}/${target}`, {
    method,
    headers: { Authorization: authorization, 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
const ok = async (promise, status = 200) => {
  const answer = await promise;
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.json().status, 'ok');
  return answer.json().results;
};
const list = async (endpoint, options = {}) => {
  const answer = await world.server.request(
    `${options.base ?? '/api/2.0'}/${endpoint}?${query({ project_id: world.project.project_id })}`,
    { headers: { Authorization: world.authorization }, ...options },
  );
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};

test('a funnel from beginning to end', async () => {
  assert.deepEqual(await ok(app('GET', 'funnels')), []);
  const made = await ok(
    app('POST', 'funnels', {
      name: 'Signup',
      description: 'from the page to the account',
      steps: [{ event: 'View', name: 'Looked' }, { event: 'Signup', where: 'properties["plan"] == "pro"' }],
      window: { length: 3, unit: 'hour' },
      exclusions: [{ event: 'Leave' }],
      hold_constant: ['device'],
    }),
    201,
  );
  assert.equal(made.funnel_id, made.id);
  assert.equal(made.project_id, world.project.project_id);
  assert.equal(made.created_by, world.account.username);
  assert.equal(made.revision, 1);
  assert.match(made.created, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  assert.equal(made.order, 'specific');
  assert.deepEqual(made.exclusions, [{ event: 'Leave', from_step: 1, to_step: 2 }]);
  assert.deepEqual(await ok(app('GET', `funnels/${made.id}`)), made);
  assert.deepEqual(await ok(app('GET', 'funnels')), [made]);
  for (const base of ['/api/2.0', '/api/query'])
    for (const method of ['GET', 'POST'])
      assert.deepEqual(await list('funnels/list', { base, method }), [{ funnel_id: made.id, name: 'Signup' }]);
  // What was read may be sent back.
  const same = await ok(app('PATCH', `funnels/${made.id}`, made));
  assert.equal(same.revision, 2);
  assert.deepEqual({ ...same, revision: 1, modified: made.modified }, made);
  const changed = await ok(
    app('PATCH', `funnels/${made.id}`, { name: 'Renamed', window: { length: 2, unit: 'day' }, exclusions: null }),
  );
  assert.equal(changed.name, 'Renamed');
  assert.equal(changed.description, made.description);
  assert.deepEqual(changed.steps, made.steps);
  assert.deepEqual(changed.window, { length: 2, unit: 'day' });
  assert.deepEqual(changed.exclusions, []);
  await world.restart({ kill: true });
  assert.deepEqual(await ok(app('GET', `funnels/${made.id}`)), changed, 'it survives');
  assert.deepEqual(await ok(app('DELETE', `funnels/${made.id}`)), { id: made.id });
  assert.equal((await app('GET', `funnels/${made.id}`)).status, 404);
  assert.equal((await app('DELETE', `funnels/${made.id}`)).status, 404);
  assert.equal((await app('PATCH', `funnels/${made.id}`, {})).status, 404);
  assert.deepEqual(await list('funnels/list'), []);
});

test('a cohort from beginning to end, with who is in it', async () => {
  await world.server.request('/engage', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(
      ['a', 'b', 'c'].map((id, i) => ({
        $token: world.token,
        $distinct_id: id,
        $set: { plan: i ? 'pro' : 'free' },
      })),
    ),
  });
  await world.send(world.event('Buy', { distinct_id: 'b' }), world.event('Buy', { distinct_id: 'b' }));
  const pro = await ok(
    app('POST', 'cohorts', { name: 'Pro', description: 'who pays', where: 'properties["plan"] == "pro"' }),
    201,
  );
  const buyers = await ok(
    app('POST', 'cohorts', {
      name: 'Buyers',
      where: 'behaviors["bought"] >= 2',
      behaviors: [{ name: 'bought', window: '30d', event_selectors: [{ event: 'Buy' }] }],
    }),
    201,
  );
  assert.equal(pro.cohort_id, pro.id);
  for (const method of ['GET', 'POST'])
    assert.deepEqual(
      (await list('cohorts/list', { method })).map(({ created, ...rest }) => {
        assert.match(created, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
        return rest;
      }),
      [
        { count: 2, is_visible: 1, description: 'who pays', project_id: world.project.project_id, id: pro.id, name: 'Pro' },
        { count: 1, is_visible: 1, description: '', project_id: world.project.project_id, id: buyers.id, name: 'Buyers' },
      ],
    );
  const moved = await ok(app('PATCH', `cohorts/${pro.id}`, { where: 'properties["plan"] == "free"' }));
  assert.equal(moved.where, 'properties["plan"] == "free"');
  assert.deepEqual((await list('cohorts/list', { base: '/api/query' })).map((cohort) => cohort.count), [1, 1]);
  assert.deepEqual((await ok(app('GET', 'cohorts'))).map((cohort) => cohort.name), ['Pro', 'Buyers']);
  // The two kinds do not see each other.
  assert.equal((await app('GET', `funnels/${pro.id}`)).status, 404);
  await ok(app('DELETE', `cohorts/${pro.id}`));
  await ok(app('DELETE', `cohorts/${buyers.id}`));
  assert.deepEqual(await list('cohorts/list'), []);
});

test('a cohort that cannot be counted says so, beside the others; one of groups says of which', async () => {
  const set = (target, message) =>
    world.server.request(target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify([{ $token: world.token, ...message }]),
    });
  await set('/engage', { $distinct_id: 'odd', $set: { odd: 'no boolean' } });
  await set('/groups', { $group_key: 'firm', $group_id: 'acme', $set: { size: 7 } });
  const ids = [];
  for (const cohort of [
    { name: 'Odd', where: 'defined(properties["odd"]) and (properties["odd"] and true)' },
    { name: 'Firms', where: 'properties["size"] > 5', group_key: 'firm' },
    { name: 'Even', where: 'properties["odd"] == "no boolean"' },
  ])
    ids.push((await ok(app('POST', 'cohorts', cohort), 201)).id);
  const [odd, firms, even] = await list('cohorts/list');
  assert.equal(odd.count, null);
  assert.match(odd.error, /where: /);
  assert.equal(firms.count, 1);
  assert.equal(even.count, 1);
  assert.equal('error' in even, false);
  assert.equal('data_group_id' in even, false);
  const groups = await list('data-groups', { base: `/api/app/projects/${world.project.project_id}` });
  assert.deepEqual(
    groups.results.map((group) => [group.group_key, group.data_group_id]),
    [['firm', firms.data_group_id]],
  );
  for (const id of ids) await ok(app('DELETE', `cohorts/${id}`));
});

test('who may do what', async () => {
  const made = await ok(app('POST', 'funnels', { name: 'Mine', steps: [{ event: 'A' }] }), 201);
  const consumer = createAccount(world.data, world.project.project_id, { role: 'consumer', name: 'Reader' });
  const reader = { authorization: basic(`${consumer.username}:${consumer.secret}`) };
  assert.equal((await app('GET', 'funnels', undefined, reader)).status, 200);
  assert.equal((await app('GET', `funnels/${made.id}`, undefined, reader)).status, 200);
  for (const [method, target, body] of [
    ['POST', 'funnels', { name: 'Theirs', steps: [{ event: 'A' }] }],
    ['PATCH', `funnels/${made.id}`, { name: 'Theirs' }],
    ['DELETE', `funnels/${made.id}`],
    ['POST', 'cohorts', { name: 'Theirs', where: 'true' }],
  ]) {
    const answer = await app(method, target, body, reader);
    assert.equal(answer.status, 403, `${method} ${target}`);
    assert.equal(answer.json().status, 'error');
  }
  // Another project sees nothing of it, and its people may not look.
  const other = createProject(world.data, { name: 'Other' });
  const theirs = createAccount(world.data, other.project_id);
  const stranger = { authorization: basic(`${theirs.username}:${theirs.secret}`) };
  assert.equal((await app('GET', 'funnels', undefined, stranger)).status, 403);
  assert.equal(
    (await app('GET', `funnels/${made.id}`, undefined, { ...stranger, project: other.project_id })).status,
    404,
  );
  assert.equal(
    (await app('DELETE', `funnels/${made.id}`, undefined, { ...stranger, project: other.project_id })).status,
    404,
  );
  assert.equal((await app('GET', 'funnels', undefined, { authorization: '' })).status, 401);
  assert.equal((await app('GET', 'funnels', undefined, { authorization: basic('nobody:nothing here') })).status, 401);
  assert.equal((await app('GET', 'funnels', undefined, { project: 'x' })).status, 400);
  await ok(app('GET', 'funnels', undefined, { authorization: basic(world.project.secret) }));
  await ok(app('DELETE', `funnels/${made.id}`));
});

test('definitions that make no sense are refused, by member', async () => {
  const steps = [{ event: 'A' }, { event: 'B' }];
  const cases = [
    ['funnels', '{', /./],
    ['funnels', '[]', /a funnel must be a JSON object/],
    ['funnels', {}, /name: is missing/],
    ['funnels', { name: 7, steps }, /name: must be a text/],
    ['funnels', { name: 'x'.repeat(256), steps }, /name: has 256 bytes/],
    ['funnels', { name: 'a\u0000b', steps }, /name: is not plain/],
    ['funnels', { name: 'x', steps, description: 'y'.repeat(5000) }, /description: has 5000 bytes/],
    ['funnels', { name: 'x' }, /steps: is missing/],
    ['funnels', { name: 'x', steps: Array(6).fill({ event: 'A' }) }, /steps: there are 6, at most 5/],
    ['funnels', { name: 'x', steps: [{ event: 'A', where: 'properties[' }] }, /steps\[0\]\.where: .*position/],
    ['funnels', { name: 'x', steps, window: { length: 400, unit: 'day' } }, /window\.length/],
    ['funnels', { name: 'x', steps, windows: 7 }, /windows: there is no such member/],
    ['funnels', { name: 'x', steps, exclusions: [{ event: 'X', from_step: 9 }] }, /exclusions\[0\]\.from_step/],
    ['cohorts', { name: 'x' }, /where: is missing/],
    ['cohorts', { name: 'x', where: '' }, /where: must be an expression/],
    ['cohorts', { name: 'x', where: 'properties["a"] ==' }, /where: .*position/],
    ['cohorts', { name: 'x', where: 'true', behaviors: 5 }, /behaviors/],
    ['cohorts', { name: 'x', where: 'true', behaviors: [{ name: 'b', window: '1y' }] }, /behaviors\[0\]\.window/],
    [
      'cohorts',
      {
        name: 'x',
        where: 'true',
        behaviors: [{ name: 'b', window: '1d', event_selectors: [{ event: 'E', selector: '1 +' }] }],
      },
      /behaviors\[0\]\.event_selectors\[0\]\.selector/,
    ],
    ['cohorts', { name: 'x', where: 'true', group_key: 1 }, /group_key/],
    ['cohorts', { name: 'x', where: 'true', steps }, /steps: there is no such member/],
  ];
  for (const [target, body, text] of cases) {
    const answer = await app('POST', target, body);
    assert.equal(answer.status, 400, `${JSON.stringify(body).slice(0, 100)}: ${answer.text}`);
    assert.equal(answer.json().status, 'error');
    assert.match(answer.json().error, text, JSON.stringify(body).slice(0, 100));
  }
  const made = await ok(app('POST', 'funnels', { name: 'Taken', steps }), 201);
  assert.equal((await app('POST', 'funnels', { name: 'Taken', steps })).status, 409);
  assert.equal((await app('PATCH', `funnels/${made.id}`, { steps: null })).status, 400);
  assert.equal((await app('PATCH', `funnels/${made.id}`, { name: null })).status, 400);
  assert.deepEqual(await ok(app('GET', `funnels/${made.id}`)), made, 'nothing of it was changed');
  assert.equal((await app('PUT', `funnels/${made.id}`, {})).status, 405);
  assert.equal((await app('GET', 'funnels/abc')).status, 404);
  assert.equal((await app('GET', 'funnels/-1')).status, 404);
  for (let i = 0; i < 19; i++) await ok(app('POST', 'funnels', { name: `f${i}`, steps }), 201);
  const full = await app('POST', 'funnels', { name: 'one too many', steps });
  assert.equal(full.status, 400);
  assert.match(full.json().error, /20 funnels already.*saved\.funnels_max/);
  for (const funnel of await ok(app('GET', 'funnels'))) await ok(app('DELETE', `funnels/${funnel.id}`));
});

test('the command line, beside a running server', async () => {
  const at = ['--data', world.data, '--project', world.project.project_id];
  const made = cairn(['funnel', 'create', ...at, '--name', 'Buying', '--step', 'View', '--step', 'Buy', '--window', '12h', '--json']);
  assert.equal(made.code, 0, made.stderr);
  const funnel = JSON.parse(made.stdout);
  assert.deepEqual(funnel.window, { length: 12, unit: 'hour' });
  assert.equal(funnel.created_by, 'command line');
  assert.deepEqual(await ok(app('GET', `funnels/${funnel.id}`)), funnel, 'the server has it at once');
  assert.deepEqual(await list('funnels/list'), [{ funnel_id: funnel.id, name: 'Buying' }]);
  const file = path.join(temporaryDirectory('funnel'), 'funnel.json');
  writeFileSync(file, JSON.stringify({ name: 'From a file', steps: [{ events: ['A', 'B'] }], order: 'any' }));
  assert.equal(cairn(['funnel', 'create', ...at, file]).code, 0);
  const piped = cairn(['funnel', 'create', ...at, '--name', 'Piped', '-'], { input: '{"steps":[{"event":"A"}]}' });
  assert.equal(piped.code, 0, piped.stderr);
  const listed = cairn(['funnel', 'list', ...at]);
  assert.match(listed.stdout, /12 hours +Buying +View > Buy\n/);
  assert.match(listed.stdout, /7 days +From a file +A, B\n/);
  assert.equal(JSON.parse(cairn(['funnel', 'list', ...at, '--json']).stdout).funnels.length, 3);
  assert.deepEqual(JSON.parse(cairn(['funnel', 'show', ...at, 'Buying']).stdout), funnel);
  assert.deepEqual(JSON.parse(cairn(['funnel', 'show', ...at, funnel.id]).stdout), funnel);
  assert.equal(cairn(['funnel', 'delete', ...at, 'Buying']).code, 2, 'not without --yes');
  assert.equal(cairn(['funnel', 'delete', ...at, 'Buying', '--yes']).code, 0);
  assert.equal((await app('GET', `funnels/${funnel.id}`)).status, 404);
  for (const [args, code, text] of [
    [['create', ...at, '--name', 'x'], 2, /--step EVENT is missing/],
    [['create', ...at, '--step', 'A'], 2, /name: is missing/],
    [['create', ...at, '--name', 'Piped', '--step', 'A'], 1, /already/],
    [['create', ...at, '--name', 'x', '--step', 'A', '--window', '9y'], 2, /no window/],
    [['create', ...at, '--name', 'x', '--step', 'A', '--window', '900d'], 2, /window\.length/],
    [['create', ...at, '--name', 'x', '/nowhere/at/all'], 1, /cannot open/],
    [['show', ...at, 'Nothing'], 1, /no funnel "Nothing"/],
    [['list', '--data', world.data, '--project', '99'], 1, /no project/],
    [['list', '--data', world.data], 2, /--project N is missing/],
  ]) {
    const result = cairn(['funnel', ...args]);
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, text, args.join(' '));
  }
});
