// /segmentation/numeric, /sum, /average and /multiseg: shapes, numbers, and what they say to questions that make no
// sense. Expected numbers are written down here.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { day, freshName, query, World } from './harness.mjs';

let world;
const name = freshName('order');
// [price, plan, tags, who]
const orders = [
  [2000, 'pro', ['x', 'y'], 'a'],
  [2099.5, 'pro', ['x'], 'b'],
  [2100, 'free', [], 'a'],
  [3050, 'free', ['y'], 'c'],
  ['2000', 'pro', undefined, 'a'],
  [undefined, undefined, ['x'], 'b'],
];
before(async () => {
  world = await World.start();
  await world.send(
    ...orders.map(([price, plan, tags, distinct_id]) =>
      world.event(name, { price, plan, tags, distinct_id, sizes: [1, 5, 'big', 5.5] }),
    ),
  );
});
after(() => world?.end());

const request = (report, params, base = '/api/2.0') =>
  world.server.request(
    `${base}/segmentation/${report}?${query({
      project_id: world.project.project_id,
      event: name,
      from_date: day(-1),
      to_date: day(1),
      ...params,
    })}`,
    { headers: { Authorization: world.authorization } },
  );
const ask = async (report, params, base) => {
  const answer = await request(report, params, base);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};
const total = (buckets) => Object.values(buckets).reduce((a, b) => a + b, 0);
const totals = (values) => Object.fromEntries(Object.entries(values).map(([k, v]) => [k, total(v)]));

test('numeric: ranges of a nice width, the lower edge inside, the upper one outside, empty ones left out', async () => {
  const { data, legend_size } = await ask('numeric', { on: 'properties["price"]' });
  assert.deepEqual(totals(data.values), { '2,000 - 2,100': 2, '2,100 - 2,200': 1, '3,000 - 3,100': 1 });
  assert.deepEqual(Object.keys(data.values), ['2,000 - 2,100', '2,100 - 2,200', '3,000 - 3,100'], 'ascending');
  assert.equal(legend_size, 3);
  assert.equal(data.series.length, 3);
  for (const buckets of Object.values(data.values)) assert.equal(Object.keys(buckets).length, 1, 'sparse');
});

test('numeric: buckets, type, casts, lists, where', async () => {
  const values = async (params) => totals((await ask('numeric', params)).data.values);
  assert.deepEqual(await values({ on: 'properties["price"]', buckets: 2 }), { '2,000 - 3,000': 3, '3,000 - 4,000': 1 });
  assert.deepEqual(await values({ on: 'number(properties["price"])', buckets: 2 }), {
    '2,000 - 3,000': 4,
    '3,000 - 4,000': 1,
  });
  const unique = await values({ on: 'properties["price"]', buckets: 2, type: 'unique', unit: 'month' });
  assert.deepEqual(unique, { '2,000 - 3,000': 2, '3,000 - 4,000': 1 });
  assert.deepEqual(await values({ on: 'properties["sizes"]', buckets: 12 }), {
    '1 - 1.5': 6,
    '5 - 5.5': 6,
    '5.5 - 6': 6,
  });
  assert.deepEqual(await values({ on: 'properties["price"]', where: 'properties["plan"] == "free"' }), {
    '2,100 - 2,200': 1,
    '3,000 - 3,100': 1,
  });
  assert.deepEqual(await values({ on: 'properties["plan"]' }), {}, 'texts are no numbers');
  assert.deepEqual(await values({ event: 'nobody did this', on: 'properties["price"]' }), {});
  const csv = await request('numeric', { on: 'properties["price"]', buckets: 2, format: 'csv' });
  assert.match(csv.headers['content-type'], /^text\/csv/);
  assert.equal(csv.text.split('\r\n')[0], 'date,"2,000 - 3,000","3,000 - 4,000"');
});

