// Queries under way: the list, stopping one, the client that goes away, deadlines, limits of a project, and answers
// that are given again and never stale. Long queries are made long by a regular expression over a few hundred
// thousand values, so that nothing here depends on how fast the machine is: a query is waited for in the list before
// something is done to it.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { basic, cairnAsync, createAccount, createProject, day, freshName, query, sleep, World } from './harness.mjs';

const ROWS = 400_000;
let world, analyst, stranger;

before(async () => {
  world = await World.start({
    role: 'owner',
    server: { args: ['--set', 'query.threads=1', '--set', 'query.running_max=4', '--set', 'ingest.import_events_max=100000', '--set', 'ingest.import_bytes_max=64m'] },
  });
  analyst = createAccount(world.data, world.project.project_id, { role: 'analyst', name: 'Analyst' });
  const other = createProject(world.data, { name: 'Other' });
  stranger = createAccount(world.data, other.project_id, { role: 'owner', name: 'Stranger' });
  // Texts that are all different, so that nothing is decided by a dictionary.
  const time = Math.floor(Date.now() / 1000) - 60;
  for (let from = 0; from < ROWS; from += 50_000) {
    const events = Array.from({ length: 50_000 }, (_, i) => ({
      event: 'Big',
      properties: { time, distinct_id: `u${(from + i) % 1000}`, $insert_id: `i${from + i}`, text: `${'a'.repeat(40)}${from + i}` },
    }));
    const answer = await world.server.request(`/import?project_id=${world.project.project_id}&strict=1`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
      body: JSON.stringify(events),
    });
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
  }
});
after(() => world?.end());

const credentials = (account) => basic(`${account.username}:${account.secret}`);
const ask = (params, options = {}) => world.segmentation({ event: 'Big', ...params }, options);
// A filter that looks at every text for a while. `salt` makes questions differ.
let salts = 0;
const slow = () => `regex_match(properties["text"], "^.*a.*a.*a.*x${++salts}$")`;

async function list({ account, project, headers } = {}) {
  const path = project ? `/api/app/projects/${project}/queries` : '/api/app/queries';
  const answer = await world.server.request(path, {
    headers: { Authorization: account ? credentials(account) : world.authorization, ...headers },
  });
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
}
const stop = (id, account) =>
  world.server.request(`/api/app/queries/${id}`, {
    method: 'DELETE',
    headers: { Authorization: account ? credentials(account) : world.authorization },
  });

// Waits until some query satisfies the condition, and returns it.
async function seen(condition, patience = 30_000) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(10)) {
    const found = (await list()).results.find(condition);
    if (found) return found;
  }
  throw new Error('the query was not seen');
}
async function gone(id, patience = 30_000) {
  for (const end = Date.now() + patience; Date.now() < end; await sleep(10))
    if (!(await list()).results.some((found) => found.id === id)) return;
  throw new Error('the query did not go away');
}

test('a query is listed while it runs, with what it is and how far it is; and stopped', async () => {
  const where = slow();
  const answer = ask({ where });
  const found = await seen((one) => one.parameters.where === where);
  assert.equal(found.project_id, world.project.project_id);
  assert.equal(found.endpoint, '/api/2.0/segmentation');
  assert.equal(found.account, world.account.username);
  assert.equal(found.parameters.event, 'Big');
  assert.ok(['running', 'waiting'].includes(found.state));
  const working = await seen((one) => one.id === found.id && one.rows_total > 0);
  assert.equal(working.rows_total, ROWS);
  assert.ok(working.progress >= 0 && working.progress <= 1);
  assert.ok(working.memory_bytes > 0);
  const stopped = await stop(found.id);
  assert.equal(stopped.status, 200, stopped.text);
  assert.equal(stopped.json().results.id, found.id);
  const { status, headers, text } = await answer;
  assert.equal(status, 503);
  assert.match(JSON.parse(text).error, /stopped/);
  assert.equal(headers['retry-after'], undefined, 'nobody should try it again');
  await gone(found.id);
  assert.equal((await stop(found.id)).status, 404);
});

