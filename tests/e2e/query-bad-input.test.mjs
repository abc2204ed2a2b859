// Every parameter of every report, given wrongly in every way there is: missing, empty, of another type, out of range,
// absurd. A table says which endpoint takes which parameters of which kind, bad_values.mjs which values of a kind are wrong
// and which are merely strange. What is wrong is refused with 4xx and JSON that names the parameter; what is strange is
// answered, within bounds. No answer may hold anything of another project, and afterwards the server must be alive and
// still know what it knew.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { date, deep, Escaped, kinds, long, others } from './bad_values.mjs';
import { basic, binary, createAccount, createProject, freshName, query, World } from './harness.mjs';

const GET_BYTES_MAX = 30_000; // longer ones are sent as a form
const ANSWER_BYTES_MAX = 64 << 20;
const VALUES = 20_000; // different ones of the property `many`
const MEMORY_MAX = 128 << 20;
// Sanitizers keep memory of their own.
const instrumented = /__(asan|tsan)_init/.test(readFileSync(binary, 'latin1'));
const secret = `secret-${process.pid}`; // in everything that the other project has

let world, other, otherAuthorization;
const names = { view: freshName('view'), buy: freshName('buy'), odd: freshName('odd') };
const range = { from_date: date(-3), to_date: date(0) };
const at = Math.floor(Date.now() / 1000) - 86_400;

