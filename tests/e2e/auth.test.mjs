// Who may ask /segmentation: every way of giving credentials that clients use, and the answers to those who may not.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { basic, cairn, createAccount, createProject, day, freshName, query, World } from './harness.mjs';

let world, other, event;
before(async () => {
  world = await World.start();
  other = createProject(world.data, { name: 'Other' });
  event = freshName();
  await world.send(world.event(event, { distinct_id: 'u' }));
});
after(() => world?.end());

const id = () => world.project.project_id;
const account = () => `${world.account.username}:${world.account.secret}`;
const ask = (authorization, params = {}, options = {}) =>
  world.segmentation({ event, ...params }, { headers: { Authorization: authorization }, ...options });

function assertCounted(answer) {
  assert.equal(answer.status, 200, answer.text);
  const values = answer.json().data.values[event];
  assert.equal(
    Object.values(values).reduce((a, b) => a + b, 0),
    1,
  );
}
// Failures of the Query API always name the request and say what is wrong.
function assertRefused(answer, ...statuses) {
  assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
  assert.match(answer.headers['content-type'], /^application\/json/);
  const body = answer.json();
  assert.match(body.request, /segmentation/);
  assert.ok(typeof body.error === 'string' && body.error.length > 0);
  return body.error;
}

test('a service account with project_id, in the query or in the form', async () => {
  assertCounted(await ask(basic(account())));
  const inForm = await world.server.request('/api/2.0/segmentation', {
    method: 'POST',
    headers: { Authorization: basic(account()), 'Content-Type': 'application/x-www-form-urlencoded' },
    body: query({ event, project_id: id(), from_date: day(-1), to_date: day(1) }),
  });
  assertCounted(inForm);
  const inJson = await world.server.request('/api/2.0/segmentation', {
    method: 'POST',
    headers: { Authorization: basic(account()), 'Content-Type': 'application/json' },
    body: JSON.stringify({ event, project_id: id(), from_date: day(-1), to_date: day(1) }),
  });
  assertCounted(inJson);
});

test('the project secret, which needs no project_id', async () => {
  const secret = world.project.secret;
  assertCounted(await ask(basic(`${secret}:`), { project_id: undefined }));
  assertCounted(await ask(basic(`${secret}:`)));
  assertCounted(await ask(basic(`${secret}:${secret}`), { project_id: undefined }));
});

test('headers that are not quite Basic, but that clients send', async () => {
  assertCounted(await ask(basic(world.project.secret), { project_id: undefined }));
  assertCounted(await ask(`Basic ${account()}`));
  assertCounted(await ask(basic(account()).replace('Basic', 'basic')));
});

test('both base paths, with and without a slash at the end', async () => {
  for (const base of ['/api/2.0', '/api/query'])
    for (const slash of ['', '/']) {
      const target = `${base}/segmentation${slash}?${query({ event, project_id: id(), from_date: day(-1), to_date: day(1) })}`;
      assertCounted(await world.server.request(target, { headers: { Authorization: basic(account()) } }));
    }
});

test('nobody', async () => {
  const target = `/api/2.0/segmentation?${query({ event, project_id: id(), from_date: day(-1), to_date: day(1) })}`;
  const error = assertRefused(await world.server.request(target), 401);
  assert.match(error, /authenticate/i);
});

test('wrong secrets, wrong names, and things that are no credentials', async () => {
  assertRefused(await ask(basic(`${world.account.username}:wrong`)), 401);
  assertRefused(await ask(basic(`${world.account.username}:`)), 401);
  assertRefused(await ask(basic(`nobody.abc123.mp-service-account:${world.account.secret}`)), 401);
  assertRefused(await ask(basic(`${'0'.repeat(32)}:`)), 401);
  assertRefused(await ask(basic(`${'0'.repeat(32)}:`), { project_id: undefined }), 401);
  for (const header of [
    '',
    'Basic',
    'Basic ',
    'Basic !!!',
    'Bearer nothing',
    'Digest x',
    basic(':'),
    basic(''),
    `Basic ${'A'.repeat(8000)}`,
  ])
    assertRefused(await ask(header), 400, 401);
  assertCounted(await ask(basic(account())));
});

test('a service account without project_id, or with something else there', async () => {
  const error = assertRefused(await ask(basic(account()), { project_id: undefined }), 400);
  assert.match(error, /project_id/);
  for (const bad of ['', 'x', '-1', '1.5', '99999999999999999999'])
    assertRefused(await ask(basic(account()), { project_id: bad }), 400, 401, 403, 404);
});

test("another project's id", async () => {
  assertRefused(await ask(basic(account()), { project_id: other.project_id }), 400, 401, 403);
  assertRefused(await ask(basic(account()), { project_id: 987654321 }), 400, 401, 403, 404);
  assertRefused(await ask(basic(`${world.project.secret}:`), { project_id: other.project_id }), 400, 401, 403);
});

test('every role may read', async () => {
  for (const role of ['owner', 'admin', 'analyst', 'consumer']) {
    const someone = createAccount(world.data, id(), { role, name: role });
    assertCounted(await ask(basic(`${someone.username}:${someone.secret}`)));
  }
});

test('a deleted account is nobody, at once', async () => {
  const leaver = createAccount(world.data, id(), { role: 'analyst', name: 'Leaver' });
  const header = basic(`${leaver.username}:${leaver.secret}`);
  assertCounted(await ask(header));
  const result = cairn(['account', 'delete', '--data', world.data, '--username', leaver.username]);
  assert.equal(result.code, 0, result.stderr);
  assertRefused(await ask(header), 401);
});

test('an account with a chosen name and secret', async () => {
  const result = cairn([
    'account',
    'create',
    '--data',
    world.data,
    '--project',
    id(),
    '--username',
    'reader',
    '--secret',
    'correct horse:battery',
    '--role',
    'consumer',
    '--json',
  ]);
  assert.equal(result.code, 0, result.stderr);
  assertCounted(await ask(basic('reader:correct horse:battery')));
});

test('nothing secret comes back in failures', async () => {
  const answer = await ask(basic(`${world.account.username}:hunter2hunter2`));
  assert.ok(!answer.text.includes('hunter2'));
  assert.ok(!world.server.log.includes('hunter2'));
  assert.ok(!world.server.log.includes(world.account.secret));
});
