// Queries about profiles: what is found, in which order and in which pages; statistics, revenue and group keys; who may
// ask; and what is said to questions that make no sense, parameter by parameter.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { basic, createAccount, createProject, freshName, query, sleep, World } from './harness.mjs';

let world;
after(() => world?.end());

const seconds = Math.floor(Date.now() / 1000);
const people = Array.from({ length: 25 }, (_, i) => ({
  id: `user ${String(i).padStart(2, '0')}`,
  properties: {
    $email: `Person${i}@example.com`,
    plan: ['free', 'pro', 'team'][i % 3],
    age: 20 + i,
    ...(i % 2 ? { city: 'Berlin' } : {}),
    joined: `2024-01-${String(25 - i).padStart(2, '0')}T00:00:00`,
    tags: ['a', `t${i}`],
  },
}));

async function write(path, messages) {
  const answer = await world.server.request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(messages),
  });
  assert.equal(answer.text, '1', answer.text);
}
const set = (project, list) =>
  list.map(({ id, properties }) => ({ $token: project.token, $distinct_id: id, $ip: '0', $set: properties }));
const engage = (params = {}, { path = '/api/2.0/engage', headers, project = world.project, ...options } = {}) => {
  const all = query({ project_id: project.project_id, ...params });
  return world.server.request(`${path}?${all}`, {
    headers: { Authorization: world.authorization, ...headers },
    ...options,
  });
};
const ok = async (params, options) => {
  const answer = await engage(params, options);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers['content-type'], /^application\/json/);
  const json = answer.json();
  assert.equal(json.status, 'ok');
  return json;
};
const ids = (json) => json.results.map((result) => result.$distinct_id);

before(async () => {
  world = await World.start({ server: { args: ['--set', 'query.sessions_max=3'] } });
  await write('/engage', set(world.project, people));
  const group = (key, id, properties) => ({ $token: world.token, $group_key: key, $group_id: id, $set: properties });
  await write('/groups', [
    group('company', 'acme', { name: 'Acme', seats: 3 }),
    group('company', 42, { name: 'Answer', seats: 9 }),
    group('team', 'red', { size: 2 }),
  ]);
});