async function importEvents(project, authorization, events) {
  for (let from = 0; from < events.length; from += 2000) {
    const answer = await world.server.request(`/import?strict=1&project_id=${project}`, {
      method: 'POST',
      headers: { Authorization: authorization, 'Content-Type': 'application/x-ndjson' },
      body: events
        .slice(from, from + 2000)
        .map((event) => JSON.stringify(event))
        .join('\n'),
    });
    assert.equal(answer.status, 200, answer.text.slice(0, 300));
  }
}
async function save(project, authorization, kind, document) {
  const answer = await world.server.request(`/api/app/projects/${project}/${kind}`, {
    method: 'POST',
    headers: { Authorization: authorization, 'Content-Type': 'application/json' },
    body: JSON.stringify(document),
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.json().results.id;
}

let inserts = 0;
const event = (name, who, properties = {}) => ({
  event: name,
  properties: { time: at + (inserts % 3600), distinct_id: who, $insert_id: `bad-${++inserts}`, ...properties },
});
const steps = (...of) => of.map((name) => ({ event: name }));

before(async () => {
  world = await World.start({ server: { args: ['--memory', String(MEMORY_MAX)] } });
  other = createProject(world.data, { name: `Other ${secret}` });
  const account = createAccount(world.data, other.project_id, { name: 'Other' });
  otherAuthorization = basic(`${account.username}:${account.secret}`);
  const { view, buy, odd } = names;
  await importEvents(world.project.project_id, world.authorization, [
    event(view, 'a', { n: 1, text: `${'a'.repeat(5000)}!`, nested: { a: [{ b: 'd' }] } }),
    event(buy, 'a', { n: 2.5, list: ['x', 'y', 1, null] }),
    event(view, 'b', { n: 'three', nothing: null, flag: 'maybe' }),
    event(odd, 'b', { n: true, flag: 1 }),
    ...Array.from({ length: VALUES }, (_, i) =>
      event(view, `user ${i % 500}`, { many: `value ${i}`, number: i * 1.5 }),
    ),
  ]);
  await importEvents(other.project_id, otherAuthorization, [
    event(view, 'a', { n: 99, [secret]: 1, list: [secret], many: secret, text: secret }),
    event(secret, secret),
  ]);
  const funnel = { name: 'Way', steps: steps(view, buy) };
  world.funnel = await save(world.project.project_id, world.authorization, 'funnels', funnel);
  other.funnel = await save(other.project_id, otherAuthorization, 'funnels', {
    name: secret,
    steps: steps(secret, view),
  });
  await save(world.project.project_id, world.authorization, 'cohorts', { name: 'All', where: 'true' });
  other.cohort = await save(other.project_id, otherAuthorization, 'cohorts', { name: secret, where: 'true' });
  for (const [$token, properties] of [
    [world.token, { n: 1, text: 'a'.repeat(200), nested: { a: [{ b: 'd' }] }, list: ['x', 1, null], flag: 'maybe' }],
    [other.token, { n: 99, [secret]: secret, text: secret }],
  ]) {
    const answer = await world.server.request('/engage?verbose=1', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify([{ $token, $distinct_id: 'a', $set: properties }]),
    });
    assert.equal(answer.json().status, 1, answer.text);
  }
});
after(() => world?.end());

// The largest that the server's process has been, in bytes.
const peak = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${world.server.child.pid}/status`))[1]) * 1024;

afterEach(async () => {
  assert.ok(world.server.running, `the server is gone: ${world.server.log}`);
  assert.equal(await world.count(names.view), VALUES + 2, 'what is there is still counted');
  assert.ok(instrumented || peak() <= MEMORY_MAX, `the server took ${peak()} bytes`);
});

// ---- the endpoints --------------------------------------------------------------------------------------------------

const expression = { kind: 'expression' };
const needed = (of) => ({ ...of, needed: true });
const number = (low, high = undefined) => ({ kind: 'number', low, high });
const choice = (...values) => ({ kind: 'choice', values });
const flag = { kind: 'flag' };
const name = { kind: 'name' };
const list = { kind: 'list' };
const names_ = { kind: 'names' }; // a list, or one name as it is

const dates = { from_date: needed({ kind: 'date' }), to_date: needed({ kind: 'date' }) };
const either = { kind: 'date', together: true }; // not needed, but not one without the other
const units = choice('minute', 'hour', 'day', 'week', 'month');
const type = choice('general', 'unique', 'average');
const format = choice('json', 'csv');
const limit = number(1, 10_000);
const project = needed({ kind: 'project' });
const open_list = { kind: 'list', open: true };

const segmentation = {
  project_id: project,
  ...dates,
  event: needed(name),
  unit: units,
  interval: number(1, 100_000),
  where: expression,
  format,
};
const event_list = { project_id: project, ...dates, unit: units, interval: number(1, 100_000), format, type };
const retention = { project_id: project, ...dates, event: names_, where: expression, on: expression, limit, format };

const profiles = {
  project_id: project,
  where: expression,
  distinct_id: name,
  distinct_ids: open_list,
  behaviors: { kind: 'behaviors' },
  as_of_timestamp: number(0, 253_402_300_799),
  include_all_users: flag,
  data_group_id: { kind: 'group' },
  filter_by_cohort: { kind: 'cohort' },
  search: { kind: 'text' },
};

const endpoints = {
  '/segmentation': {
    takes: { ...segmentation, on: expression, type, limit },
    fine: () => ({ event: names.view, on: 'properties["n"]' }),
  },
  '/segmentation/numeric': {
    takes: { ...segmentation, on: needed(expression), type, buckets: number(2, 1000) },
    fine: () => ({ event: names.view, on: 'properties["number"]' }),
  },
  '/segmentation/sum': {
    takes: { ...segmentation, on: needed(expression) },
    fine: () => ({ event: names.view, on: 'properties["n"]' }),
  },
  '/segmentation/average': {
    takes: { ...segmentation, on: needed(expression) },
    fine: () => ({ event: names.view, on: 'properties["n"]' }),
  },
  '/segmentation/multiseg': {
    takes: {
      ...segmentation,
      outer: needed(expression),
      inner: needed(expression),
      type,
      limit,
      action: choice('sum', 'average'),
    },
    fine: () => ({ event: names.view, outer: 'properties["n"]', inner: 'properties["flag"]' }),
  },
  '/events': {
    takes: { ...event_list, event: needed(names_) },
    fine: () => ({ event: JSON.stringify([names.view, names.buy]) }),
  },
  '/events/top': { takes: { project_id: project, type, limit }, fine: () => ({}), rangeless: true },
  '/events/names': {
    takes: {
      project_id: project,
      type,
      limit,
      from_date: either,
      to_date: either,
      unit: units,
      interval: number(1, 100_000),
    },
    fine: () => ({}),
  },
  '/events/properties': {
    takes: { ...event_list, event: needed(name), name: needed(name), values: list, limit },
    fine: () => ({ event: names.view, name: 'n', values: '["1","three"]' }),
  },
  '/events/properties/top': {
    takes: {
      project_id: project,
      event: names_,
      limit,
      from_date: either,
      to_date: either,
      unit: units,
      interval: number(1, 100_000),
    },
    fine: () => ({ event: names.view }),
  },
  '/events/properties/values': {
    takes: { project_id: project, event: names_, name: needed(name), limit, interval: number(1, 100_000) },
    fine: () => ({ event: names.view, name: 'n' }),
    rangeless: true,
  },
  '/funnels': {
    takes: {
      project_id: project,
      ...dates,
      funnel_id: needed({ kind: 'funnel' }),
      length: number(1, 90),
      length_unit: choice('day', 'hour', 'minute', 'second'),
      interval: number(1, 36_600),
      unit: choice('day', 'week', 'month'),
      on: expression,
      where: expression,
      limit,
      format,
    },
    fine: () => ({ funnel_id: world.funnel }),
  },
  '/funnels/list': { takes: { project_id: project }, fine: () => ({}), rangeless: true },
  '/retention': {
    takes: {
      ...retention,
      retention_type: choice('birth', 'compounded'),
      born_event: needed(names_),
      born_where: expression,
      unit: choice('day', 'week', 'month'),
      interval_count: number(1, 10_000),
      unbounded_retention: flag,
    },
    fine: () => ({ born_event: names.view, event: names.buy, unit: 'day' }),
  },
  '/retention/addiction': {
    takes: {
      ...retention,
      unit: needed(choice('day', 'week', 'month')),
      addiction_unit: needed(choice('hour', 'day')),
    },
    fine: () => ({ event: names.view, unit: 'week', addiction_unit: 'day' }),
  },
  '/stream/query': {
    takes: { project_id: project, ...dates, distinct_ids: needed(list), limit: number(1, 100_000) },
    fine: () => ({ distinct_ids: '["a","b"]' }),
  },
  '/cohorts/list': { takes: { project_id: project }, fine: () => ({}), rangeless: true },
  '/engage': {
    takes: {
      ...profiles,
      session_id: { kind: 'session' },
      page: number(0, 2 ** 31 - 1),
      page_size: number(1),
      limit: number(1),
      output_properties: open_list,
      sort_key: expression,
      sort_order: choice('ascending', 'descending'),
    },
    fine: () => ({ where: 'defined(properties["n"])' }),
    rangeless: true,
  },
  '/engage/properties': { takes: profiles, fine: () => ({}), rangeless: true },
  '/engage/stats': {
    takes: { ...profiles, action: { kind: 'action' } },
    fine: () => ({ action: 'count()' }),
    rangeless: true,
  },
  '/engage/revenue': { takes: { ...profiles, ...dates, unit: choice('day', 'week', 'month') }, fine: () => ({}) },
  '/export': {
    takes: {
      project_id: project,
      ...dates,
      event: names_,
      where: expression,
      limit: number(1, 100_000),
      time_in_ms: flag,
    },
    fine: () => ({ event: JSON.stringify([names.buy]) }),
    bases: ['/api/2.0', ''],
  },
};

// All of them take this one, too.
for (const endpoint of Object.values(endpoints))
  endpoint.takes = { ...endpoint.takes, timeout_ms: { kind: 'timeout' } };

// ---- asking ---------------------------------------------------------------------------------------------------------

const encode = (params) =>
  Object.entries(params)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => (value instanceof Escaped ? `${key}=${value.text}` : query({ [key]: value })))
    .join('&');

const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
const utf8 = new TextDecoder('utf-8', { fatal: true });

// What is wrong with answers, whatever was asked.
async function ask(path, params, { json, base = '/api/2.0', authorization = world.authorization, what = '' } = {}) {
  const text = encode(params);
  const headers = authorization ? { Authorization: authorization } : {};
  const answer =
    json !== undefined
      ? await world.server.request(`${base}${path}?${text}`, {
          method: 'POST',
          headers: { ...headers, 'Content-Type': 'application/json' },
          body: json,
        })
      : text.length > GET_BYTES_MAX
        ? await world.server.request(base + path, { method: 'POST', headers: { ...headers, ...form }, body: text })
        : await world.server.request(`${base}${path}?${text}`, { headers });
  const failure = answer.status === 200 ? undefined : answer.json();
  const place = `${path}, ${what}: ${answer.status} ${(failure?.error ?? answer.text).slice(0, 300)}`;
  assert.ok(answer.body.length <= ANSWER_BYTES_MAX, place);
  assert.doesNotThrow(() => utf8.decode(answer.body), place);
  if (authorization !== otherAuthorization)
    assert.ok(!answer.text.includes(secret), `another project's data: ${place}`);
  if (failure) {
    assert.ok((answer.status >= 400 && answer.status < 500) || answer.status === 504, place);
    assert.match(answer.headers['content-type'], /^application\/json/, place);
    assert.equal(typeof failure.error, 'string', place);
    assert.ok(failure.error.length > 0 && failure.error.length < 2000, place);
    assert.ok(failure.request.startsWith(base + path), `${failure.request}: ${place}`);
  } else if (/json/.test(answer.headers['content-type'])) {
    assert.doesNotThrow(() => answer.json(), place);
  }
  return Object.assign(answer, { place, error: failure?.error });
}