test('who may see and stop what', async () => {
  const mine = ask({ where: slow() });
  const its = ask({ where: slow() }, { headers: { Authorization: credentials(analyst) } });
  const own = await seen((one) => one.account === world.account.username);
  const analysts = await seen((one) => one.account === analyst.username);
  const visible = (await list({ account: analyst })).results.map((one) => one.id);
  assert.deepEqual(visible, [analysts.id], 'an analyst sees his own');
  assert.deepEqual((await list({ account: stranger })).results, []);
  assert.equal((await stop(own.id, analyst)).status, 404);
  assert.equal((await stop(own.id, stranger)).status, 404);
  const bySecret = await list({ headers: { Authorization: basic(`${world.project.secret}:`) } });
  assert.equal(bySecret.results.length, 2, "the project's secret sees all of the project");
  assert.equal((await stop(analysts.id, analyst)).status, 200, 'everybody may stop his own');
  assert.equal((await stop(own.id)).status, 200);
  assert.equal((await mine).status, 503);
  assert.equal((await its).status, 503);
});

test('bad requests about queries', async () => {
  const request = (path, options) => world.server.request(path, options);
  const headers = { Authorization: world.authorization };
  assert.equal((await request('/api/app/queries')).status, 401);
  assert.equal((await request('/api/app/queries', { headers: { Authorization: basic('nobody:nothing') } })).status, 401);
  assert.equal((await request('/api/app/queries', { headers: { Authorization: basic(`${world.token}:`) } })).status, 403);
  assert.equal((await request('/api/app/projects/999999/queries', { headers })).status, 403);
  for (const project of ['0', '-1', 'x', '99999999999999999999'])
    assert.equal((await request(`/api/app/projects/${project}/queries`, { headers })).status, 400, project);
  assert.equal((await request('/api/app/queries?project_id=x', { headers })).status, 400);
  for (const id of ['0', '-1', 'x', '1.5', '99999999999999999999', '1%20', '4611686018427387904'])
    assert.equal((await request(`/api/app/queries/${id}`, { method: 'DELETE', headers })).status, 404, id);
  assert.equal((await request('/api/app/queries/1', { headers })).status, 405);
  assert.equal((await request('/api/app/queries', { method: 'DELETE', headers })).status, 405);
});

test('every report is listed while it runs, and stopped', async () => {
  const dates = { from_date: day(-1), to_date: day(1) };
  const { results: funnel } = (
    await world.server.request(`/api/app/projects/${world.project.project_id}/funnels`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: freshName(), steps: [{ event: 'Big' }, { event: 'Big' }] }),
    })
  ).json();
  for (let from = 0; from < 20_000; from += 2000) {
    const people = Array.from({ length: 2000 }, (_, i) => ({ $token: world.token, $distinct_id: `u${from + i}`, $set: { text: `${'a'.repeat(50)}${from + i}` } }));
    const engage = await world.server.request('/engage', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(people),
    });
    assert.equal(engage.text, '1');
  }
  const reports = {
    segmentation: { event: 'Big', on: 'properties["text"]', ...dates },
    'segmentation/numeric': { event: 'Big', on: '1', buckets: 3, ...dates },
    'segmentation/sum': { event: 'Big', on: '1', ...dates },
    'segmentation/average': { event: 'Big', on: '1', ...dates },
    'segmentation/multiseg': { event: 'Big', outer: '1', inner: '2', ...dates },
    funnels: { funnel_id: funnel.id, ...dates },
    retention: { retention_type: 'birth', born_event: 'Big', event: 'Big', ...dates },
    'retention/addiction': { event: 'Big', unit: 'week', addiction_unit: 'day', ...dates },
    engage: {},
    'engage/stats': { action: 'count()' },
    'engage/properties': {},
    export: { from_date: day(-1), to_date: day(0) },
  };
  for (const [path, params] of Object.entries(reports)) {
    const where = slow();
    const target = `/api/2.0/${path}?${query({ project_id: world.project.project_id, where, ...params })}`;
    const answer = world.server.request(target, { headers: { Authorization: world.authorization } });
    const found = await seen((one) => one.endpoint === `/api/2.0/${path}` && one.parameters.where === where);
    assert.equal((await stop(found.id)).status, 200, path);
    const { status, text } = await answer;
    assert.equal(status, 503, `${path}: ${text.slice(0, 300)}`);
    assert.match(JSON.parse(text).error, /stopped/, path);
    await gone(found.id);
  }
});

