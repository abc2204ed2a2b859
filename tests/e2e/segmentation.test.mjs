// /segmentation: buckets, types, splits, filters and formats, in UTC and in zones whose days are not UTC's; and
// what it says to questions that make no sense. Expected numbers are written down or counted here in the plainest
// way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { day, freshName, query, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start();
});
after(() => world?.end());

const hour = 3600;
const now = Math.floor(Date.now() / 1000);
const ask = async (params) => {
  const answer = await world.segmentation(params);
  assert.equal(answer.status, 200, answer.text);
  return answer.json();
};
const sum = (buckets) => Object.values(buckets).reduce((a, b) => a + b, 0);
const utc = (seconds) => new Date(seconds * 1000).toISOString();
const dayOf = (seconds) => utc(seconds).slice(0, 10);
const hourOf = (seconds) => `${utc(seconds).slice(0, 13).replace('T', ' ')}:00:00`;
const minuteOf = (seconds) => `${utc(seconds).slice(0, 16).replace('T', ' ')}:00`;
const monthOf = (seconds) => `${utc(seconds).slice(0, 7)}-01`;
const weekOf = (seconds) => {
  const date = new Date(`${dayOf(seconds)}T00:00:00Z`);
  return dayOf(date / 1000 - ((date.getUTCDay() + 6) % 7) * 86400);
};
function tally(times, bucketOf) {
  const counts = {};
  for (const time of times) counts[bucketOf(time)] = (counts[bucketOf(time)] ?? 0) + 1;
  return counts;
}
const nonzero = (buckets) => Object.fromEntries(Object.entries(buckets).filter(([, n]) => n !== 0));

test('units: minute, hour, day, week, month', async () => {
  const name = freshName();
  const times = [0, 30, 61, 3700, 7300, 30 * hour, 31 * hour, 55 * hour, 80 * hour].map((ago) => now - ago);
  await world.send(...times.map((time) => world.event(name, { time, distinct_id: 'u' })));
  const from_date = day(-5),
    to_date = day(0);
  for (const [unit, bucketOf] of Object.entries({
    minute: minuteOf,
    hour: hourOf,
    day: dayOf,
    week: weekOf,
    month: monthOf,
  })) {
    const { data, legend_size } = await ask({ event: name, unit, from_date, to_date });
    assert.equal(legend_size, 1);
    assert.deepEqual(Object.keys(data.values), [name]);
    assert.deepEqual(nonzero(data.values[name]), tally(times, bucketOf), unit);
    assert.deepEqual(data.series, [...data.series].sort(), 'the series ascends');
    assert.deepEqual(Object.keys(data.values[name]).sort(), data.series, 'zeros are there');
  }
  const days = (await ask({ event: name, from_date, to_date })).data.series;
  assert.deepEqual(
    days,
    [-5, -4, -3, -2, -1, 0].map((n) => day(n)),
    'day is the default, both ends included',
  );
  const hours = (await ask({ event: name, unit: 'hour', from_date: day(-1), to_date: day(-1) })).data.series;
  assert.equal(hours.length, 24);
  assert.equal(hours[0], `${day(-1)} 00:00:00`);
  assert.equal(
    (await ask({ event: name, unit: 'minute', from_date: day(-1), to_date: day(-1) })).data.series.length,
    1440,
  );
});

test('weeks begin on Monday, months on the first', async () => {
  const { data } = await ask({ event: 'none', unit: 'week', from_date: '2024-02-28', to_date: '2024-03-12' });
  assert.deepEqual(data.series, ['2024-02-26', '2024-03-04', '2024-03-11']);
  const months = await ask({ event: 'none', unit: 'month', from_date: '2023-12-31', to_date: '2024-03-01' });
  assert.deepEqual(months.data.series, ['2023-12-01', '2024-01-01', '2024-02-01', '2024-03-01']);
  assert.deepEqual((await ask({ event: 'none', from_date: '2024-02-28', to_date: '2024-03-01' })).data.series, [
    '2024-02-28',
    '2024-02-29',
    '2024-03-01',
  ]);
});