const fineOf = (path) => {
  const { fine, rangeless } = endpoints[path];
  return { project_id: world.project.project_id, ...(rangeless ? {} : range), ...fine() };
};
const names_it = (answer, parameter) => new RegExp(`(^|[^a-z_])${parameter}([^a-z_]|$)`).test(answer.error);

// What is wrong with an answer, or nothing.
function judge(answer, parameter, verdict) {
  const allowed = { answered: [200], refused: [400], either: [200, 400], denied: [403], late: [200, 504] }[verdict];
  if (!allowed.includes(answer.status)) return `not ${verdict}: ${answer.place}`;
  if (answer.status === 400 && !names_it(answer, parameter)) return `does not name ${parameter}: ${answer.place}`;
  return undefined;
}

// ---- the sweep ------------------------------------------------------------------------------------------------------

for (const [path, { takes, bases = ['/api/2.0', '/api/query'] }] of Object.entries(endpoints)) {
  test(`${path}: what is fine is answered`, async () => {
    for (const base of bases) {
      const answer = await ask(path, fineOf(path), { base, what: base });
      assert.equal(answer.status, 200, answer.place);
    }
  });

  for (const [parameter, kind] of Object.entries(takes)) {
    test(`${path}: ${parameter}`, async () => {
      const fine = fineOf(path);
      const wrong = [];
      for (const value of [undefined, '']) {
        const answer = await ask(path, { ...fine, [parameter]: value }, { what: `${parameter} missing or empty` });
        wrong.push(judge(answer, parameter, kind.needed ? 'refused' : kind.together ? 'either' : 'answered'));
      }
      for (const [what, value, verdict] of kinds[kind.kind](kind)) {
        const given = typeof value === 'function' ? value(other) : value;
        const answer = await ask(path, { ...fine, [parameter]: given }, { what: `${parameter}, ${what}` });
        wrong.push(judge(answer, parameter, verdict));
      }
      delete fine[parameter];
      for (const value of others) {
        const json = JSON.stringify({ [parameter]: value });
        const answer = await ask(path, fine, { json, what: `${parameter}, ${json}` });
        if (answer.status !== 403 && answer.status !== 504) wrong.push(judge(answer, parameter, 'either'));
      }
      assert.deepEqual(wrong.filter(Boolean), []);
    });
  }
}

