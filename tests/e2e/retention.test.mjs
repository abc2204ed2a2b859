// /retention and /retention/addiction over HTTP: the shapes of the answers, every parameter, all paths and forms of
// requests, and what is said to questions that make no sense. The rules of counting have tests of their own
// (tests/retention_test.c); here they are counted in the plainest way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { day, freshName, query, World } from './harness.mjs';

let world;
const hour = 3600;
const at = (date, seconds = 0) => Date.parse(`${date}T00:00:00Z`) / 1000 + seconds;
const names = { born: freshName(), back: freshName(), odd: freshName() };
const range = { from_date: '2024-03-04', to_date: '2024-03-05' }; // Monday, Tuesday

before(async () => {
  world = await World.start({ server: { args: ['--set', 'ingest.age_max=36500d'] } });
  const { born, back, odd } = names;
  const event = (name, distinct_id, time, properties) => world.event(name, { distinct_id, time, ...properties });
  await world.send(
    event(born, 'a', at('2024-03-04', 20 * hour), { plan: 'pro' }),
    event(born, 'b', at('2024-03-04', 1 * hour), { plan: 'free' }),
    event(born, 'c', at('2024-03-05', 1 * hour), { plan: 'pro' }),
    event(born, 'a', at('2024-03-05', 1 * hour)),
    event(back, 'a', at('2024-03-05', 19 * hour), { browser: 'Fox' }), // within 24 hours
    event(back, 'a', at('2024-03-05', 21 * hour), { browser: 'Owl' }), // within 48
    event(back, 'b', at('2024-03-06', 2 * hour), { browser: ['Fox', 'Owl'] }), // within 72
    event(back, 'c', at('2024-03-05', 2 * hour)),
    event(odd, 'c', at('2024-03-05', 2 * hour), { flag: 'maybe' }),
  );
});
after(() => world?.end());

const request = (path, params, { method = 'GET', base = '/api/2.0', headers, ...rest } = {}) =>
  world.server.request(`${base}${path}?${query({ project_id: world.project.project_id, ...params })}`, {
    method,
    headers: { Authorization: world.authorization, ...headers },
    ...rest,
  });