test('a time limit holds for every report', async () => {
  const dates = { from_date: day(-1), to_date: day(1) };
  const reports = {
    segmentation: { event: 'Big', ...dates },
    'segmentation/sum': { event: 'Big', on: 'number(properties["text"])', ...dates },
    retention: { retention_type: 'birth', born_event: 'Big', event: 'Big', ...dates },
    'retention/addiction': { event: 'Big', unit: 'week', addiction_unit: 'day', ...dates },
    engage: {},
  };
  for (const [path, params] of Object.entries(reports)) {
    const target = `/api/2.0/${path}?${query({ project_id: world.project.project_id, where: slow(), timeout_ms: 60, ...params })}`;
    const { status, text } = await world.server.request(target, { headers: { Authorization: world.authorization } });
    assert.ok(status === 504 || status === 503, `${path}: ${status} ${text.slice(0, 300)}`);
  }
});

test('answers count until their clients have taken them', async () => {
  const target = `/api/2.0/segmentation?${query({ project_id: world.project.project_id, event: 'Big', from_date: day(-1), to_date: day(1), unit: 'hour', on: 'properties["text"]', limit: 10000 })}`;
  const outgoing = http.request(world.url + target, { headers: { Authorization: world.authorization } }, (incoming) => incoming.pause());
  outgoing.on('error', () => {});
  outgoing.end();
  for (const end = Date.now() + 30_000; (await list()).server.answers_bytes < 10_000_000; await sleep(10)) assert.ok(Date.now() < end);
  assert.deepEqual((await list()).results, [], 'the query itself is over');
  outgoing.destroy();
  for (const end = Date.now() + 30_000; (await list()).server.answers_bytes > 0; await sleep(10)) assert.ok(Date.now() < end);
});