test('sum and average: the documented shape and the other one at once', async () => {
  const sum = await ask('sum', { on: 'properties["price"]', unit: 'month' });
  assert.equal(sum.status, 'ok');
  assert.match(sum.computed_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/);
  assert.ok(Math.abs(Date.parse(sum.computed_at) - Date.now()) < 600_000);
  assert.equal(total(sum.results), 2000 + 2099.5 + 2100 + 3050);
  assert.deepEqual(sum.data.values, { [name]: sum.results });
  assert.deepEqual(Object.keys(sum.results), sum.data.series);
  assert.equal(sum.legend_size, 1);
  const average = await ask('average', { on: 'price', unit: 'week' });
  assert.equal(total(average.results), (2000 + 2099.5 + 2100 + 3050) / 4);
  assert.equal(total((await ask('sum', { on: 'properties["plan"]' })).results), 0, 'texts are no numbers');
  assert.equal(total((await ask('average', { on: 'properties["plan"]' })).results), 0);
  const filtered = await ask('sum', { on: 'number(properties["price"])', where: 'properties["plan"] == "pro"' });
  assert.equal(total(filtered.results), 2000 + 2099.5 + 2000);
  const hours = await ask('sum', { on: 'price', unit: 'hour' });
  assert.equal(hours.data.series.length, 72);
  const csv = await request('sum', { on: 'price', unit: 'month', format: 'csv' });
  assert.match(csv.text.split('\r\n')[0], /^date,/);
});

test('multiseg: every inner label under every outer one, both by number of events', async () => {
  const { data, legend_size } = await ask('multiseg', { outer: 'properties["plan"]', inner: 'properties["tags"]' });
  assert.deepEqual(Object.keys(data.values), ['pro', 'free', 'undefined']);
  for (const inner of Object.values(data.values)) {
    assert.deepEqual(Object.keys(inner), ['x', 'undefined', 'y']);
    for (const buckets of Object.values(inner)) assert.deepEqual(Object.keys(buckets), data.series);
  }
  assert.deepEqual(totals(data.values.pro), { x: 2, undefined: 1, y: 1 });
  assert.deepEqual(totals(data.values.free), { x: 0, undefined: 1, y: 1 });
  assert.deepEqual(totals(data.values.undefined), { x: 1, undefined: 0, y: 0 });
  assert.equal(legend_size, 3);
  const unique = await ask('multiseg', { outer: 'plan', inner: 'tags', type: 'unique', unit: 'month', limit: 1 });
  assert.deepEqual(Object.keys(unique.data.values), ['pro']);
  assert.deepEqual(totals(unique.data.values.pro), { x: 2 });
  assert.equal(unique.legend_size, 3);
  const csv = await request('multiseg', { outer: 'plan', inner: 'tags', limit: 2, format: 'csv' });
  assert.equal(csv.text.split('\r\n')[0], 'date,pro / x,pro / undefined,free / x,free / undefined');
});

test('multiseg: with an action, the inner numbers are added up by the outer label', async () => {
  const params = { outer: 'properties["plan"]', inner: 'number(properties["price"])', unit: 'month' };
  const sum = await ask('multiseg', { ...params, action: 'sum' });
  assert.deepEqual(totals(sum.data.values), { pro: 6099.5, free: 5150, undefined: 0 });
  const average = await ask('multiseg', { ...params, action: 'average' });
  assert.deepEqual(totals(average.data.values), { pro: 6099.5 / 3, free: 2575, undefined: 0 });
});

test('both bases, a slash at the end, GET and POST', async () => {
  const expected = await ask('numeric', { on: 'price' });
  assert.deepEqual(await ask('numeric/', { on: 'price' }), expected);
  assert.deepEqual(await ask('numeric', { on: 'price' }, '/api/query'), expected);
  const headers = { Authorization: world.authorization };
  const rest = { project_id: world.project.project_id, event: name, from_date: day(-1), to_date: day(1) };
  const form = await world.server.request(`/api/query/segmentation/numeric/?${query(rest)}`, {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: query({ on: 'price' }),
  });
  assert.deepEqual(form.json(), expected);
  const json = await world.server.request('/api/2.0/segmentation/numeric', {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...rest, on: 'price' }),
  });
  assert.deepEqual(json.json(), expected);
});

