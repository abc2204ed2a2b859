// /events and what is below it: several events over time, which events and properties there are, and their values; and
// what they say to questions that make no sense. Expected numbers are counted here in the plainest way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { day, query, World } from './harness.mjs';

let world;
const now = Date.now();
const hour = 3_600_000;
// [name, hours ago, who, properties]
const sent = [
  ['signup', 30, 'a', { plan: 'pro', n: 1 }],
  ['signup', 29, 'b', { plan: 'free', n: 2 }],
  ['signup', 0, 'c', { plan: 'pro' }],
  ['view', 50, 'a', { page: '/', tags: ['x', 'y'] }],
  ['view', 49, 'a', { page: '/a', tags: ['x'] }],
  ['view', 1, 'b', { page: '/', n: 7, nothing: null }],
  ['view', 0, 'b', { page: '/' }],
  ['view', 0, 'b', { page: '/' }],
  ['pay "now"', 0, 'a', { n: 10, plan: 'pro' }],
];
before(async () => {
  world = await World.start();
  await world.send(
    ...sent.map(([name, ago, distinct_id, more]) =>
      world.event(name, { time: Math.floor((now - ago * hour) / 1000), distinct_id, ...more }),
    ),
  );
});
after(() => world?.end());

const request = (path, params = {}, base = '/api/2.0') =>
  world.server.request(`${base}/events${path}?${query({ project_id: world.project.project_id, ...params })}`, {
    headers: { Authorization: world.authorization },
  });
const ask = async (path, params, base) => {
  const answer = await request(path, params, base);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};
const range = { from_date: day(-4), to_date: day(1) };
const dayOf = (ago) => new Date(now - ago * hour).toISOString().slice(0, 10);
const total = (buckets) => Object.values(buckets).reduce((a, b) => a + b, 0);
const nonzero = (buckets) => Object.fromEntries(Object.entries(buckets).filter(([, n]) => n !== 0));
function expected(name, type = 'general', keep = () => true) {
  const events = {},
    people = {};
  for (const [event, ago, who, properties] of sent) {
    if (event !== name || !keep(properties)) continue;
    events[dayOf(ago)] = (events[dayOf(ago)] ?? 0) + 1;
    (people[dayOf(ago)] ??= new Set()).add(who);
  }
  if (type === 'general') return events;
  return Object.fromEntries(
    Object.entries(people).map(([date, who]) => [date, type === 'unique' ? who.size : events[date] / who.size]),
  );
}

test('several events: a series each, in the order asked for, zeros included', async () => {
  const event = JSON.stringify(['view', 'signup', 'nobody did this', 'view']);
  for (const type of ['general', 'unique', 'average']) {
    const { data, legend_size } = await ask('', { event, type, unit: 'day', ...range });
    assert.equal(legend_size, 3);
    assert.deepEqual(Object.keys(data.values), ['view', 'signup', 'nobody did this']);
    for (const [name, buckets] of Object.entries(data.values)) {
      assert.deepEqual(Object.keys(buckets), data.series);
      assert.deepEqual(nonzero(buckets), expected(name, type), `${name} ${type}`);
    }
  }
});

test('one event: as a list, a bare name, a JSON string', async () => {
  for (const event of ['["signup"]', 'signup', '"signup"', ' [ "signup" ] ']) {
    const { data } = await ask('', { event, type: 'general', unit: 'day', ...range });
    assert.deepEqual(nonzero(data.values.signup), expected('signup'), event);
  }
  const quoted = await ask('', { event: 'pay "now"', unit: 'month', ...range });
  assert.equal(total(quoted.data.values['pay "now"']), 1);
});