const ask = async (path, params, options) => {
  const answer = await request(path, params, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};
const retention = (params, options) =>
  ask('/retention', { ...range, born_event: names.born, event: names.back, ...params }, options);
const addiction = (params, options) =>
  ask('/retention/addiction', { ...range, event: names.back, unit: 'week', addiction_unit: 'day', ...params }, options);

test('cohorts and intervals', async () => {
  assert.deepEqual(await retention({ interval_count: 3 }), {
    '2024-03-04': { counts: [1, 1, 1], first: 2 },
    '2024-03-05': { counts: [1, 0, 0], first: 1 },
  });
  const text = (await request('/retention', { ...range, born_event: names.born, interval_count: 3 })).text;
  assert.match(text, /^\{"2024-03-04":\{"counts":\[1,1,1\],"first":2\},/, 'any event; counts come before first');
  assert.deepEqual(await retention(), {
    '2024-03-04': { counts: [1], first: 2 },
    '2024-03-05': { counts: [1], first: 1 },
  });
});

test('units, intervals of days, unbounded, compounded', async () => {
  assert.deepEqual(await retention({ unit: 'week', interval_count: 2 }), { '2024-03-04': { counts: [3, 0], first: 3 } });
  assert.deepEqual(await retention({ unit: 'month' }), { '2024-03-01': { counts: [3], first: 3 } });
  assert.deepEqual(await retention({ interval: 2, interval_count: 2 }), { '2024-03-04': { counts: [2, 1], first: 3 } });
  for (const unbounded_retention of ['true', 'True', '1', true])
    assert.deepEqual((await retention({ interval_count: 3, unbounded_retention }))['2024-03-04'].counts, [2, 2, 1]);
  assert.deepEqual((await retention({ interval_count: 3, unbounded_retention: 'false' }))['2024-03-04'].counts, [1, 1, 1]);
  assert.deepEqual(await retention({ retention_type: 'compounded', born_event: undefined, interval_count: 2 }), {
    '2024-03-04': { counts: [0, 0], first: 0 },
    '2024-03-05': { counts: [1, 0], first: 2 },
  });
});

test('where, born_where, on and limit', async () => {
  assert.deepEqual(await retention({ born_where: 'properties["plan"] == "pro"', interval_count: 2 }), {
    '2024-03-04': { counts: [1, 1], first: 1 },
    '2024-03-05': { counts: [1, 0], first: 1 },
  });
  assert.deepEqual((await retention({ where: '"Owl" in properties["browser"]', interval_count: 3 }))['2024-03-04'], {
    counts: [0, 1, 1],
    first: 2,
  });
  const split = await retention({ on: 'properties["browser"]', interval_count: 3 });
  assert.deepEqual(split['2024-03-04'], {
    $overall: { counts: [1, 1, 1], first: 2 },
    Fox: { counts: [1, 0, 1], first: 2 },
    Owl: { counts: [0, 1, 1], first: 2 },
    undefined: { counts: [0, 0, 0], first: 2 },
  });
  assert.deepEqual(Object.keys((await retention({ on: 'browser', limit: 1 }))['2024-03-05']), ['$overall', 'Fox']);
});

test('cohorts of today have one interval', async () => {
  const name = freshName();
  await world.send(world.event(name, { distinct_id: 'u' }));
  const answer = await retention({ born_event: name, event: name, from_date: day(-2), to_date: day(0), interval_count: 5 });
  const lengths = Object.values(answer).map(({ counts }) => counts.length);
  assert.deepEqual(lengths, [3, 2, 1]);
  const future = await retention({ born_event: name, from_date: day(3), to_date: day(3), interval_count: 5 });
  assert.deepEqual(future, { [day(3)]: { counts: [], first: 0 } });
});

test('frequency', async () => {
  assert.deepEqual(await addiction(), { data: { '2024-03-04': [2, 0, 0, 0, 0, 0, 0] } });
  const hours = await addiction({ unit: 'day', addiction_unit: 'hour' });
  assert.deepEqual(Object.keys(hours.data), ['2024-03-04', '2024-03-05']);
  assert.equal(hours.data['2024-03-05'].length, 24);
  assert.deepEqual(hours.data['2024-03-05'].slice(0, 3), [2, 1, 0]);
  assert.equal((await addiction({ addiction_unit: 'hour' })).data['2024-03-04'].length, 168);
  assert.equal((await addiction({ unit: 'month' })).data['2024-03-01'].length, 31);
  assert.equal((await addiction({ unit: 'day' })).data['2024-03-04'].length, 1);
  assert.deepEqual((await addiction({ event: undefined })).data['2024-03-04'].slice(0, 3), [3, 1, 0], 'any event');
  assert.deepEqual((await addiction({ on: 'browser', limit: 2 })).data['2024-03-04'], {
    $overall: [2, 0, 0, 0, 0, 0, 0],
    Fox: [1, 0, 0, 0, 0, 0, 0],
    Owl: [1, 0, 0, 0, 0, 0, 0],
  });
});

test('CSV', async () => {
  const csv = async (path, params) => {
    const answer = await request(path, { ...range, event: names.back, format: 'csv', ...params });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers['content-type'], /^text\/csv/);
    return answer.text;
  };
  assert.equal(
    await csv('/retention', { born_event: names.born, interval_count: 2 }),
    'date,first,0,1\r\n2024-03-04,2,1,1\r\n2024-03-05,1,1,0\r\n',
  );
  assert.equal(
    await csv('/retention', { born_event: names.born, on: 'browser', limit: 1, to_date: '2024-03-04' }),
    'date,value,first,0\r\n2024-03-04,$overall,2,1\r\n2024-03-04,Fox,2,1\r\n',
  );
  assert.equal(
    await csv('/retention/addiction', { unit: 'day', addiction_unit: 'day' }),
    'date,1\r\n2024-03-04,0\r\n2024-03-05,2\r\n',
  );
});

test('every path, with and without a slash, GET and POST', async () => {
  const params = { ...range, born_event: names.born, event: names.back, unit: 'week', addiction_unit: 'day' };
  for (const path of ['/retention', '/retention/addiction']) {
    const wanted = await ask(path, params);
    for (const base of ['/api/2.0', '/api/query', '']) {
      for (const slash of ['', '/']) {
        assert.deepEqual(await ask(path + slash, params, { base }), wanted, base + path + slash);
        const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
        assert.deepEqual(
          await ask(path + slash, {}, { base, method: 'POST', headers: form, body: query(params) }),
          wanted,
        );
        const json = { 'Content-Type': 'application/json' };
        assert.deepEqual(
          await ask(path + slash, {}, { base, method: 'POST', headers: json, body: JSON.stringify(params) }),
          wanted,
        );
      }
    }
  }
});

const refused = async (path, params, pattern) => {
  const answer = await request(path, params);
  assert.equal(answer.status, 400, `${JSON.stringify(params)}: ${answer.status} ${answer.text}`);
  const { request: target, error } = answer.json();
  assert.ok(target.startsWith('/api/2.0/retention'), target);
  assert.match(error, pattern, JSON.stringify(params));
};

test('bad parameters of both', async () => {
  const fine = { ...range, born_event: names.born, unit: 'week', addiction_unit: 'day' };
  for (const path of ['/retention', '/retention/addiction']) {
    for (const name of ['from_date', 'to_date']) {
      for (const value of [undefined, ''])
        await refused(path, { ...fine, [name]: value }, new RegExp(`${name} is required`));
      for (const value of ['x', '2024-13-01', '2024-02-30', '20240301', '0', '99999-01-01'])
        await refused(path, { ...fine, [name]: value }, new RegExp(`Error in ${name}: invalid date`));
    }
    await refused(path, { ...fine, from_date: '2024-03-06' }, /Error in from_date: it is later than to_date/);
    for (const limit of ['x', '0', '-1', '10001', '1e3', '1000000000', '1.5'])
      await refused(path, { ...fine, limit }, /Error in limit: invalid number/);
    await refused(path, { ...fine, format: 'xml' }, /Error in format/);
    for (const unit of ['hour', 'minute', 'year', 'Day', '1']) await refused(path, { ...fine, unit }, /Error in unit/);
    await refused(path, { ...fine, where: 'properties["a"] ==' }, /^where: /);
    await refused(path, { ...fine, where: 'regex_match(properties["a"], "(")' }, /^where: /);
    await refused(path, { ...fine, on: ')' }, /^on: /);
    await refused(path, { ...fine, event: names.odd, where: 'properties["flag"] and true' }, /^where: /);
    assert.equal((await request(path, { ...fine, project_id: 12345 })).status, 403);
    assert.equal((await request(path, fine, { headers: { Authorization: 'Basic eDp5' } })).status, 401);
  }
});

test('bad parameters of retention', async () => {
  const fine = { ...range, born_event: names.born };
  const bad = (params, pattern) => refused('/retention', { ...fine, ...params }, pattern);
  for (const born_event of [undefined, '']) await bad({ born_event }, /born_event is required/);
  await bad({ unit: 'day', interval: 1 }, /unit and interval both specified/);
  for (const interval of ['x', '0', '-1', '3651', '1e9', 'day']) await bad({ interval }, /Error in interval: /);
  for (const interval_count of ['x', '0', '-1', '10001', '1000000000', '2.5'])
    await bad({ interval_count }, /Error in interval_count: /);
  for (const retention_type of ['x', 'Birth', '0']) await bad({ retention_type }, /Error in retention_type: /);
  for (const unbounded_retention of ['x', '2', 'yes']) await bad({ unbounded_retention }, /Error in unbounded_retention: /);
  await bad({ born_where: 'properties["a"] ==' }, /^born_where: /);
  await bad({ born_event: names.odd, born_where: 'properties["flag"] or false' }, /^born_where: /);
  // absurd: nothing is promised but an answer
  const absurd = await request('/retention', { ...fine, from_date: '1900-01-01', to_date: '2099-12-31', interval_count: 10000 });
  assert.ok([200, 400].includes(absurd.status), String(absurd.status));
  if (absurd.status === 400) assert.match(absurd.json().error, /memory|larger than/);
  assert.deepEqual(await retention({ interval_count: 2, born_event: 'never sent' }), {
    '2024-03-04': { counts: [0, 0], first: 0 },
    '2024-03-05': { counts: [0, 0], first: 0 },
  });
});

test('bad parameters of frequency', async () => {
  const fine = { ...range, unit: 'week', addiction_unit: 'day' };
  const bad = (params, pattern) => refused('/retention/addiction', { ...fine, ...params }, pattern);
  for (const name of ['unit', 'addiction_unit'])
    for (const value of [undefined, '']) await bad({ [name]: value }, new RegExp(`^${name} is required`));
  for (const addiction_unit of ['week', 'x', 'Hour', '24']) await bad({ addiction_unit }, /Error in addiction_unit: /);
  await bad({ from_date: '1000-01-01', to_date: '9999-12-31', addiction_unit: 'hour' }, /buckets/);
});