test('questions that make no sense: 400, the request, and which parameter it was', async () => {
  const wrong = [
    ['numeric', { on: undefined }, /\bon\b/],
    ['numeric', { on: '' }, /\bon\b/],
    ['numeric', { on: 'price', event: undefined }, /event/],
    ['numeric', { on: 'price', event: '$custom_event:5' }, /event.*"5"/],
    ['numeric', { on: 'properties[' }, /^on: /],
    ['numeric', { on: 'price', buckets: 1 }, /buckets/],
    ['numeric', { on: 'price', buckets: 1e9 }, /buckets/],
    ['numeric', { on: 'price', buckets: 'x' }, /buckets/],
    ['numeric', { on: 'price', type: 'x' }, /type/],
    ['numeric', { on: 'price', unit: 'x' }, /unit/],
    ['numeric', { on: 'price', format: 'x' }, /format/],
    ['numeric', { on: 'price', from_date: '1926-01-01', to_date: '2026-01-01', unit: 'minute' }, /bucket/],
    ['sum', { on: undefined }, /\bon\b/],
    ['sum', { on: ')' }, /^on: /],
    ['sum', { on: 'price', where: ')' }, /^where: /],
    ['sum', { on: 'price', from_date: 'x' }, /from_date/],
    ['average', { on: undefined }, /\bon\b/],
    ['average', { on: 'price', event: '' }, /event/],
    ['multiseg', { outer: 'plan' }, /inner/],
    ['multiseg', { inner: 'plan' }, /outer/],
    ['multiseg', { outer: ')', inner: 'plan' }, /^outer: /],
    ['multiseg', { outer: 'plan', inner: ')' }, /^inner: /],
    ['multiseg', { outer: 'plan', inner: ')', action: 'sum' }, /^inner: /],
    ['multiseg', { outer: ')', inner: 'plan', action: 'sum' }, /^outer: /],
    ['multiseg', { outer: 'plan', inner: 'tags', action: 'x' }, /action/],
    ['multiseg', { outer: 'plan', inner: 'tags', limit: 0 }, /limit/],
    ['multiseg', { outer: 'plan', inner: 'tags', limit: 1e9 }, /limit/],
  ];
  for (const [report, params, text] of wrong) {
    const answer = await request(report, params);
    assert.equal(answer.status, 400, `${report} ${JSON.stringify(params)}: ${answer.status} ${answer.text}`);
    assert.match(answer.json().request, new RegExp(`^/api/2\\.0/segmentation/${report}`));
    assert.match(answer.json().error, text, JSON.stringify(params));
  }
});

test('what is too much is bounded', async () => {
  const many = freshName('many');
  for (let from = 0; from < 6000; from += 2000)
    await world.send(
      ...Array.from({ length: 2000 }, (_, i) =>
        world.event(many, { v: `${from + i}`, w: `${i}`, distinct_id: `u${i % 7}` }),
      ),
    );
  const grid = { event: many, outer: 'v', inner: 'w' };
  const answer = await request('multiseg', { ...grid, limit: 10000, unit: 'hour' });
  assert.equal(answer.status, 400, 'a grid of many labels does not fit');
  assert.match(answer.json().error, /memory|larger/);
  const few = await ask('multiseg', { ...grid, limit: 20 });
  assert.equal(Object.keys(few.data.values).length, 20);
  assert.equal(few.legend_size, 6000);
  const regex = await request('numeric', {
    event: many,
    on: `len(regex_extract("${'a'.repeat(200)}b" + properties["v"], "(a+)+$"))`,
  });
  assert.ok(regex.status === 200 || regex.status === 400, regex.text);
});

test('paths and methods that there are not: JSON of the same shape', async () => {
  const headers = { Authorization: world.authorization };
  const missing = await world.server.request('/api/2.0/segmentation/none', { headers });
  assert.equal(missing.status, 404);
  assert.equal(missing.json().request, '/api/2.0/segmentation/none');
  assert.equal(typeof missing.json().error, 'string');
  const method = await world.server.request('/api/query/segmentation', { method: 'PUT', headers });
  assert.equal(method.status, 405);
  assert.equal(typeof method.json().error, 'string');
  assert.equal(method.json().request, '/api/query/segmentation');
});