test('interval: the last units, the current one included; with dates, days of a bucket', async () => {
  const none = { from_date: undefined, to_date: undefined };
  assert.deepEqual((await ask({ event: 'none', ...none, interval: 3 })).data.series.length, 3);
  const days = (await ask({ event: 'none', ...none, interval: 3, unit: 'day' })).data.series;
  assert.ok((days[2] === day(0) && days[0] === day(-2)) || days[2] === day(1), JSON.stringify(days));
  assert.equal((await ask({ event: 'none', ...none, interval: 24, unit: 'hour' })).data.series.length, 24);
  assert.equal((await ask({ event: 'none', ...none, interval: 2, unit: 'month' })).data.series.length, 2);
  const january = { event: 'none', from_date: '2024-01-01', to_date: '2024-01-06' };
  assert.equal((await ask({ ...january, interval: 30, unit: 'day' })).data.series.length, 6);
  const pairs = (await ask({ ...january, interval: 2 })).data.series;
  assert.deepEqual(pairs, ['2024-01-01', '2024-01-03', '2024-01-05'], 'with dates and no unit: days of a bucket');
});

test('types: all events, people, and their quotient', async () => {
  const name = freshName();
  const at = now - 30 * hour; // all in one hour yesterday or the day before
  await world.send(
    ...['a', 'a', 'a', 'b', 'b', 'c', ''].map((distinct_id) => world.event(name, { distinct_id, time: at })),
  );
  const value = async (type) =>
    (await ask({ event: name, type, from_date: day(-3), to_date: day(0) })).data.values[name][dayOf(at)];
  assert.equal(await value('general'), 7);
  assert.equal(await value(undefined), 7, 'general is the default');
  assert.equal(await value('unique'), 3);
  const average = await value('average');
  assert.ok(Math.abs(average - 7 / 3) < 1e-9 || Math.abs(average - 2) < 1e-9, `average ${average}`);
});

test('people of a week or month are counted once in it', async () => {
  const name = freshName();
  const times = [now - 50 * hour, now - 26 * hour, now - 2 * hour];
  await world.send(
    ...times.map((time) => world.event(name, { distinct_id: 'u', time })),
    world.event(name, { distinct_id: 'v', time: times[0] }),
  );
  const range = { event: name, type: 'unique', from_date: day(-5), to_date: day(0) };
  const expected = (bucketOf) => {
    const people = {};
    for (const [time, who] of [...times.map((t) => [t, 'u']), [times[0], 'v']])
      (people[bucketOf(time)] ??= new Set()).add(who);
    return Object.fromEntries(Object.entries(people).map(([bucket, set]) => [bucket, set.size]));
  };
  for (const [unit, bucketOf] of Object.entries({ hour: hourOf, day: dayOf, week: weekOf, month: monthOf }))
    assert.deepEqual(nonzero((await ask({ ...range, unit })).data.values[name]), expected(bucketOf), unit);
});

test('on: one label for each value, of every type', async () => {
  const name = freshName();
  const values = [
    'red',
    'red',
    'blue',
    5,
    '5',
    2.5,
    true,
    false,
    null,
    undefined,
    ['x', 'y'],
    ['x'],
    '',
    'üñ "quoted"',
  ];
  await world.send(...values.map((v) => world.event(name, { v, distinct_id: 'u' })));
  const totals = await world.totals({ event: name, on: 'properties["v"]' });
  assert.equal(totals.red, 2);
  assert.equal(totals.blue, 1);
  assert.equal(totals['2.5'], 1);
  assert.equal(totals.true, 1);
  assert.equal(totals.false, 1);
  assert.equal(totals.undefined, 1);
  assert.equal(totals.null, 1);
  assert.equal(totals.x, 2, 'a list counts in each of its elements');
  assert.equal(totals.y, 1);
  assert.equal(totals[''], 1);
  assert.equal(totals['üñ "quoted"'], 1);
  assert.equal(totals['5'], 2, 'a number and a text that look alike share a label');
  assert.deepEqual(await world.totals({ event: name, on: 'v' }), totals, 'a bare name is a property');
  assert.deepEqual(await world.totals({ event: name, on: 'event["v"]' }), totals);
  const { legend_size, data } = await ask({ event: name, on: 'properties["v"]' });
  assert.equal(legend_size, Object.keys(data.values).length);
  for (const buckets of Object.values(data.values)) assert.deepEqual(Object.keys(buckets).sort(), data.series);
});

