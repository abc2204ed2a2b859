// /funnels: what the numbers are for people whose way is written down here, in every form of the question; and what it
// says to questions that make no sense.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { query, World } from './harness.mjs';

let world;
const hour = 3600;
const start = Math.floor(Date.now() / 86_400_000 - 30) * 86_400; // a midnight, UTC
const date = (n) => new Date((start + n * 86_400) * 1000).toISOString().slice(0, 10);

// Who does what at which hour. View > Cart > Buy within two days.
const ways = [
  ['anna', 'View', 1, { plan: 'pro' }],
  ['anna', 'Cart', 2, {}],
  ['anna', 'Buy', 4, {}],
  ['ben', 'View', 2, { plan: 'free' }],
  ['ben', 'Cart', 3, { items: 0 }],
  ['carl', 'View', 3, { plan: 'pro' }],
  ['carl', 'Cart', 26, {}],
  ['carl', 'Buy', 60, {}], // too late for two days
  ['dora', 'Cart', 1, {}], // never begins
  ['dora', 'Buy', 2, {}],
  ['anna', 'View', 30, { plan: 'pro' }], // begins again on the second day
  ['anna', 'Cart', 31, {}],
];

before(async () => {
  world = await World.start();
  const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
    body: ways
      .map(([who, event, at, properties], i) =>
        JSON.stringify({
          event,
          properties: { ...properties, time: start + at * hour, distinct_id: who, $insert_id: `way-${i}` },
        }),
      )
      .join('\n'),
  });
  assert.equal(answer.status, 200, answer.text);
});
after(() => world?.end());

let names = 0;
async function save(definition) {
  const answer = await world.server.request(`/api/app/projects/${world.project.project_id}/funnels`, {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      name: `funnel ${++names}`,
      steps: [{ event: 'View', name: 'Looked' }, { event: 'Cart' }, { event: 'Buy' }],
      window: { length: 2, unit: 'day' },
      ...definition,
    }),
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.json().results.id;
}
const get = (params, { base = '/api/2.0/funnels', ...rest } = {}) =>
  world.server.request(
    `${base}?${query({ project_id: world.project.project_id, from_date: date(0), to_date: date(2), ...params })}`,
    { headers: { Authorization: world.authorization }, ...rest },
  );
const ask = async (params, options) => {
  const answer = await get(params, options);
  assert.equal(answer.status, 200, answer.text.slice(0, 400));
  return answer.json();
};
const counts = (steps) => steps.map((step) => step.count);

test('each day is a funnel of its own, in the documented shape', async () => {
  const funnel_id = await save({});
  const answer = await ask({ funnel_id });
  assert.deepEqual(Object.keys(answer), ['meta', 'data']);
  assert.deepEqual(answer.meta.dates, [date(0), date(1), date(2)]);
  assert.deepEqual(Object.keys(answer.data), answer.meta.dates);
  const third = 1 / 3;
  assert.deepEqual(answer.data[date(0)], {
    steps: [
      {
        count: 3,
        avg_time: null,
        avg_time_from_start: null,
        step_conv_ratio: 1,
        goal: 'View',
        step_label: 'Looked',
        overall_conv_ratio: 1,
        event: 'View',
      },
      {
        count: 3,
        avg_time: 30_000,
        avg_time_from_start: 30_000,
        step_conv_ratio: 1,
        goal: 'Cart',
        overall_conv_ratio: 1,
        event: 'Cart',
      },
      {
        count: 1,
        avg_time: 2 * hour,
        avg_time_from_start: 3 * hour,
        step_conv_ratio: third,
        goal: 'Buy',
        overall_conv_ratio: third,
        event: 'Buy',
      },
    ],
    analysis: { completion: 1, starting_amount: 3, steps: 3, worst: 2 },
  });
  assert.deepEqual(counts(answer.data[date(1)].steps), [1, 1, 0]);
  assert.deepEqual(answer.data[date(1)].analysis, { completion: 0, starting_amount: 1, steps: 3, worst: 2 });
  assert.deepEqual(counts(answer.data[date(2)].steps), [0, 0, 0]);
  assert.deepEqual(
    answer.data[date(2)].steps.map((step) => [step.avg_time, step.step_conv_ratio, step.overall_conv_ratio]),
    [
      [null, 1, 1],
      [null, 0, 0],
      [null, 0, 0],
    ],
  );
  for (const base of ['/api/query/funnels', '/api/query/funnels/', '/api/2.0/funnels/'])
    assert.deepEqual(await ask({ funnel_id }, { base }), answer);
  const posted = await world.server.request('/api/2.0/funnels', {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-www-form-urlencoded' },
    body: query({ project_id: world.project.project_id, from_date: date(0), to_date: date(2), funnel_id }),
  });
  assert.deepEqual(posted.json(), answer);
});