// An export whose client reads nothing: its answer is far larger than what fits between the two.
function slowExport() {
  const target = `/api/2.0/export?${query({ project_id: world.project.project_id, from_date: day(-1), to_date: day(0) })}`;
  return new Promise((resolve, reject) => {
    const outgoing = http.request(world.url + target, { headers: { Authorization: world.authorization } }, (incoming) => {
      incoming.pause();
      resolve({ outgoing, incoming });
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
const isExport = (one) => one.endpoint === '/api/2.0/export';

test('an export is listed while it goes out, holds up nobody, and is stopped', async () => {
  const { incoming } = await slowExport();
  assert.equal(incoming.statusCode, 200);
  const found = await seen((one) => isExport(one) && one.state === 'streaming');
  assert.ok(found.rows_total >= ROWS && found.memory_bytes > 0);
  assert.equal((await list()).server.streaming, 1);
  assert.equal((await list()).server.running, 0);
  assert.equal((await ask({ event: freshName() })).status, 200);
  assert.equal((await stop(found.id, analyst)).status, 404);
  assert.equal((await stop(found.id)).status, 200);
  let end = '';
  incoming.setEncoding('utf8').on('data', (data) => (end = (end + data).slice(-100))).resume();
  await new Promise((resolve) => incoming.on('close', resolve));
  assert.match(end, /\nterminated early\n$/);
  await gone(found.id);
});

test('an export ends when its client has gone', async () => {
  const { outgoing } = await slowExport();
  const found = await seen((one) => isExport(one) && one.state === 'streaming');
  outgoing.on('error', () => {}).destroy();
  await gone(found.id);
  assert.equal((await list()).server.streaming, 0);
});

test('a query ends when its client has gone', async () => {
  const where = slow();
  const target = `/api/2.0/segmentation?${query({ project_id: world.project.project_id, event: 'Big', from_date: day(-1), to_date: day(1), where })}`;
  const outgoing = http.request(world.url + target, { headers: { Authorization: world.authorization } });
  outgoing.on('error', () => {});
  outgoing.end();
  const found = await seen((one) => one.rows_total > 0);
  outgoing.destroy();
  await gone(found.id);
});

test('timeout_ms shortens the time that a query has, and only shortens it', async () => {
  const answer = await ask({ where: slow(), timeout_ms: 30 });
  assert.ok([503, 504].includes(answer.status), answer.text); // 503: it was not even its turn
  assert.equal(typeof answer.json().error, 'string');
  assert.equal((await ask({ event: freshName(), timeout_ms: 86_400_000_000 })).status, 200);
  for (const bad of ['0', '-5', 'soon', '1.5', '99999999999999999999']) {
    const refused = await ask({ timeout_ms: bad });
    assert.equal(refused.status, 400, bad);
    assert.match(refused.json().error, /timeout_ms/);
  }
});

test('short queries are answered while long ones run', async () => {
  const name = freshName();
  await world.send(world.event(name));
  const long = Array.from({ length: 4 }, () => ask({ where: slow() }));
  await seen((one) => one.rows_total > 0);
  for (let i = 0; i < 20; i++) assert.equal((await ask({ event: name, on: `properties["${i}"]` })).status, 200);
  const left = (await list()).results;
  assert.ok(left.length > 0, 'the long ones are not done yet');
  for (const { id } of left) await stop(id);
  for (const answer of await Promise.all(long)) assert.ok([200, 503].includes(answer.status));
});

test('answers are given again while nothing has changed', async () => {
  const name = freshName();
  await world.send(world.event(name));
  const first = await ask({ event: name });
  const again = await ask({ event: name });
  assert.equal(first.headers['x-cairn-cache'], 'miss');
  assert.equal(again.headers['x-cairn-cache'], 'hit');
  assert.equal(again.text, first.text);
  const aside = await ask({ event: name }, { base: '/api/query' });
  assert.equal(aside.headers['x-cairn-cache'], 'hit', 'the other address asks the same');
  const reordered = await world.server.request(
    `/api/2.0/segmentation?${query({ to_date: day(1), from_date: day(-1), event: name, project_id: world.project.project_id })}`,
    { headers: { Authorization: world.authorization } },
  );
  assert.equal(reordered.headers['x-cairn-cache'], 'hit');
  const forced = await ask({ event: name }, { headers: { Authorization: world.authorization, 'Cache-Control': 'no-cache' } });
  assert.equal(forced.headers['x-cairn-cache'], 'miss');
  assert.equal((await ask({ event: name, unit: 'hour' })).headers['x-cairn-cache'], 'miss');
  // Nobody gets another project's answer, and everybody has to say who he is.
  assert.equal((await ask({ event: name }, { headers: { Authorization: credentials(stranger) } })).status, 403);
  assert.equal((await ask({ event: name }, { headers: { Authorization: '' } })).status, 401);
  await world.send(world.event(name));
  const changed = await ask({ event: name });
  assert.equal(changed.headers['x-cairn-cache'], 'miss');
  assert.notEqual(changed.text, first.text);
});

test('every kind of change is seen at once', async () => {
  const name = freshName();
  const count = async (params) => {
    const answer = await ask({ event: name, ...params });
    assert.equal(answer.status, 200, answer.text);
    return Object.values(answer.json().data.values).flatMap((buckets) => Object.values(buckets)).reduce((a, b) => a + b, 0);
  };
  const post = async (path, body) => {
    const answer = await world.server.request(path, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${answer.text}`);
  };
  const device = freshName('device'), user = freshName('user');
  await world.send(
    world.event(name, { $device_id: device, $insert_id: 'one' }),
    world.event(name, { distinct_id: user, $insert_id: 'two' }),
  );
  const unique = { type: 'unique', unit: 'month' };
  assert.equal(await count(unique), 2);
  assert.equal(await count(unique), 2);
  await world.send(world.event(name, { $device_id: device, $user_id: user, $insert_id: 'three' }));
  assert.equal(await count(unique), 1, 'a link');
  const plans = { on: 'user["plan"]' };
  const labels = async () => Object.keys((await ask({ event: name, ...plans })).json().data.values);
  assert.deepEqual(await labels(), ['undefined']);
  await post('/engage', [{ $token: world.token, $distinct_id: user, $set: { plan: 'pro' } }]);
  assert.deepEqual(await labels(), ['pro'], 'a profile');
  assert.equal(await count(), 3);
  await post(`/api/app/projects/${world.project.project_id}/deletions`, { event: [name], where: 'defined(properties["$user_id"])' });
  assert.ok((await count()) < 3, 'a deletion');
});

test('funnels, cohorts and other reports are given again, and are not when what they are about has changed', async () => {
  const name = freshName(), [a, b, user] = [freshName('a'), freshName('b'), freshName('user')];
  const headers = { Authorization: world.authorization, 'Content-Type': 'application/json' };
  const app = async (method, path, body) => {
    const answer = await world.server.request(`/api/app/projects/${world.project.project_id}/${path}`, {
      method, headers, body: JSON.stringify(body),
    });
    assert.ok(answer.status < 300, answer.text);
    return answer.json();
  };
  await world.send(world.event(a, { distinct_id: user }), world.event(b, { distinct_id: user }));
  const set = (plan) =>
    world.server.request('/engage', { method: 'POST', headers, body: JSON.stringify([{ $token: world.token, $distinct_id: user, $set: { plan, [name]: plan } }]) });
  assert.equal((await set('one')).status, 200);
  const funnel = (steps) => ({ name, steps: steps.map((event) => ({ event })) });
  const made = await app('POST', 'funnels', funnel([a, b]));
  const id = (made.results ?? made).id;
  const cohort = await app('POST', 'cohorts', { name, where: `properties["${name}"] == "one"` });
  const dates = { from_date: day(-1), to_date: day(1) };
  const questions = {
    funnels: { funnel_id: id, ...dates, on: 'user["plan"]' },
    'funnels/list': {},
    'cohorts/list': {},
    retention: { born_event: a, event: b, ...dates },
    'retention/addiction': { event: a, unit: 'week', addiction_unit: 'day', ...dates },
    engage: { where: `properties["${name}"] == "one"` },
    'engage/stats': { action: 'count()', where: `properties["${name}"] == "one"` },
    'engage/properties': {},
    'segmentation/sum': { event: a, on: '1', ...dates },
    'events/names': {},
    'events/properties/top': { event: a },
    'events/properties/values': { event: a, name: 'distinct_id' },
    events: { event: JSON.stringify([a]), unit: 'day', type: 'general', interval: 7 },
  };
  const get = async (path, params) => {
    const answer = await world.server.request(`/api/2.0/${path}?${query({ project_id: world.project.project_id, ...params })}`, { headers });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return { text: answer.text, cache: answer.headers['x-cairn-cache'] };
  };
  const all = async (caches, why) => {
    const texts = {};
    for (const [path, params] of Object.entries(questions)) {
      const { text, cache } = await get(path, params);
      assert.ok(caches(path).includes(cache), `${path} is a ${cache} ${why}`);
      texts[path] = text;
    }
    return texts;
  };
  const first = await all(() => ['miss'], 'the first time');
  // The day and the minute may change meanwhile, for those who look at the clock.
  assert.deepEqual(await all((path) => (/^events/.test(path) ? ['hit', 'miss'] : ['hit']), 'the second time'), first);
  await world.send(world.event(a, { distinct_id: freshName('user') }));
  const second = await all(() => ['miss'], 'after an event');
  for (const path of ['funnels', 'retention', 'retention/addiction', 'segmentation/sum', 'events/properties/values', 'events'])
    assert.notEqual(second[path], first[path], path);
  assert.equal((await set('two')).status, 200);
  // An expression may read the profiles of groups, so whoever has one depends on profiles.
  const third = await all((path) => (/^(funnels$|engage|cohorts|segm)/.test(path) ? ['miss'] : /^events/.test(path) ? ['hit', 'miss'] : ['hit']), 'after a profile');
  for (const path of ['funnels', 'cohorts/list', 'engage', 'engage/stats']) assert.notEqual(third[path], second[path], path);
  await app('PATCH', `funnels/${id}`, funnel([b, a]));
  const fourth = await all(() => ['miss'], 'after another definition');
  assert.notEqual(fourth.funnels, third.funnels);
  await app('DELETE', `cohorts/${(cohort.results ?? cohort).id}`);
  assert.deepEqual(JSON.parse((await get('cohorts/list', {})).text), []);
});

test('never stale under concurrent writes', async () => {
  const name = freshName();
  let acknowledged = 0, done = false;
  const write = async (writer) => {
    for (let i = 0; i < 60; i++) {
      await world.send(world.event(name, { distinct_id: `${writer}-${i}` }));
      acknowledged++;
    }
  };
  const read = async () => {
    let hits = 0;
    for (let last = false; !last; ) {
      last = done;
      const least = acknowledged;
      const answer = await ask({ event: name });
      const most = acknowledged;
      const total = Object.values(answer.json().data.values[name]).reduce((a, b) => a + b, 0);
      hits += answer.headers['x-cairn-cache'] === 'hit';
      assert.ok(total >= least, `${total} events, ${least} were acknowledged before`);
      assert.ok(total <= 180, `${total} ${most}`);
    }
    return hits;
  };
  const readers = [read(), read(), read()];
  await Promise.all([write('a'), write('b'), write('c')]);
  done = true;
  const hits = (await Promise.all(readers)).reduce((a, b) => a + b, 0);
  assert.equal(await world.count(name), 180);
  assert.ok(hits >= 0);
});

test('what asks for now is not given again later', async () => {
  const name = freshName();
  const params = { event: name, from_date: undefined, to_date: undefined, interval: 2, unit: 'minute' };
  const series = async () => {
    const answer = await world.server.request(`/api/2.0/segmentation?${query({ project_id: world.project.project_id, ...params })}`, {
      headers: { Authorization: world.authorization },
    });
    assert.equal(answer.status, 200, answer.text);
    return answer.json().data.series;
  };
  const minute = () => new Date().toISOString().slice(0, 16).replace('T', ' ') + ':00';
  // Around a change of the minute, the last bucket is the one of now.
  for (let i = 0; i < 5; i++) {
    const before = minute(), buckets = await series(), after_ = minute();
    assert.ok([before, after_].includes(buckets.at(-1)), `${buckets} at ${before}`);
    await sleep(10);
  }
});

test('cairn queries lists and stops', async () => {
  const answer = ask({ where: slow() });
  const found = await seen((one) => one.rows_total > 0);
  const at = ['--url', world.url, '--credentials', `${world.account.username}:${world.account.secret}`];
  const table = await cairnAsync(['queries', 'list', ...at]);
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, new RegExp(`^ *${found.id} .*segmentation`, 'm'));
  const json = await cairnAsync(['queries', 'list', '--json', '--project', world.project.project_id, ...at]);
  assert.equal(JSON.parse(json.stdout).results[0].id, found.id);
  const stopped = await cairnAsync(['queries', 'stop', ...at, found.id]);
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.match(stopped.stdout, /is stopped/);
  assert.equal((await answer).status, 503);
  await gone(found.id);
  const twice = await cairnAsync(['queries', 'stop', '--json', ...at, found.id]);
  assert.notEqual(twice.code, 0);
  assert.match(twice.stderr, /no query has the id/);
  assert.deepEqual(JSON.parse(twice.stdout), { stopped: [] });
  for (const bad of [['list'], ['stop', ...at], ['stop', ...at, 'x'], ['list', ...at, 'x'], ['list', ...at, '--project', 'x'], []])
    assert.equal((await cairnAsync(['queries', ...bad], { env: { CAIRN_CREDENTIALS: '' } })).code, 2, bad.join(' '));
  const nobody = await cairnAsync(['queries', 'list', '--url', world.url, '--credentials', 'a:b']);
  assert.equal(nobody.code, 2);
});

test('limits of a project: queries under way at once, and in an hour', async () => {
  const limited = await World.start({ server: { args: ['--set', 'query.rate_per_hour=4', '--set', 'query.cache_bytes=1m'] } });
  try {
    for (let i = 0; i < 4; i++) assert.equal((await limited.segmentation({ event: `e${i}` })).status, 200);
    const refused = await limited.segmentation({ event: 'e5' });
    assert.equal(refused.status, 429);
    assert.equal(refused.json().error, 'Query rate limit exceeded');
    assert.ok(Number(refused.headers['retry-after']) > 0);
    assert.equal((await limited.segmentation({ event: 'e1' })).headers['x-cairn-cache'], 'hit', 'costs nothing');
  } finally {
    await limited.end();
  }
  world.serverOptions = { args: ['--set', 'query.threads=1', '--set', 'query.project_max=1'] };
  await world.restart();
  const answer = ask({ where: slow() });
  const found = await seen((one) => one.rows_total > 0);
  const second = await ask({ event: freshName() });
  assert.equal(second.status, 429);
  assert.match(second.json().error, /^Query rate limit exceeded/);
  await stop(found.id);
  assert.equal((await answer).status, 503);
});

test('too many queries: a bounded queue, then 503 with Retry-After', async () => {
  world.serverOptions = {
    args: ['--set', 'query.threads=1', '--set', 'query.memory_max=64m', '--set', 'query.memory_total=64m', '--set', 'query.queue_max=2'],
  };
  await world.restart();
  const running = [ask({ where: slow() })];
  await seen((one) => one.rows_total > 0);
  for (let n = 1; n <= 2; n++) {
    running.push(ask({ where: slow() }));
    await seen(() => true);
    for (const end = Date.now() + 30_000; (await list()).server.waiting < n; await sleep(5)) assert.ok(Date.now() < end);
  }
  const refused = await ask({ where: slow() });
  assert.equal(refused.status, 503, refused.text);
  assert.ok(Number(refused.headers['retry-after']) > 0);
  const { results, server } = await list();
  assert.equal(server.running, 1, 'memory is enough for one');
  assert.equal(server.memory_bytes, 64 << 20);
  assert.equal(results.length, 3);
  for (const { id } of results.reverse()) assert.equal((await stop(id)).status, 200);
  for (const answer of running) assert.equal((await answer).status, 503);
});

test('a server that is told to end does not wait for a long query for ever', async () => {
  world.serverOptions = { args: ['--set', 'query.threads=1', '--set', 'http.drain_timeout=200ms'] };
  await world.restart();
  const answer = ask({ where: slow() }).catch((error) => error);
  await seen((one) => one.rows_total > 0);
  const end = await world.server.stop();
  assert.equal(end.code, 0);
  await answer;
});