// ---- more than one thing at a time ----------------------------------------------------------------------------------

const hundred_years = { from_date: '1927-01-01', to_date: '2026-12-31' };
const refused = (answer, pattern) => {
  assert.equal(answer.status, 400, answer.place);
  assert.match(answer.error, pattern, answer.place);
};

test('a hundred years in small steps are refused, in large ones answered', async () => {
  for (const [path, { takes }] of Object.entries(endpoints)) {
    if (!takes.from_date || !takes.unit || takes.from_date.together) continue;
    const smallest = takes.unit.values[0];
    const fine = { ...fineOf(path), ...hundred_years };
    const answer = await ask(path, { ...fine, unit: smallest }, { what: `a hundred years by ${smallest}` });
    if (smallest === 'minute') refused(answer, /from_date to to_date: the range has more than 100000 buckets/);
    else assert.ok([200, 400].includes(answer.status), answer.place);
    assert.equal((await ask(path, { ...fine, unit: 'month' }, { what: 'by month' })).status, 200);
  }
  for (const path of [
    '/events/top',
    '/events/names',
    '/events/properties/top',
    '/events/properties/values',
    '/stream/query',
  ])
    assert.equal((await ask(path, { ...fineOf(path), ...hundred_years })).status, 200, path);
  const past = { ...hundred_years, to_date: range.to_date };
  assert.equal((await ask('/export', { ...fineOf('/export'), ...past })).status, 200);
  refused(await ask('/export', { ...fineOf('/export'), to_date: date(9) }), /to_date cannot be later than today/);
});