test('on: expressions', async () => {
  const name = freshName();
  await world.send(...[1, 2, 3, 4, 5].map((n) => world.event(name, { n, s: `item-${n}`, distinct_id: 'u' })));
  assert.deepEqual(await world.totals({ event: name, on: 'properties["n"] % 2' }), { 0: 2, 1: 3 });
  assert.deepEqual(await world.totals({ event: name, on: 'properties["n"] > 2' }), { true: 3, false: 2 });
  assert.deepEqual(await world.totals({ event: name, on: 'left(properties["s"], 4)' }), { item: 5 });
  assert.deepEqual(await world.totals({ event: name, on: 'if(properties["n"] >= 4, "high", "low")' }), {
    high: 2,
    low: 3,
  });
  assert.deepEqual(await world.totals({ event: name, on: 'string(properties["missing"], "none")' }), { none: 5 });
  assert.deepEqual(await world.totals({ event: name, on: 'properties["$event_name"]' }), { [name]: 5 });
});

test('on with people: a person counts in each value', async () => {
  const name = freshName();
  await world.send(
    ...[
      ['a', 'x'],
      ['a', 'y'],
      ['b', 'x'],
      ['b', 'x'],
    ].map(([distinct_id, v]) => world.event(name, { distinct_id, v })),
  );
  const { data } = await ask({ event: name, on: 'properties["v"]', type: 'unique', unit: 'month' });
  assert.equal(sum(data.values.x), 2);
  assert.equal(sum(data.values.y), 1);
});

test('on=undefined, as a known runner sends it, is a property nobody has', async () => {
  const name = freshName();
  await world.send(world.event(name, { distinct_id: 'u' }));
  const { data } = await ask({ event: name, on: 'undefined' });
  assert.deepEqual(Object.keys(data.values), ['undefined']);
  assert.equal(sum(data.values.undefined), 1);
  assert.equal((await world.segmentation({ event: name, on: '' })).status, 200);
});

test('where', async () => {
  const name = freshName();
  await world.send(
    ...[
      ['pro', 10],
      ['pro', 20],
      ['free', 30],
      [undefined, 40],
    ].map(([plan, price]) => world.event(name, { plan, price, distinct_id: 'u', tags: plan ? [plan] : [] })),
  );
  const count = (where) => world.count(name, { where });
  assert.equal(await count('properties["plan"] == "pro"'), 2);
  assert.equal(await count('properties["plan"] != "pro"'), 2);
  assert.equal(await count('properties["price"] >= 20 and properties["price"] < 40'), 2);
  assert.equal(await count('not defined(properties["plan"])'), 1);
  assert.equal(await count('not defined (properties["plan"])'), 1);
  assert.equal(await count('properties["price"] in [10, 40]'), 2);
  assert.equal(await count('"pr" in properties["plan"]'), 2);
  assert.equal(await count('"free" in properties["tags"]'), 1);
  assert.equal(await count('has_prefix(properties["plan"], "PR")'), 2);
  assert.equal(
    await count('(properties["plan"] == "pro" AND properties["price"] == 10) OR properties["price"] == 40'),
    2,
  );
  assert.equal(await count('properties["$time"] >= datetime("2024-01-01T00:00:00")'), 4);
  assert.equal(await count(`event["$time"] < datetime("${day(-3)}")`), 0);
  assert.equal(await count('properties["price"] / 0 == 1'), 0);
  assert.equal(await count('any(X, properties["tags"], X = "pro")'), 2);
  assert.deepEqual(await world.totals({ event: name, where: 'properties["price"] > 15', on: 'properties["plan"]' }), {
    pro: 1,
    free: 1,
    undefined: 1,
  });
  assert.equal(await world.uniques(name, { where: 'properties["price"] > 15' }), 1);
});