test('a profile, as the documentation shows it', async () => {
  const json = await ok({ distinct_id: 'user 07' });
  assert.deepEqual(Object.keys(json).sort(), ['page', 'page_size', 'results', 'session_id', 'status', 'total']);
  assert.equal(json.total, 1);
  assert.equal(json.page, 0);
  assert.equal(json.page_size, 1000);
  assert.match(json.session_id, /^\d{10}-[A-Z0-9]+$/);
  const [{ $distinct_id, $properties }] = json.results;
  assert.equal($distinct_id, 'user 07');
  assert.match($properties.$last_seen, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  delete $properties.$last_seen;
  assert.deepEqual($properties, people[7].properties);
});

test('every path and method, parameters in the URL, a form and JSON', async () => {
  const where = 'properties["plan"] == "pro" and properties["age"] < 30';
  const expected = ['user 01', 'user 04', 'user 07'];
  for (const path of [
    '/api/2.0/engage',
    '/api/2.0/engage/',
    '/api/2.0/engage/query',
    '/api/query/engage',
    '/api/query/engage/',
    '/api/query/engage/query',
  ]) {
    assert.deepEqual(ids(await ok({ where }, { path })), expected, path);
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const body = query({ where });
    assert.deepEqual(ids(await ok({}, { path, method: 'POST', headers: form, body })), expected, path);
    const json = { 'Content-Type': 'application/json' };
    const text = JSON.stringify({ selector: where, page: 0, output_properties: ['age'] });
    const answer = await ok({}, { path, method: 'POST', headers: json, body: text });
    assert.deepEqual(ids(answer), expected, path);
    assert.deepEqual(answer.results[0].$properties, { age: 21 });
  }
});

test('where: properties and user are the same, types, lists, what is not set', async () => {
  const count = async (where) => (await ok({ where })).total;
  assert.equal(await count('user["plan"] == "pro"'), 8);
  assert.equal(await count('properties["plan"] == "pro" or user["plan"] == "team"'), 16);
  assert.equal(await count('defined(properties["city"])'), 12);
  assert.equal(await count('not defined(properties["city"])'), 13);
  assert.equal(await count('"t3" in properties["tags"]'), 1);
  assert.equal(await count('"person1" in lower(properties["$email"])'), 11);
  assert.equal(await count('properties["age"] >= 20'), 25);
  assert.equal(await count('properties["age"] == "20"'), 0);
  assert.equal(await count('properties["$distinct_id"] == "user 03"'), 1);
  assert.equal(await count('event["plan"] == "pro"'), 0);
  assert.equal(await count('properties["nobody has it"] > 1'), 0);
});

test('search, output_properties, distinct_ids', async () => {
  assert.deepEqual(ids(await ok({ search: 'PERSON7@' })), ['user 07']);
  assert.deepEqual(ids(await ok({ search: 'r 1', where: 'properties["age"] > 37' })), ['user 18', 'user 19']);
  assert.equal((await ok({ search: '"quoted\\' })).total, 0);
  const json = await ok({ distinct_ids: '["user 03","nobody","user 01","user 03"]', output_properties: '["plan","city"]' });
  assert.deepEqual(
    json.results.map((result) => result.$properties),
    [
      { plan: 'pro', city: 'Berlin' },
      { plan: 'free', city: 'Berlin' },
    ],
  );
  assert.deepEqual(ids(json), ['user 01', 'user 03']);
  assert.deepEqual((await ok({ distinct_ids: '[]' })).results, []);
  assert.deepEqual((await ok({ distinct_id: 'user 01', output_properties: '[]' })).results[0].$properties, {});
});

test('order: numbers, texts, both ways, those without a value last', async () => {
  const ascending = people.map(({ id }) => id);
  const descending = [...ascending].reverse();
  assert.deepEqual(ids(await ok({ sort_key: 'properties["age"]' })), descending, 'descending is the default');
  assert.deepEqual(ids(await ok({ sort_key: 'properties["age"]', sort_order: 'ascending' })), ascending);
  assert.deepEqual(ids(await ok({ sort_key: 'properties["joined"]', sort_order: 'ascending' })), descending);
  for (const sort_order of ['ascending', 'descending']) {
    const cities = await ok({ sort_key: 'user["city"]', sort_order, output_properties: '["city"]' });
    assert.deepEqual(
      cities.results.map(({ $properties }) => $properties.city),
      [...Array(12).fill('Berlin'), ...Array(13).fill(undefined)],
    );
  }
});

test('pages: every client’s way to the end', async () => {
  const all = people.map(({ id }) => id);
  // total and page_size, as mixpanel-utils
  const first = await ok({ page_size: 10 });
  assert.equal(first.total, 25);
  assert.equal(first.page_size, 10);
  const { session_id } = first;
  const rest = await Promise.all([1, 2].map((page) => ok({ page, page_size: 10, session_id })));
  assert.deepEqual([first, ...rest].flatMap(ids), all);
  for (const page of rest) assert.deepEqual([page.total, page.page_size, page.session_id], [25, 10, session_id]);
  // until there are no results; until the session is null; until a page is short
  const last = await ok({ page: 3, page_size: 10, session_id });
  assert.deepEqual([last.results, last.total, last.page_size, last.session_id], [[], 25, 10, null]);
  assert.equal((await ok({ page: 2_000_000_000, page_size: 10, session_id })).results.length, 0);
  const full = await ok({ page_size: 25 });
  assert.equal(typeof full.session_id, 'string');
  assert.deepEqual((await ok({ page_size: 25, page: 1, session_id: full.session_id })).results, []);
  // limit caps a page, the total stays
  const limited = await ok({ limit: 4 });
  assert.deepEqual([ids(limited), limited.total, limited.page_size], [all.slice(0, 4), 25, 4]);
  // more than the greatest page size is not refused
  assert.equal((await ok({ page_size: 5000 })).page_size, 1000);
});

test('a session is a frozen answer', async () => {
  const project = createProject(world.data, { name: 'Pages' });
  createAccount(world.data, project.project_id, { name: 'Pager' });
  const authorization = { Authorization: basic(`${project.secret}:`) };
  const ask = (params) => ok(params, { project, headers: authorization });
  await write('/engage', set(project, people.slice(0, 5)));
  const first = await ask({ page_size: 2, sort_key: 'properties["age"]', sort_order: 'ascending' });
  await write('/engage', [
    { $token: project.token, $distinct_id: 'user 02', $set: { age: 1 } },
    { $token: project.token, $distinct_id: 'user 03', $delete: '' },
    { $token: project.token, $distinct_id: 'new', $set: { age: 0 } },
  ]);
  const params = { page_size: 2, sort_key: 'properties["age"]', sort_order: 'ascending', session_id: first.session_id };
  const second = await ask({ ...params, page: 1 });
  assert.deepEqual(ids(second), ['user 02', 'user 03']);
  assert.equal(second.results[0].$properties.age, 22);
  assert.deepEqual(ids(await ask({ page: 2, page_size: 2, session_id: first.session_id })), ['user 04']);
  // another question under its name, and a name that nobody gave, are answered from now
  assert.deepEqual(ids(await ask({ ...params, sort_order: 'descending', page: 1 })), ['user 00', 'user 02']);
  assert.deepEqual(ids(await ask({ ...params, session_id: '1234567890-EXAMPL', page: 1 })), ['user 00', 'user 01']);
  const again = await ask({ ...params, session_id: '1234567890-EXAMPL', page: 2 });
  assert.deepEqual(ids(again), ['user 04']);
  assert.equal(again.session_id, '1234567890-EXAMPL');
  // a session of another project is none
  assert.equal((await ok({ page: 1, page_size: 2, session_id: first.session_id })).total, 25);
});

test('a session does not outlive a deletion of its people', async () => {
  const project = createProject(world.data, { name: 'Forget' });
  const headers = { Authorization: basic(`${project.secret}:`) };
  const owner = createAccount(world.data, project.project_id, { name: 'Owner', role: 'owner' });
  await write('/engage', set(project, people.slice(0, 4)));
  const first = await ok({ page_size: 2 }, { project, headers });
  const created = await world.server.request(`/api/app/projects/${project.project_id}/deletions`, {
    method: 'POST',
    headers: { Authorization: basic(`${owner.username}:${owner.secret}`), 'Content-Type': 'application/json' },
    body: JSON.stringify({ distinct_ids: ['user 03'] }),
  });
  assert.ok(created.status < 300, created.text);
  let page;
  for (let i = 0; i < 300; i++) {
    page = await ok({ page: 1, page_size: 2, session_id: first.session_id }, { project, headers });
    if (!ids(page).includes('user 03')) break;
    await sleep(100);
  }
  assert.deepEqual([ids(page), page.total], [['user 02'], 3]);
});

test('behaviors count events in a window', async () => {
  const name = freshName();
  const event = (distinct_id, hours, n) => world.event(name, { distinct_id, time: seconds - hours * 3600, n });
  await world.send(
    event('user 01', 1, 5),
    event('user 01', 30, 5),
    event('user 01', 50, 5),
    event('user 02', 2, 1),
    event('user 02', 3, 7),
    event('nobody with a profile', 2, 7),
  );
  const behaviors = (window, selector) =>
    JSON.stringify([{ name: 'b', window, event_selectors: [{ event: name, ...(selector ? { selector } : {}) }] }]);
  const find = async (window, where, selector, more = {}) =>
    ids(await ok({ behaviors: behaviors(window, selector), where, ...more }));
  assert.deepEqual(await find('2d', '(behaviors["b"] > 0)'), ['user 01', 'user 02']);
  assert.deepEqual(await find('2d', 'behaviors["b"] == 2'), ['user 01', 'user 02']);
  assert.deepEqual(await find('1w', 'behaviors["b"] == 3'), ['user 01']);
  assert.deepEqual(await find('24h', 'behaviors["b"] == 1'), ['user 01']);
  assert.deepEqual(await find('1w', 'behaviors["b"] > 0', 'properties["n"] < 5'), ['user 02']);
  assert.deepEqual(
    await find('24h', 'behaviors["b"] > 0', undefined, { as_of_timestamp: seconds - 20 * 3600 }),
    ['user 01'],
  );
  assert.equal((await ok({ behaviors: behaviors('2d'), where: 'behaviors["b"] == 0' })).total, 23);
  const page = await engage({ behaviors: behaviors('2d'), page: 1, session_id: 'gone' });
  assert.equal(page.status, 400);
  assert.match(page.json().error, /^request for page in uncached query for params/);
  await ok({ behaviors: behaviors('2d'), page: 1, session_id: 'gone', as_of_timestamp: seconds });
});

test('people with several ids are one profile, under the id that is shown', async () => {
  const device = '$device:d1';
  await write('/engage', [{ $token: world.token, $distinct_id: device, $set: { plan: 'device' } }]);
  assert.deepEqual(ids(await ok({ distinct_id: device })), [device]);
  await world.send(world.event(freshName(), { $device_id: 'd1', $user_id: 'user 09', distinct_id: 'user 09' }));
  const json = await ok({ distinct_id: device });
  assert.deepEqual(ids(json), ['user 09']);
  assert.equal((await ok({ where: 'properties["plan"] == "device"' })).total, 0, 'hidden since it is linked');
  assert.equal((await ok({})).total, 25);
});

test('groups, by the number of their key', async () => {
  const listed = await world.server.request(`/api/app/projects/${world.project.project_id}/data-groups/`, {
    headers: { Authorization: world.authorization },
  });
  assert.equal(listed.status, 200, listed.text);
  const groups = listed.json().results;
  assert.deepEqual(
    groups.map(({ property_name }) => property_name),
    ['company', 'team'],
  );
  const { data_group_id } = groups[0];
  assert.ok(Number.isSafeInteger(data_group_id));
  const json = await ok({ data_group_id });
  assert.deepEqual(ids(json), ['acme', '42']);
  assert.equal(json.results[1].$properties.name, 'Answer');
  assert.deepEqual(ids(await ok({ data_group_id, where: 'properties["seats"] > 5' })), ['42']);
  assert.deepEqual(ids(await ok({ data_group_id, distinct_ids: '[42]' })), ['42']);
  assert.equal((await ok({ data_group_id: groups[1].data_group_id })).total, 1);
});

test('properties, with their types', async () => {
  for (const base of ['/api/2.0/engage/properties', '/api/query/engage/properties']) {
    const { results } = await ok({}, { path: base });
    assert.deepEqual(results.age, { count: 25, type: 'number' });
    assert.deepEqual(results.city, { count: 12, type: 'string' });
    assert.deepEqual(results.joined, { count: 25, type: 'datetime' });
    assert.deepEqual(results.tags, { count: 25, type: 'list' });
    assert.equal(results.seats, undefined);
  }
});

test('stats', async () => {
  const path = '/api/2.0/engage/stats';
  const stats = async (params) => {
    const json = await ok(params, { path });
    assert.match(json.computed_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    return json.results;
  };
  assert.equal(await stats({}), 25);
  assert.equal(await stats({ action: 'count()', selector: 'properties["plan"] == "pro"' }), 8);
  assert.deepEqual(await stats({ action: 'extremes(properties["age"])' }), { max: 44, min: 20 });
  assert.deepEqual(await stats({ action: 'percentile(properties["age"], 50)' }), { percentile: 50, result: 32 });
  assert.deepEqual(await stats({ action: 'percentile(properties["plan"], 50)' }), { percentile: 50, result: null });
  const squares = people.reduce((sum, { properties }) => sum + properties.age ** 2, 0);
  assert.deepEqual(await stats({ action: 'numeric_summary(properties["age"])' }), {
    count: 25,
    mean: 32,
    var: 52,
    sum_of_squares: squares,
  });
  const post = await ok({}, { path: '/api/query/engage/stats', method: 'POST', body: '{"action":"count()"}' });
  assert.equal(post.results, 25);
});

test('revenue from transactions', async () => {
  const project = createProject(world.data, { name: 'Shop', timezone: 'America/New_York' });
  const pay = (id, amount, time) => ({
    $token: project.token,
    $distinct_id: id,
    $append: { $transactions: { $amount: amount, ...(time ? { $time: time } : {}) } },
  });
  await write('/engage', [
    pay('a', 10, '2024-01-02T12:00:00'),
    pay('a', 2.5, '2024-01-02T13:00:00'),
    pay('b', 5, '2024-01-03T03:00:00'), // the evening before in New York
    pay('b', 100, '2024-02-01T12:00:00'),
    pay('c', 7),
    { $token: project.token, $distinct_id: 'd', $set: { name: 'no payer' } },
  ]);
  const options = { path: '/api/2.0/engage/revenue', project, headers: { Authorization: basic(`${project.secret}:`) } };
  const json = await ok({ from_date: '2024-01-01', to_date: '2024-01-03' }, options);
  assert.match(json.computed_at, /^\d{4}-/);
  assert.deepEqual(json.results, {
    $overall: { amount: 17.5, count: 4, paid_count: 2 },
    '2024-01-01': { amount: 0, count: 4, paid_count: 0 },
    '2024-01-02': { amount: 17.5, count: 4, paid_count: 2 },
    '2024-01-03': { amount: 0, count: 4, paid_count: 0 },
  });
  const months = await ok({ from_date: '2024-01-01', to_date: '2024-02-29', unit: 'month' }, options);
  assert.deepEqual(months.results['2024-02-01'], { amount: 100, count: 4, paid_count: 1 });
  assert.equal(months.results.$overall.amount, 117.5);
});

test('who may ask', async () => {
  const as = (text) => engage({}, { headers: { Authorization: text } });
  assert.equal((await world.server.request('/api/2.0/engage')).status, 401);
  assert.equal((await as(basic('x:y'))).status, 401);
  assert.equal((await as(basic(`${world.token}:`))).status, 403, 'a token only writes');
  assert.equal((await as(basic(`${world.project.secret}:`))).status, 200);
  const reader = createAccount(world.data, world.project.project_id, { role: 'consumer', name: 'Reader' });
  assert.equal((await as(basic(`${reader.username}:${reader.secret}`))).status, 200);
  const other = createProject(world.data, { name: 'Foreign' });
  const stranger = createAccount(world.data, other.project_id, { name: 'Stranger' });
  assert.equal((await as(basic(`${stranger.username}:${stranger.secret}`))).status, 403);
  const groups = `/api/app/projects/${world.project.project_id}/data-groups`;
  const foreign = { Authorization: basic(`${stranger.username}:${stranger.secret}`) };
  assert.equal((await world.server.request(groups, { headers: foreign })).status, 403);
  assert.equal((await world.server.request(groups)).status, 401);
  for (const path of ['properties', 'stats', 'revenue'])
    assert.equal((await engage({}, { path: `/api/2.0/engage/${path}`, headers: foreign })).status, 403);
});

test('every bad parameter is named, and nothing else is harmed', async () => {
  const bad = [
    [{ where: 'properties["a"' }, /where/],
    [{ where: 'properties["plan"] and true' }, /where/],
    [{ selector: '1 +' }, /where/],
    [{ distinct_ids: 'a,b' }, /distinct_ids/],
    [{ distinct_ids: '{"a":1}' }, /distinct_ids/],
    [{ distinct_ids: '[["a"]]' }, /distinct_ids/],
    [{ data_group_id: '7' }, /data_group_id/],
    [{ data_group_id: '-9223372036854775808' }, /data_group_id/],
    [{ data_group_id: 'planet' }, /data_group_id/],
    [{ output_properties: 'plan' }, /output_properties/],
    [{ output_properties: '[null]' }, /output_properties/],
    [{ page: '-1' }, /page/],
    [{ page: 'two' }, /page/],
    [{ page: '1' }, /session_id/],
    [{ page: '99999999999', session_id: 'a' }, /page/],
    [{ page_size: '0' }, /page_size/],
    [{ page_size: '1e3' }, /page_size/],
    [{ limit: '0' }, /limit/],
    [{ session_id: 'a b' }, /session_id/],
    [{ session_id: 'x'.repeat(65) }, /session_id/],
    [{ sort_key: 'properties[' }, /sort_key/],
    [{ sort_key: 'properties["age"]', sort_order: 'up' }, /sort_order/],
    [{ include_all_users: 'perhaps' }, /include_all_users/],
    [{ filter_by_cohort: '{"id":1}' }, /filter_by_cohort.*no cohort 1/],
    [{ behaviors: '{}' }, /behaviors/],
    [{ behaviors: '[{"name":"b","window":"90y","event_selectors":[{"event":"a"}]}]' }, /behaviors\[0\]\.window/],
    [
      { behaviors: '[{"name":"b","window":"9d","event_selectors":[{"event":"a","selector":"1 +"}]}]' },
      /behaviors\[0\]\.event_selectors\[0\]\.selector/,
    ],
    [{ as_of_timestamp: 'now' }, /as_of_timestamp/],
    [{ as_of_timestamp: '-5' }, /as_of_timestamp/],
    [{ project_id: 'x' }, /project_id/],
  ];
  for (const [params, message] of bad) {
    const answer = await engage(params);
    assert.equal(answer.status, 400, JSON.stringify(params) + answer.text);
    const { request, error } = answer.json();
    assert.ok(request.startsWith('/api/2.0/engage?'), request);
    assert.match(error, message, JSON.stringify(params));
  }
  const siblings = [
    ['stats', { action: 'sum(1)' }, /action/],
    ['stats', { action: 'extremes(properties[)' }, /action/],
    ['stats', { segment_by_cohorts: '{"1":true}' }, /segment_by_cohorts/],
    ['stats', { filter_by_cohort: '{"id":1}' }, /filter_by_cohort/],
    ['revenue', {}, /from_date/],
    ['revenue', { from_date: '2024-01-01' }, /to_date/],
    ['revenue', { from_date: '2024-02-30', to_date: '2024-03-01' }, /from_date/],
    ['revenue', { from_date: '2024-03-02', to_date: '2024-03-01' }, /from_date/],
    ['revenue', { from_date: '2024-03-01', to_date: '2024-03-01', unit: 'hour' }, /unit/],
    ['properties', { data_group_id: 'none' }, /data_group_id/],
  ];
  for (const [path, params, message] of siblings) {
    const answer = await engage(params, { path: `/api/2.0/engage/${path}` });
    assert.equal(answer.status, 400, answer.text);
    assert.match(answer.json().error, message);
  }
  for (const body of ['{', '[1]', '{"where":', '"text"'])
    assert.equal((await engage({}, { method: 'POST', body })).status, body === '"text"' ? 200 : 400, body);
  assert.equal((await ok({})).total, 25);
});

test('a position of a mistake is one in the parameter', async () => {
  const where = 'properties["plan"] == ';
  assert.equal((await engage({ where })).json().position, where.length + 1);
  const action = 'extremes(properties["age"] +)';
  const answer = await engage({ action }, { path: '/api/2.0/engage/stats' });
  assert.equal(answer.json().position, action.length);
});

test('profiles survive a restart, in the same order', async () => {
  const before = ids(await ok({}));
  await world.restart({ kill: true });
  assert.deepEqual(ids(await ok({})), before);
  const page = await ok({ page: 1, page_size: 10, session_id: '1234567890-OTHER' });
  assert.deepEqual(ids(page), before.slice(10, 20));
});