test('the last hundred thousand units', async () => {
  for (const [path, { takes }] of Object.entries(endpoints)) {
    if (!takes.unit || !takes.interval || path === '/funnels') continue;
    for (const unit of takes.unit.values) {
      const params = { ...fineOf(path), from_date: undefined, to_date: undefined, unit, interval: 100_000 };
      const answer = await ask(path, params, { what: `100000 units, ${unit}` });
      if (answer.status !== 200) refused(answer, /range|interval|memory|larger than/);
      const one = await ask(path, { ...params, interval: 1 }, { what: `1 unit, ${unit}` });
      assert.equal(one.status, 200, one.place);
    }
  }
});

test('dates that are none, or the wrong way round', async () => {
  for (const [path, { takes }] of Object.entries(endpoints)) {
    if (!takes.from_date) continue;
    refused(await ask(path, { ...fineOf(path), from_date: date(0), to_date: date(-1) }), /from_date/);
  }
});

test('what does not go together', async () => {
  const both = { ...fineOf('/retention'), unit: 'day', interval: 2 };
  refused(await ask('/retention', both), /^unit and interval both specified/);
  const long = { ...fineOf('/retention'), ...hundred_years, interval_count: 10_000 };
  refused(await ask('/retention', long), /interval|memory|larger than/);
  const hours = {
    ...fineOf('/retention/addiction'),
    ...hundred_years,
    addiction_unit: 'hour',
    on: 'properties["many"]',
    limit: 10_000,
  };
  refused(await ask('/retention/addiction', hours), /range|memory|larger than/);
});