test('the last units; units; csv', async () => {
  const week = await ask('', { event: '["signup"]', type: 'general', unit: 'day', interval: 7 });
  assert.equal(week.data.series.length, 7);
  assert.equal(total(week.data.values.signup), 3);
  const hours = await ask('', { event: '["signup","view"]', type: 'unique', unit: 'hour', interval: 3 });
  assert.equal(hours.data.series.length, 3, 'uniques of hours are computed, not refused');
  assert.equal(total(hours.data.values.signup), 1);
  const months = await ask('', { event: '["signup"]', unit: 'month', interval: 2 });
  assert.equal(months.data.series.length, 2);
  const csv = await request('', { event: '["view","signup"]', unit: 'day', format: 'csv', ...range });
  assert.match(csv.headers['content-type'], /^text\/csv/);
  assert.equal(csv.text.split('\r\n')[0], 'date,view,signup');
  assert.equal(csv.text.trimEnd().split('\r\n').length, 7);
});

test('top: today, greatest first, beside the same part of yesterday', async () => {
  const { events, type } = await ask('/top', { type: 'general' });
  assert.equal(type, 'general');
  if (dayOf(0) !== day(0)) return; // midnight passed
  const today = {};
  for (const [name, ago] of sent) if (dayOf(ago) === dayOf(0)) today[name] = (today[name] ?? 0) + 1;
  assert.deepEqual(Object.fromEntries(events.map(({ event, amount }) => [event, amount])), today);
  for (const { event, amount, percent_change } of events) {
    const minute = Math.floor(now / 60000) + 5; // the question came later than `now`
    const before = sent.filter(
      ([name, ago]) => name === event && dayOf(ago) === day(-1) && now - ago * hour < (minute - 1440) * 60000,
    ).length;
    const change = before ? (amount - before) / before : 1;
    assert.ok(Math.abs(percent_change - change) < 1e-12, `${event} ${percent_change} ${change}`);
  }
  assert.deepEqual(
    events.map(({ amount }) => amount),
    events.map(({ amount }) => amount).sort((a, b) => b - a),
  );
  assert.equal((await ask('/top', { type: 'unique', limit: 1 })).events.length, 1);
  assert.equal((await ask('/top')).type, 'general', 'the default');
});

test('names: of the last month, by volume', async () => {
  assert.deepEqual(await ask('/names', { type: 'general' }), ['view', 'signup', 'pay "now"']);
  assert.deepEqual(await ask('/names', { type: 'unique' }), ['signup', 'view', 'pay "now"']);
  assert.deepEqual(await ask('/names', { limit: 1 }), ['view']);
  assert.deepEqual(await ask('/names', { limit: 5000, from_date: '2019-01-01', to_date: '2019-01-02' }), []);
});

test('properties: labels are the values, the most frequent or those that are named', async () => {
  const params = { event: 'signup', name: 'plan', type: 'general', unit: 'day', ...range };
  const { data, legend_size } = await ask('/properties', params);
  assert.deepEqual(Object.keys(data.values), ['pro', 'free']);
  assert.equal(legend_size, 2);
  assert.deepEqual(
    nonzero(data.values.pro),
    expected('signup', 'general', ({ plan }) => plan === 'pro'),
  );
  const named = await ask('/properties', { ...params, values: '["free","none","pro","free"]', type: 'unique' });
  assert.deepEqual(Object.keys(named.data.values), ['free', 'none', 'pro']);
  assert.equal(total(named.data.values.none), 0);
  assert.deepEqual(Object.keys(named.data.values.none), named.data.series);
  assert.equal(total(named.data.values.free), 1);
  assert.deepEqual(Object.keys((await ask('/properties', { ...params, limit: 1 })).data.values), ['pro']);
  const numbers = await ask('/properties', { ...params, name: 'n', values: '[1,2]' });
  assert.deepEqual([total(numbers.data.values[1]), total(numbers.data.values[2])], [1, 1]);
  const csv = await request('/properties', { ...params, format: 'csv' });
  assert.equal(csv.text.split('\r\n')[0], 'date,pro,free');
});