test('buckets: days, weeks from the first day on, months', async () => {
  const funnel_id = await save({});
  assert.deepEqual((await ask({ funnel_id, interval: 3 })).meta.dates, [date(0)]);
  assert.deepEqual(counts((await ask({ funnel_id, interval: 3 })).data[date(0)].steps), [3, 3, 1]);
  assert.deepEqual((await ask({ funnel_id, unit: 'week', to_date: date(8) })).meta.dates, [date(0), date(7)]);
  assert.deepEqual((await ask({ funnel_id, unit: 'month', to_date: date(0) })).meta.dates, [
    `${date(0).slice(0, 7)}-01`,
  ]);
  assert.deepEqual((await ask({ funnel_id, unit: 'week', interval: 1 })).meta.dates.length, 3, 'interval counts');
});

test('another window, a filter for all steps, filters of steps', async () => {
  const funnel_id = await save({});
  const first = async (params) => counts((await ask({ funnel_id, ...params })).data[date(0)].steps);
  assert.deepEqual(await first({ length: 3 }), [3, 3, 2]);
  assert.deepEqual(await first({ length: 23, length_unit: 'hour' }), [3, 3, 1]);
  assert.deepEqual(await first({ length: 22, length_unit: 'hour' }), [3, 2, 1]);
  assert.deepEqual(await first({ length: 60, length_unit: 'minute' }), [3, 2, 0]);
  assert.deepEqual(await first({ length: 1, length_unit: 'second' }), [3, 0, 0]);
  assert.deepEqual(await first({ where: 'properties["$insert_id"] != "way-1"' }), [3, 3, 0]);
  assert.deepEqual(await first({ where: 'not defined(properties["items"])' }), [3, 2, 1]);
  const narrow = await save({
    steps: [{ event: 'View', where: 'properties["plan"] == "pro"' }, { events: ['Cart', 'Wish'] }],
  });
  const answer = (await ask({ funnel_id: narrow })).data[date(0)].steps;
  assert.deepEqual(counts(answer), [2, 2]);
  assert.equal(answer[0].selector, 'properties["plan"] == "pro"');
  assert.equal(answer[1].goal, 'Cart, Wish');
});

test('what else a funnel can have', async () => {
  const first = async (definition) =>
    counts((await ask({ funnel_id: await save(definition) })).data[date(0)].steps);
  assert.deepEqual(await first({ exclusions: [{ event: 'Cart', from_step: 1, to_step: 3 }] }), [3, 3, 1]);
  assert.deepEqual(
    await first({
      steps: [{ event: 'View' }, { event: 'Buy' }],
      exclusions: [{ event: 'Cart' }],
    }),
    [3, 0],
  );
  assert.deepEqual(
    await first({ steps: [{ event: 'View', anchored: true }, { event: 'Buy' }, { event: 'Cart' }], order: 'any' }),
    [3, 3, 1],
  );
  assert.deepEqual(await first({ steps: [{ event: 'Buy' }, { event: 'Cart' }] }), [2, 1]);
});

test('profiles of users and groups in the expressions', async () => {
  const people = Object.entries({ anna: 'paris', ben: 'rome', carl: 'paris' });
  for (const [target, messages] of [
    ['/engage', people.map(([id, city]) => ({ $token: world.token, $distinct_id: id, $set: { city } }))],
    [
      '/groups',
      ['pro', 'free'].map((plan) => ({
        $token: world.token,
        $group_key: 'plan',
        $group_id: plan,
        $set: { price: plan === 'pro' ? 10 : 0 },
      })),
    ],
  ]) {
    const answer = await world.server.request(`${target}?strict=1`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(messages),
    });
    assert.equal(answer.status, 200, answer.text);
  }
  const steps = (where) => [{ event: 'View', where }, { event: 'Cart' }];
  const first = async (where, params = {}) =>
    (await ask({ funnel_id: await save({ steps: steps(where) }), ...params })).data[date(0)];
  assert.deepEqual(counts((await first('user["city"] == "paris"')).steps), [2, 2]);
  assert.deepEqual(counts((await first('properties["plan"]["price"] > 5')).steps), [2, 2]);
  const split = await first(undefined, { on: 'user["city"]' });
  assert.deepEqual([counts(split.paris), counts(split.rome)], [[2, 2], [1, 1]]);
});