test('limit: the most frequent values, legend_size counts all', async () => {
  const name = freshName();
  const events = [];
  for (let value = 1; value <= 70; value++)
    for (let n = 0; n < (value % 10) + 1; n++) events.push(world.event(name, { value: `v${value}` }));
  await world.send(...events);
  const few = await ask({ event: name, on: 'properties["value"]', limit: 7 });
  assert.equal(Object.keys(few.data.values).length, 7);
  assert.ok(Object.values(few.data.values).every((buckets) => sum(buckets) === 10));
  assert.equal(few.legend_size, 70);
  assert.equal(
    Object.keys((await ask({ event: name, on: 'properties["value"]' })).data.values).length,
    60,
    '60 without a limit',
  );
  assert.equal(
    Object.keys((await ask({ event: name, on: 'properties["value"]', limit: 10000 })).data.values).length,
    70,
  );
  const sums = Object.values((await ask({ event: name, on: 'properties["value"]', limit: 60 })).data.values).map(sum);
  assert.deepEqual(
    sums,
    [...sums].sort((a, b) => b - a),
    'most frequent first',
  );
  assert.equal(await world.count(name, { limit: 1 }), events.length, 'without `on` the limit does nothing');
});

test('format=csv', async () => {
  const name = freshName();
  await world.send(world.event(name, { v: 'a' }), world.event(name, { v: 'a' }), world.event(name, { v: 'b,"c"' }));
  const answer = await world.segmentation({
    event: name,
    on: 'properties["v"]',
    format: 'csv',
    from_date: day(0),
    to_date: day(0),
  });
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/csv/);
  const lines = answer.text.trimEnd().split(/\r?\n/);
  assert.equal(lines[0], 'date,a,"b,""c"""');
  assert.equal(lines.length, 2);
  assert.ok([`${day(0)},2,1`, `${day(0)},0,0`].includes(lines[1]), lines[1]); // the second: midnight passed
});

test('answers are compressed for those who ask, and the same', async () => {
  const params = { event: 'none', unit: 'hour', from_date: '2024-01-01', to_date: '2024-02-01' };
  const plain = await world.segmentation(params);
  const packed = await world.segmentation(params, {
    headers: { Authorization: world.authorization, 'Accept-Encoding': 'gzip' },
  });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  assert.equal(gunzipSync(packed.body).toString(), plain.text);
  assert.equal(plain.headers['content-encoding'], undefined);
});

test("days are those of the project's zone", async () => {
  for (const timezone of ['Pacific/Auckland', 'America/Los_Angeles', 'Asia/Kolkata']) {
    const there = await World.start({ timezone });
    try {
      assert.equal(there.project.timezone, timezone);
      const name = freshName();
      const times = Array.from({ length: 30 }, (_, n) => now - n * 2 * hour - 60);
      await there.send(...times.map((time) => there.event(name, { time, distinct_id: 'u' })));
      const local = (seconds, options) =>
        new Intl.DateTimeFormat('en-CA', {
          timeZone: timezone,
          hourCycle: 'h23',
          year: 'numeric',
          month: '2-digit',
          day: '2-digit',
          ...options,
        }).format(new Date(seconds * 1000));
      const range = { event: name, from_date: day(-4, timezone), to_date: day(0, timezone) };
      const days = (await there.segmentation(range)).json().data.values[name];
      assert.deepEqual(
        nonzero(days),
        tally(times, (t) => local(t)),
        timezone,
      );
      const hours = (await there.segmentation({ ...range, unit: 'hour' })).json().data.values[name];
      assert.deepEqual(
        nonzero(hours),
        tally(times, (t) => `${local(t, { hour: '2-digit' }).replace(', ', ' ')}:00:00`),
        timezone,
      );
    } finally {
      await there.end();
    }
  }
});