test('properties/top: how many events have each, of one event or of all', async () => {
  const view = await ask('/properties/top', { event: 'view', limit: 1000 });
  assert.deepEqual(view.page, { count: 5 });
  assert.deepEqual(view.tags, { count: 2 });
  assert.deepEqual(view.nothing, { count: 1 }, 'null is a value');
  assert.deepEqual(view.n, { count: 1 });
  assert.equal(view.plan, undefined);
  const all = await ask('/properties/top', { limit: 1000 });
  assert.deepEqual(all.n, { count: 4 });
  assert.deepEqual(all.plan, { count: 4 });
  assert.ok(Object.keys(await ask('/properties/top', { event: 'view' })).length <= 10);
  assert.equal(Object.keys(await ask('/properties/top', { event: 'view', limit: 1 })).length, 1);
  assert.deepEqual(await ask('/properties/top', { event: 'nobody did this' }), {});
  const days = { from_date: dayOf(30), to_date: dayOf(29) };
  const dated = await ask('/properties/top', { event: 'signup', limit: 1000, ...days });
  assert.deepEqual(dated.plan, { count: 2 });
});

test('properties/values: texts, the most frequent first', async () => {
  assert.deepEqual(await ask('/properties/values', { event: 'view', name: 'page' }), ['/', '/a']);
  assert.deepEqual(await ask('/properties/values', { event: 'view', name: 'tags' }), ['x', 'y']);
  assert.deepEqual(await ask('/properties/values', { event: 'signup', name: 'n' }), ['1', '2']);
  assert.deepEqual(await ask('/properties/values', { event: 'view', name: 'page', limit: 1 }), ['/']);
  assert.deepEqual(await ask('/properties/values', { event: 'view', name: 'a "quoted" \\ name' }), []);
  assert.deepEqual(await ask('/properties/values', { event: 'signup', name: 'plan' }, '/api/query'), ['pro', 'free']);
});

test('a list of properties is right after events are deleted, too', async () => {
  const there = await World.start({ role: 'owner' });
  try {
    await there.send(there.event('e', { p: 1, distinct_id: 'gone' }), there.event('e', { q: 1, distinct_id: 'stays' }));
    const project_id = there.project.project_id;
    const headers = { Authorization: there.authorization, 'Content-Type': 'application/json' };
    const deletion = await there.server.request(`/api/app/data-deletions/v3.0?token=${there.token}`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ compliance_type: 'GDPR', distinct_ids: ['gone'] }),
    });
    assert.equal(deletion.status, 201, deletion.text);
    const answer = await there.server.request(
      `/api/2.0/events/properties/top?${query({ project_id, event: 'e', limit: 100 })}`,
      { headers },
    );
    assert.equal(answer.json().p, undefined, answer.text);
    assert.deepEqual(answer.json().q, { count: 1 });
  } finally {
    await there.end();
  }
});