// Of very many values the most frequent are kept, as many as `limit` says: never more than can be asked for.
test('an `on` of very many values', async () => {
  const many = 'properties["many"]';
  const labels = (path, answer) => {
    if (path.startsWith('/retention/')) return Object.keys(Object.values(answer.data)[0]).length - 1;
    if (path === '/retention') return Object.keys(Object.values(answer)[0]).length - 1;
    if (path === '/funnels') return Object.keys(Object.values(answer.data)[0]).length - 1;
    return Object.keys(answer.data.values).length;
  };
  for (const path of ['/segmentation', '/events/properties', '/retention', '/retention/addiction', '/funnels']) {
    const extra = path === '/events/properties' ? { name: 'many', values: undefined } : { on: many };
    // what is split are the returns
    if (path === '/retention') Object.assign(extra, { event: names.view, born_event: names.odd });
    for (const limit of [3, 10_000]) {
      const answer = await ask(path, { ...fineOf(path), ...extra, limit }, { what: `limit ${limit}` });
      assert.equal(answer.status, 200, answer.place);
      const found = answer.json();
      // Of a funnel it is those with which people begin.
      if (path === '/funnels' && limit > 3) assert.ok(labels(path, found) <= limit, `${path} ${limit}`);
      else assert.equal(labels(path, found), limit, `${path} ${limit}`);
      if ('legend_size' in found) assert.ok(found.legend_size >= VALUES, `${path} says that there are more`);
    }
    for (const limit of ['10001', '1000000000'])
      refused(await ask(path, { ...fineOf(path), ...extra, limit }), /limit/);
  }
  const crossed = { ...fineOf('/segmentation/multiseg'), outer: many, inner: many };
  const small = (await ask('/segmentation/multiseg', { ...crossed, limit: 5 })).json();
  assert.equal(Object.keys(small.data.values).length, 5);
  refused(await ask('/segmentation/multiseg', { ...crossed, limit: 10_000 }), /limit|memory|larger than/);
  const values = (
    await ask('/events/properties/values', { ...fineOf('/events/properties/values'), name: 'many' })
  ).json();
  assert.equal(values.length, 255);
});

test('funnels of a hundred steps, and other definitions that are none', async () => {
  const post = (document) =>
    world.server.request(`/api/app/projects/${world.project.project_id}/funnels`, {
      method: 'POST',
      headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
      body: typeof document === 'string' ? document : JSON.stringify(document),
    });
  const good = { name: 'bad', steps: steps('a', 'b') };
  for (const [document, pattern] of [
    [{ ...good, steps: steps(...Array(100).fill('a')) }, /steps/],
    [{ ...good, steps: steps(...Array(50_000).fill('a')) }, /steps/],
    [{ ...good, steps: [] }, /steps/],
    [{ ...good, steps: 'a' }, /steps/],
    [{ ...good, steps: [{ event: 1 }] }, /steps\[0\]\.event/],
    [{ ...good, steps: [{ event: 'a', where: '(' }, { event: 'b' }] }, /steps\[0\]\.where/],
    [{ ...good, steps: [{ event: 'a', where: `"${long}"` }] }, /steps\[0\]\.where/],
    [{ ...good, name: long }, /name/],
    [{ ...good, name: 1 }, /name/],
    [{ ...good, window: { length: 1e9, unit: 'day' } }, /window/],
    [{ ...good, window: { length: 1e300, unit: 'month' } }, /window/],
    [{ ...good, exclusions: Array(1000).fill({ event: 'x' }) }, /exclusions/],
    [{ ...good, hold_constant: ['a', 'b', 'c', 'd'] }, /hold_constant/],
    [`{"name":"x","steps":${deep(10_000)}}`, /./],
    ['[]', /./],
    ['{', /./],
  ]) {
    const answer = await post(document);
    const shown = `${JSON.stringify(document).slice(0, 100)}: ${answer.status} ${answer.text.slice(0, 300)}`;
    assert.equal(answer.status, 400, shown);
    assert.match(answer.json().error, pattern, shown);
  }
  const list = await ask('/funnels/list', { project_id: world.project.project_id });
  assert.equal(list.json().length, 1, 'none of them was saved');
});

// ---- requests as such -----------------------------------------------------------------------------------------------