test('split by a property', async () => {
  const funnel_id = await save({});
  const answer = await ask({ funnel_id, on: 'properties["plan"]' });
  assert.deepEqual(Object.keys(answer.data[date(0)]).sort(), ['$overall', 'free', 'pro']);
  assert.deepEqual(counts(answer.data[date(0)].$overall), [3, 3, 1]);
  assert.deepEqual(counts(answer.data[date(0)].pro), [2, 2, 1]);
  assert.deepEqual(counts(answer.data[date(0)].free), [1, 1, 0]);
  assert.deepEqual(await ask({ funnel_id, on: 'plan' }), answer, 'a bare word is a property');
  assert.deepEqual(Object.keys((await ask({ funnel_id, on: 'plan', limit: 1 })).data[date(0)]), ['$overall', 'pro']);
  // A value of that name cannot stand beside all of them.
  const clash = await get({ funnel_id, on: '"$overall"', to_date: date(0) });
  assert.equal(clash.text.match(/"\$overall":/g).length, 1, clash.text);
  assert.deepEqual(counts(clash.json().data[date(0)].$overall), [3, 3, 1]);
});

test('as CSV', async () => {
  const funnel_id = await save({});
  const answer = await get({ funnel_id, format: 'csv', to_date: date(0) });
  assert.match(answer.headers['content-type'], /^text\/csv/);
  assert.equal(
    answer.text,
    'date,step,event,count,avg_time,avg_time_from_start,step_conv_ratio,overall_conv_ratio\r\n' +
      `${date(0)},1,View,3,,,1,1\r\n${date(0)},2,Cart,3,30000,30000,1,1\r\n` +
      `${date(0)},3,Buy,1,7200,10800,0.3333333333333333,0.3333333333333333\r\n`,
  );
  const split = (await get({ funnel_id, format: 'csv', to_date: date(0), on: 'plan' })).text.split('\r\n');
  assert.equal(split[0].split(',')[1], 'segment');
  assert.equal(split.length, 1 + 3 * 3 + 1);
});

test('what makes no sense is refused, by name', async () => {
  const funnel_id = await save({});
  const cases = [
    [{}, /funnel_id is required/],
    [{ funnel_id: '' }, /funnel_id is required/],
    [{ funnel_id: 'x' }, /Error in funnel_id/],
    [{ funnel_id: 0 }, /Error in funnel_id/],
    [{ funnel_id: 99999 }, /Error in funnel_id: the project has no funnel 99999/],
    [{ funnel_id, from_date: undefined }, /from_date is required/],
    [{ funnel_id, to_date: 'soon' }, /Error in to_date/],
    [{ funnel_id, from_date: date(2), to_date: date(1) }, /from_date/],
    [{ funnel_id, from_date: '1900-01-01', to_date: '2199-01-01' }, /./],
    [{ funnel_id, length: 0 }, /Error in length/],
    [{ funnel_id, length: 91 }, /Error in length.*1 to 90/],
    [{ funnel_id, length: 2161, length_unit: 'hour' }, /Error in length/],
    [{ funnel_id, length: '1e9' }, /Error in length/],
    [{ funnel_id, length: 1, length_unit: 'year' }, /Error in length_unit/],
    [{ funnel_id, interval: 0 }, /Error in interval/],
    [{ funnel_id, unit: 'minute' }, /Error in unit/],
    [{ funnel_id, limit: 10001 }, /Error in limit/],
    [{ funnel_id, limit: -1 }, /Error in limit/],
    [{ funnel_id, format: 'xml' }, /Error in format/],
    [{ funnel_id, where: '1 +' }, /where.*position/],
    [{ funnel_id, on: 'properties[' }, /on.*position/],
  ];
  for (const [params, text] of cases) {
    const answer = await get(params);
    assert.equal(answer.status, 400, `${JSON.stringify(params)}: ${answer.text.slice(0, 300)}`);
    assert.match(answer.json().error, text);
    assert.ok(answer.json().request.startsWith('/api/2.0/funnels'));
  }
  assert.equal((await get({ funnel_id }, { headers: {} })).status, 401);
});
