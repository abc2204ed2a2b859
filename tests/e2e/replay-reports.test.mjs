// What common tools ask of reports about ways and returns, of saved funnels and cohorts, of streams and exports, as their
// sources make it, and what each reads from the answer: one case per tool and kind of request (replay.mjs). Three people
// sign up, two of them buy, one comes back the day after.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { base64, basic, day, freshName, query } from './harness.mjs';
import { account, client, form, get, good, json, post, secret, Stage } from './replay.mjs';

const signup = freshName('signup');
const buy = freshName('buy');
const noon = Date.parse(`${day(-3)}T12:00:00Z`) / 1000;
const ways = [
  [signup, 'ann', 0],
  [signup, 'bob', 0],
  [signup, 'cy', 0],
  [buy, 'ann', 60],
  [buy, 'bob', 90],
  [buy, 'ann', 86400 + 60],
];
const dates = { from_date: day(-3), to_date: day(-2) };

let stage, world, funnel, cohort;
before(async () => {
  stage = await Stage.start();
  world = stage.world;
  await world.send(
    ...ways.map(([event, distinct_id, after], i) =>
      world.event(event, { distinct_id, time: noon + after, $insert_id: `way${i}`, plan: 'pro' }),
    ),
  );
  const people = ['ann', 'bob', 'cy'].map((id) => ({
    $token: world.token,
    $distinct_id: id,
    $set: { plan: id === 'cy' ? 'free' : 'pro' },
  }));
  const headers = { ...account({ authorization: world.authorization }), 'Content-Type': 'application/json' };
  await world.server.request('/engage?verbose=1', { method: 'POST', headers, body: JSON.stringify(people) });
  const save = async (what, body) => {
    const answer = await world.server.request(`/api/app/projects/${world.project.project_id}/${what}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    assert.equal(answer.status, 201, answer.text);
    return answer.json().results.id;
  };
  funnel = await save('funnels', { name: 'Sales', steps: [{ event: signup }, { event: buy }] });
  cohort = await save('cohorts', { name: 'Payers', where: 'properties["plan"] == "pro"' });
});
after(() => world?.end());

const q = (base, path, params) => `${base}${path}?${query(params)}`;
const bare = (c) => ({ Authorization: `Basic ${base64(c.secret)}` }); // without the colon
const twice = (c) => ({ Authorization: basic(`${c.secret}:${c.secret}`) });
const rows = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};

const funnelNames = (answer) => {
  assert.deepEqual(rows(answer), [{ funnel_id: funnel, name: 'Sales' }]);
};
// Every date of `meta.dates` is there, with steps that have what tools copy into tables.
const funnelSteps = (answer) => {
  const { meta, data } = rows(answer);
  assert.deepEqual(Object.keys(data).sort(), [...meta.dates].sort());
  const { steps, analysis } = data[dates.from_date];
  assert.deepEqual(
    steps.map(({ count, event, goal }) => [count, event, goal]),
    [
      [3, signup, signup],
      [2, buy, buy],
    ],
  );
  for (const step of steps)
    for (const name of ['avg_time', 'step_conv_ratio', 'overall_conv_ratio']) assert.ok(name in step, name);
  assert.deepEqual([analysis.starting_amount, analysis.completion, analysis.steps], [3, 2, 2]);
};
const cohortNames = (answer) => {
  const [one, ...others] = rows(answer);
  assert.deepEqual(others, []);
  assert.deepEqual([one.id, one.name, one.count, one.project_id], [cohort, 'Payers', 2, world.project.project_id]);
  assert.match(one.created, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
};
const members = (answer) => {
  assert.deepEqual(
    rows(answer)
      .results.map(({ $distinct_id }) => $distinct_id)
      .sort(),
    ['ann', 'bob'],
  );
};
const lines = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
const exported = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  const packed = answer.headers['content-encoding'] === 'gzip';
  const events = lines(packed ? gunzipSync(answer.body).toString() : answer.text);
  assert.equal(events.length, ways.length);
  for (const { event, properties } of events) {
    assert.ok(event === signup || event === buy);
    assert.ok(Number.isInteger(properties.time) && properties.time >= noon);
    assert.match(properties.$insert_id, /^way\d$/);
    assert.ok(properties.distinct_id && Number.isInteger(properties.mp_processing_time_ms));
  }
};
const retained = (answer) => {
  assert.equal(rows(answer)[dates.from_date].first, 3);
  assert.deepEqual(rows(answer)[dates.from_date].counts, [2, 1]);
};
const asksRetention = { ...dates, born_event: signup, event: buy, retention_type: 'birth', interval_count: 2 };

const table = [
  ...client('tap-mixpanel', good, [
    [
      'cohorts, and who is in them',
      (c) => get('/api/2.0/cohorts/list', bare(c)),
      {},
      cohortNames,
    ],
    [
      'cohort_members',
      (c) =>
        get(
          q('/api/2.0', '/engage', { filter_by_cohort: JSON.stringify({ id: cohort }), page_size: 250, page: 0 }),
          bare(c),
        ),
      {},
      members,
    ],
    ['funnels/list', (c) => get('/api/2.0/funnels/list', bare(c)), {}, funnelNames],
    [
      'funnels',
      (c) => get(q('/api/2.0', '/funnels', { ...dates, funnel_id: funnel, unit: 'day' }), bare(c)),
      {},
      funnelSteps,
    ],
    ['export', (c) => get(q('/api/2.0', '/export', dates), bare(c)), {}, exported],
  ]),
  ...client('Airbyte', good, [
    [
      'cohorts/list',
      (c) => post(`/api/2.0/cohorts/list?project_id=${c.project_id}`, '', account(c)),
      {},
      cohortNames,
    ],
    [
      'cohort_members',
      (c) =>
        form(
          '/api/2.0/engage',
          { filter_by_cohort: JSON.stringify({ id: cohort }), page_size: 1000, project_id: c.project_id },
          account(c),
        ),
      {},
      members,
    ],
    ['funnels/list', (c) => get(`/api/2.0/funnels/list?project_id=${c.project_id}`, account(c)), {}, funnelNames],
    [
      'funnels',
      (c) =>
        get(
          q('/api/2.0', '/funnels', { ...dates, funnel_id: funnel, unit: 'day', project_id: c.project_id }),
          account(c),
        ),
      {},
      funnelSteps,
    ],
    ['export', (c) => get(q('/api/2.0', '/export', { ...dates, project_id: c.project_id }), account(c)), {}, exported],
  ]),
  ...client('mixpanel-utils', good, [
    [
      'export, plain and packed',
      (c) =>
        [{}, { 'Accept-Encoding': 'gzip' }].map((more) =>
          get(q('/api/2.0', '/export', { ...dates, project_id: c.project_id, event: JSON.stringify([signup, buy]) }), {
            ...account(c),
            ...more,
          }),
        ),
      {},
      exported,
    ],
  ]),
  ...client('mixpanel_client', good, [
    ['funnels/list', (c) => get('/api/2.0/funnels/list?format=json', secret(c)), {}, funnelNames],
    [
      'funnels',
      (c) => get(q('/api/2.0', '/funnels', { ...dates, funnel_id: funnel, format: 'json' }), secret(c)),
      {},
      funnelSteps,
    ],
    [
      'retention',
      (c) => get(q('/api/2.0', '/retention', { ...asksRetention, unit: 'day', format: 'json' }), secret(c)),
      {},
      retained,
    ],
    [
      'export, whose lines it joins',
      (c) => get(q('/api/2.0', '/export', { ...dates, format: 'json' }), secret(c)),
      {},
      (answer) => {
        exported(answer);
        assert.equal(JSON.parse(`[${answer.text.split('\n').filter(Boolean).join(',')}]`).length, ways.length);
      },
    ],
    [
      'a funnel that there is not',
      (c) => get(q('/api/2.0', '/funnels', { ...dates, funnel_id: 999, format: 'json' }), secret(c)),
      {},
      (answer) => {
        assert.ok(answer.status >= 400 && answer.status < 500, answer.text);
        assert.equal(typeof answer.json().error, 'string');
      },
    ],
  ]),
  ...client('RMixpanel', good, [
    [
      'retention, read by position',
      (c) => get(q('/api/2.0', '/retention/', { ...asksRetention, unit: 'day' }), twice(c)),
      {},
      (answer) => {
        retained(answer);
        for (const cohortOfDay of Object.values(answer.json()))
          assert.deepEqual(Object.keys(cohortOfDay), ['counts', 'first']);
      },
    ],
    [
      'funnels by week, from the first day on',
      (c) => get(q('/api/2.0', '/funnels/', { ...dates, funnel_id: funnel, unit: 'week' }), twice(c)),
      {},
      (answer) => assert.deepEqual(answer.json().meta.dates, [dates.from_date]),
    ],
    [
      'addiction',
      (c) =>
        get(
          q('/api/2.0', '/retention/addiction/', { ...dates, unit: 'day', addiction_unit: 'hour', event: buy }),
          twice(c),
        ),
      {},
      (answer) => {
        const { data } = rows(answer);
        assert.equal(data[dates.from_date].length, 24);
        assert.deepEqual([data[dates.from_date][0], data[dates.to_date][0]], [2, 1]);
      },
    ],
  ]),
  ...client('mixpanel_data', good, [
    ['cohorts', (c) => json(`/api/query/cohorts/list?project_id=${c.project_id}`, {}, account(c)), {}, cohortNames],
    [
      'funnel',
      (c) =>
        get(
          q('/api/query', '/funnels', { ...dates, funnel_id: funnel, unit: 'day', project_id: c.project_id }),
          account(c),
        ),
      {},
      funnelSteps,
    ],
    [
      'retention',
      (c) => get(q('/api/query', '/retention', { ...asksRetention, unit: 'day', project_id: c.project_id }), account(c)),
      {},
      retained,
    ],
    [
      'frequency',
      (c) =>
        get(
          q('/api/query', '/retention/addiction', {
            ...dates,
            unit: 'week',
            addiction_unit: 'day',
            event: buy,
            project_id: c.project_id,
          }),
          account(c),
        ),
      {},
      (answer) => {
        const weeks = Object.values(rows(answer).data);
        assert.ok(weeks.every((list) => list.length === 7));
        assert.ok(weeks.flat().includes(1));
      },
    ],
    [
      'activity_feed',
      (c) =>
        get(
          q('/api/query', '/stream/query', { ...dates, distinct_ids: '["ann"]', project_id: c.project_id }),
          account(c),
        ),
      {},
      (answer) => {
        const { events } = rows(answer).results;
        assert.deepEqual(
          events.map(({ event, properties }) => [event, properties.time - noon, properties.distinct_id]),
          [
            [buy, 86460, 'ann'],
            [buy, 60, 'ann'],
            [signup, 0, 'ann'],
          ],
        );
      },
    ],
    ['export', (c) => get(q('', '/export', { ...dates, project_id: c.project_id }), account(c)), {}, exported],
  ]),
];

for (const [name, row] of table) test(`${name}: ${row[0]}`, () => stage.replay(row));