test('days with 23 and 25 hours', async () => {
  const there = await World.start({
    timezone: 'Europe/Berlin',
    server: { args: ['--set', 'ingest.age_max=36500d'] },
  });
  try {
    const name = freshName();
    const at = (text) => Date.parse(text) / 1000;
    // Four instants an hour apart around each change of the clocks, and the last second of each of the two days.
    const spring = ['00:30', '01:30', '02:30']
      .map((time) => at(`2024-03-31T${time}:00Z`))
      .concat(at('2024-03-31T21:59:59Z'));
    const autumn = ['00:30', '01:30', '02:30']
      .map((time) => at(`2024-10-27T${time}:00Z`))
      .concat(at('2024-10-27T22:59:59Z'));
    await there.send(...[...spring, ...autumn].map((time, n) => there.event(name, { time, distinct_id: `u${n}` })));
    const values = async (unit, from_date, to_date = from_date, type = 'general') =>
      (await there.segmentation({ event: name, unit, from_date, to_date, type })).json().data;

    const hours = await values('hour', '2024-03-31');
    assert.equal(hours.series.length, 23);
    assert.ok(!hours.series.includes('2024-03-31 02:00:00'), 'the hour that did not happen');
    assert.deepEqual(nonzero(hours.values[name]), {
      '2024-03-31 01:00:00': 1,
      '2024-03-31 03:00:00': 1,
      '2024-03-31 04:00:00': 1,
      '2024-03-31 23:00:00': 1,
    });
    const twice = await values('hour', '2024-10-27');
    assert.equal(new Set(twice.series).size, 24, 'the hour that happened twice has one name');
    assert.deepEqual(nonzero(twice.values[name]), {
      '2024-10-27 02:00:00': 2,
      '2024-10-27 03:00:00': 1,
      '2024-10-27 23:00:00': 1,
    });

    assert.deepEqual((await values('day', '2024-03-30', '2024-04-01')).values[name], {
      '2024-03-30': 0,
      '2024-03-31': 4,
      '2024-04-01': 0,
    });
    assert.deepEqual((await values('day', '2024-10-26', '2024-10-28')).values[name], {
      '2024-10-26': 0,
      '2024-10-27': 4,
      '2024-10-28': 0,
    });
    assert.deepEqual(nonzero((await values('week', '2024-03-01', '2024-12-01', 'unique')).values[name]), {
      '2024-03-25': 4,
      '2024-10-21': 4,
    });
    const months = await values('month', '2024-01-01', '2024-12-31');
    assert.equal(months.series.length, 12);
    assert.deepEqual(nonzero(months.values[name]), { '2024-03-01': 4, '2024-10-01': 4 });
    assert.equal(new Set((await values('day', '2024-01-01', '2024-12-31')).series).size, 366);
  } finally {
    await there.end();
  }
});

test('POST: parameters from a form, from JSON, and from the URL beside them', async () => {
  const name = freshName();
  await world.send(world.event(name));
  const rest = { project_id: world.project.project_id, from_date: day(-1), to_date: day(1) };
  const post = (target, type, body) =>
    world.server.request(target, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': type },
      body,
    });
  const form = 'application/x-www-form-urlencoded';
  for (const answer of [
    await post('/api/query/segmentation', form, query({ event: name, ...rest })),
    await post(`/api/query/segmentation?${query(rest)}`, form, query({ event: name })),
    await post('/api/2.0/segmentation', 'application/json', JSON.stringify({ event: name, ...rest })),
    await post(`/api/2.0/segmentation?${query({ event: name, ...rest })}`, form, ''),
  ]) {
    assert.equal(answer.status, 200, answer.text);
    assert.equal(sum(answer.json().data.values[name]), 1);
  }
});

test('unknown parameters are ignored', async () => {
  const answer = await world.segmentation({
    event: 'none',
    query_origin: 'x',
    bucket: 'y',
    workspace_id: 5,
    nonsense: '[',
  });
  assert.equal(answer.status, 200);
});