test('bodies and targets that are too large, broken, or of too many parts', async () => {
  const target = '/api/2.0/segmentation';
  const send = (options, suffix = '') =>
    world.server.request(target + suffix, {
      ...options,
      headers: { Authorization: world.authorization, ...options.headers },
    });
  const json = { 'Content-Type': 'application/json' };
  const params = { ...fineOf('/segmentation') };
  const one_of = (answer, statuses, pattern) => {
    assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text.slice(0, 300)}`);
    const body = answer.json();
    assert.match(body.error, pattern);
    // A target that never ends is refused before it is known whose it is.
    if (answer.status !== 414) assert.ok(body.request.startsWith(target), answer.text.slice(0, 300));
  };
  const post = (body, headers) => send({ method: 'POST', headers, body });
  one_of(await post(`event=${'x'.repeat(3 << 20)}`, form), [413], /exceeds/);
  one_of(await send({}, `?event=${'x'.repeat(100_000)}`), [414], /too long/);
  one_of(await post('{"event":', json), [400], /request body/);
  one_of(await post('[1]', json), [400], /must be an object/);
  one_of(await post(deep(100_000), json), [400], /request body/);
  one_of(await post(`{"event":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}`, json), [400], /request body/);
  one_of(await post(`{"event":"\xff"}`.replace('\xff', '\ud800'), json), [400], /./);
  one_of(await post(Buffer.from('{"event":"\xff\xfe"}', 'latin1'), json), [400], /./);
  one_of(await post(Array.from({ length: 5000 }, (_, i) => `p${i}=1`).join('&'), form), [400], /too many parameters/);
  // What does not say what it is, is taken for what it looks like; the first of two of a name counts.
  const twice = await post(`${encode(params)}&event=twice&event=%ff`, form);
  assert.equal(twice.status, 200, twice.text.slice(0, 300));
  assert.equal(Object.keys(twice.json().data.values).length > 0, true);
  assert.equal((await post(encode(params), { 'Content-Type': 'text/x-nothing' })).status, 200);
  for (const method of ['PUT', 'DELETE', 'PATCH']) {
    const answer = await send({ method });
    assert.equal(answer.status, 405, method);
    assert.ok(answer.json().error);
  }
});

test('who may ask', async () => {
  for (const [path, { bases = ['/api/2.0', '/api/query'] }] of Object.entries(endpoints)) {
    for (const base of bases) {
      const fine = fineOf(path);
      for (const authorization of [
        '',
        'Basic',
        'Basic !',
        basic('x:y'),
        basic(`${world.account.username}:${otherAuthorization}`),
        'Bearer x',
        `Basic ${long.slice(0, 10_000)}`,
      ]) {
        const answer = await ask(path, fine, { base, authorization, what: `as ${authorization.slice(0, 20)}` });
        assert.equal(answer.status, 401, answer.place);
      }
      const denied = await ask(path, fine, { base, authorization: otherAuthorization, what: 'as somebody else' });
      assert.equal(denied.status, 403, denied.place);
      assert.ok(!denied.text.includes(names.odd) && !denied.text.includes('Way'), denied.place);
    }
  }
});

// Otherwise it would show nothing that no answer held it.
test('the secret is there, for those whose it is', async () => {
  const seen = [];
  for (const path of Object.keys(endpoints)) {
    const on = 'properties["text"]';
    const params = {
      ...fineOf(path),
      project_id: other.project_id,
      funnel_id: other.funnel,
      name: 'text',
      values: undefined,
      on,
      outer: on,
      inner: on,
    };
    if (path.startsWith('/events/properties') || path === '/export' || path === '/stream/query') delete params.on;
    if (path === '/export') delete params.event;
    if (path.startsWith('/engage')) Object.assign(params, { where: undefined, action: undefined });
    if (path === '/retention') Object.assign(params, { born_event: secret, event: names.view });
    const answer = await ask(path, params, { authorization: otherAuthorization });
    assert.equal(answer.status, 200, answer.place);
    if (answer.text.includes(secret)) seen.push(path);
  }
  for (const path of [
    '/segmentation',
    '/segmentation/multiseg',
    '/events/names',
    '/events/properties',
    '/events/properties/values',
    '/funnels',
    '/funnels/list',
    '/retention',
    '/stream/query',
    '/cohorts/list',
    '/export',
  ])
    assert.ok(seen.includes(path), `${path} of ${seen}`);
});