test('questions that make no sense: 400, the request, and which parameter it was', async () => {
  const wrong = [
    ['', {}, /event/],
    ['', { event: '' }, /event/],
    ['', { event: '[]' }, /event/],
    ['', { event: '["a"' }, /event/],
    ['', { event: '[{}]' }, /event/],
    ['', { event: '["$custom_event:12"]' }, /event.*"12"/],
    ['', { event: JSON.stringify(Array.from({ length: 1001 }, (_, i) => `e${i}`)) }, /event/],
    ['', { event: 'a', from_date: undefined, to_date: undefined }, /from_date/],
    ['', { event: 'a', from_date: '2024-1-1x' }, /from_date/],
    ['', { event: 'a', to_date: '2013-02-30' }, /to_date/],
    ['', { event: 'a', from_date: '2024-01-02', to_date: '2024-01-01' }, /from_date/],
    ['', { event: 'a', unit: 'year' }, /unit/],
    ['', { event: 'a', type: 'x' }, /type/],
    ['', { event: 'a', format: 'x' }, /format/],
    ['', { event: 'a', interval: -1 }, /interval/],
    ['', { event: 'a', unit: 'minute', from_date: '1926-01-01', to_date: '2026-01-01' }, /bucket/],
    ['/top', { type: 'x' }, /type/],
    ['/top', { limit: 0 }, /limit/],
    ['/top', { limit: 1e9 }, /limit/],
    ['/names', { type: 'x' }, /type/],
    ['/names', { limit: 'x' }, /limit/],
    ['/names', { from_date: '2024-01-01', to_date: undefined }, /to_date/],
    ['/properties', { name: 'p' }, /event/],
    ['/properties', { event: 'a' }, /name/],
    ['/properties', { event: 'a', name: 'p', values: 'x' }, /values/],
    ['/properties', { event: 'a', name: 'p', values: '[]' }, /values/],
    ['/properties', { event: 'a', name: 'p', values: '[[1]]' }, /values/],
    ['/properties', { event: 'a', name: 'p', limit: 1e9 }, /limit/],
    ['/properties', { event: 'a', name: 'p', type: 'x' }, /type/],
    ['/properties/top', { limit: 0 }, /limit/],
    ['/properties/top', { event: '[1.5]' }, /event/],
    ['/properties/values', { event: 'a' }, /name/],
    ['/properties/values', { event: 'a', name: '' }, /name/],
    ['/properties/values', { event: 'a', name: 'p', limit: 1e9 }, /limit/],
    ['/properties/values', { event: 'a', name: 'p', from_date: 'x' }, /from_date/],
  ];
  for (const [path, params, text] of wrong) {
    const dated = path === '' || path === '/properties' ? { ...range, ...params } : params;
    const answer = await request(path, dated);
    assert.equal(answer.status, 400, `${path} ${JSON.stringify(params)}: ${answer.status} ${answer.text}`);
    assert.match(answer.json().request, /^\/api\/2\.0\/events/);
    assert.match(answer.json().error, text, JSON.stringify(params));
  }
  assert.equal((await ask('', { event: 'a', unit: 'day', ...range, nonsense: '[' })).legend_size, 1);
});

test("days are those of the project's zone, also where clocks change", async () => {
  const there = await World.start({
    timezone: 'Europe/Berlin',
    server: { args: ['--set', 'ingest.age_max=36500d'] },
  });
  try {
    const at = (text) => Date.parse(text) / 1000;
    // The last second of the 30th, and an hour apart around the change of the clocks.
    const times = ['2024-03-30T22:59:59Z', '2024-03-31T00:30:00Z', '2024-03-31T01:30:00Z', '2024-03-31T22:30:00Z'];
    await there.send(
      ...times.map((time) => there.event('spring', { time: at(time), distinct_id: 'u', hours: 1 })),
      there.event('other', { time: at(times[0]), distinct_id: 'u' }),
    );
    const days_around = { from_date: '2024-03-30', to_date: '2024-04-01' };
    const answer = async (path, params) => {
      const whole = query({ project_id: there.project.project_id, ...days_around, ...params });
      const headers = { Authorization: there.authorization };
      return (await there.server.request(`/api/2.0/events${path}?${whole}`, { headers })).json();
    };
    const days = await answer('', { event: '["spring","other"]', unit: 'day' });
    assert.deepEqual(days.data.values, {
      spring: { '2024-03-30': 1, '2024-03-31': 2, '2024-04-01': 1 },
      other: { '2024-03-30': 1, '2024-03-31': 0, '2024-04-01': 0 },
    });
    const hours = await answer('', { event: '["spring","other"]', unit: 'hour' });
    assert.equal(hours.data.series.length, 71);
    assert.equal(hours.data.values.spring['2024-03-31 03:00:00'], 1);
    const weeks = await answer('', { event: '["spring","other"]', unit: 'week', type: 'unique' });
    assert.deepEqual(weeks.data.values.spring, { '2024-03-25': 1, '2024-04-01': 1 });
    const top = await answer('/properties/top', { event: 'spring', to_date: '2024-03-31', limit: 100 });
    assert.deepEqual(top.hours, { count: 3 });
  } finally {
    await there.end();
  }
});