test('dates are read generously', async () => {
  assert.deepEqual((await ask({ event: 'none', from_date: '2013-12-1', to_date: '2013-12-02' })).data.series, [
    '2013-12-01',
    '2013-12-02',
  ]);
  assert.deepEqual(
    (await ask({ event: 'none', from_date: '2013-12-01T00:00:00', to_date: '2013-12-02T00:00:00' })).data.series,
    ['2013-12-01', '2013-12-02'],
  );
});

test('questions that make no sense: 400, the request, and which parameter it was', async () => {
  const wrong = [
    [{ event: undefined }, /event/],
    [{ event: '' }, /event/],
    [{ from_date: 'yesterday' }, /from_date/],
    [{ from_date: '2024-02-30' }, /from_date/],
    [{ from_date: '2024-13-01' }, /from_date/],
    [{ to_date: '24-1-1x' }, /to_date/],
    [{ to_date: '' }, /to_date/],
    [{ to_date: undefined }, /to_date/],
    [{ from_date: undefined }, /from_date/],
    [{ from_date: '2024-01-02', to_date: '2024-01-01' }, /from_date|to_date/],
    [{ unit: 'fortnight' }, /unit/],
    [{ type: 'median' }, /type/],
    [{ format: 'xml' }, /format/],
    [{ interval: 'x', from_date: undefined, to_date: undefined }, /interval/],
    [{ interval: 0, from_date: undefined, to_date: undefined }, /interval/],
    [{ interval: -3, from_date: undefined, to_date: undefined }, /interval/],
    [{ on: 'properties["a"]', limit: 0 }, /limit/],
    [{ on: 'properties["a"]', limit: 'ten' }, /limit/],
    [{ on: 'properties["a"]', limit: 10001 }, /limit/],
    [{ where: 'properties["a"] ==' }, /where/],
    [{ where: 'properties["a"' }, /where/],
    [{ where: '1 +* 2' }, /where/],
    [{ where: '"open' }, /where/],
    [{ where: 'nosuch(1)' }, /where/],
    [{ where: '5 and true' }, /where/],
    [{ on: 'properties[' }, /\bon\b/],
    [{ on: ')' }, /\bon\b/],
  ];
  for (const [params, name] of wrong) {
    const answer = await world.segmentation({ event: 'none', ...params });
    assert.equal(answer.status, 400, `${JSON.stringify(params)}: ${answer.status} ${answer.text}`);
    const body = answer.json();
    assert.match(body.request, /^\/api\/2\.0\/segmentation/);
    assert.match(body.error, name, JSON.stringify(params));
  }
});

test('errors in expressions tell the position', async () => {
  for (const [where, position] of [
    ['properties["a"] == == 1', 20],
    ['true and (false', 16],
    ['nosuch(1)', 1],
  ]) {
    const body = (await world.segmentation({ event: 'none', where })).json();
    assert.equal(body.position, position, body.error);
    assert.match(body.error, new RegExp(`\\b${position}\\b`));
  }
});

test('a row on which an expression has no meaning is an error with a position, too', async () => {
  const name = freshName();
  await world.send(world.event(name, { flag: 'yes' }));
  const answer = await world.segmentation({ event: name, where: 'true and properties["flag"]' });
  assert.equal(answer.status, 400);
  assert.equal(typeof answer.json().position, 'number');
  assert.match(answer.json().error, /where/);
});

test('ranges and expressions without end are refused, quickly', async () => {
  for (const params of [
    { unit: 'minute', from_date: '1970-01-01', to_date: '2100-01-01' },
    { from_date: '0001-01-01', to_date: '9999-12-31', unit: 'hour' },
    { where: '('.repeat(20000) },
    { where: 'not '.repeat(20000) + 'true' },
    { where: `${'1+'.repeat(20000)}1 == 1` },
  ]) {
    const started = Date.now();
    const answer = await world.segmentation({ event: 'none', ...params });
    assert.ok(answer.status === 200 || (answer.status >= 400 && answer.status < 500), `${answer.status}`);
    assert.ok(Date.now() - started < 20_000);
  }
  assert.equal((await world.segmentation({ event: 'none' })).status, 200);
});
