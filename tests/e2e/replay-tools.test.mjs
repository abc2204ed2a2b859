// What common tools send, as their sources make it, and what each needs to read in the answer: one case per tool and kind of
// request (replay.mjs).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { base64, basic, day, freshName, query, request } from './harness.mjs';
import {
  account,
  client,
  event,
  failure,
  form,
  get,
  good,
  group,
  history,
  imported,
  isSet,
  json,
  one,
  post,
  seconds,
  secret,
  set,
  Stage,
  times,
  token,
  user,
  uuid,
  zipped,
} from './replay.mjs';

let stage, world;
before(async () => {
  stage = await Stage.start();
  world = stage.world;
});
after(() => world?.end());

const dates = { from_date: day(-1), to_date: day(1) };
const idProbe = (c) =>
  json(
    '/import?strict=1',
    [{ event: c.name, properties: { time: seconds(), $insert_id: uuid(), $device_id: 'd', $user_id: 'u' } }],
    token(c),
  );
const page = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  const { results, page_size, total, status, page: number } = answer.json();
  assert.ok(Array.isArray(results) && Number.isInteger(total) && page_size > 0 && number === 0, answer.text);
  assert.equal(status, 'ok');
};
const segmented = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  assert.ok(Array.isArray(answer.json().data.series));
  assert.equal(answer.json().legend_size, 1);
};
// A question after three events of the case's name: {plan, n, tags}.
const asked = (send) => async (c) => {
  await world.send(
    ...[1, 2, 3].map((n) => event(c, { n, plan: n > 1 ? 'pro' : 'free', tags: n > 2 ? ['x', 'y'] : ['x'] })),
  );
  return send(c);
};
const q = (base, path, params) => `${base}${path}?${query({ ...params })}`;
const ofAccount = (c, path, params) => get(q('/api/query', path, { ...params, project_id: c.project_id }), account(c));
const ofSecret = (c, path, params) => get(q('/api/2.0', path, params), { Authorization: `Basic ${base64(c.secret)}` });
const sumOf = (buckets) => Object.values(buckets).reduce((a, b) => a + b, 0);
const names = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  assert.ok(answer.json().length && answer.json().every((name) => typeof name === 'string'), answer.text);
};
const topProperties = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  assert.ok(Object.keys(answer.json()).length);
  for (const property of Object.values(answer.json())) assert.ok(Number.isInteger(property.count));
};
const measured = (answer) => {
  assert.equal(answer.status, 200, answer.text);
  const { results, status, data } = answer.json();
  assert.equal(status, 'ok');
  assert.equal(sumOf(results), 6);
  assert.deepEqual(Object.values(data.values), [results]);
};
const lookupTable = async (c) => {
  const made = await request(`${c.url}/lookup-tables?project_id=${c.project_id}`, {
    method: 'POST',
    headers: { ...account(c), 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: c.name }),
  });
  return made.json().results.id;
};

const table = [
  ...client('mixpanel-utils', good, [
    [
      'import',
      (c) => json(`/import?strict=1&project_id=${c.project_id}`, [history(c), history(c)], account(c)),
      { old: 2 },
      imported(2),
    ],
    [
      'people',
      (c) => form('/engage?verbose=1', { data: base64([user(c, set)]), project_id: c.project_id }, account(c)),
      { profile: isSet },
    ],
    [
      'groups',
      (c) => form('/groups?verbose=1', { data: base64([group(c, set)]), project_id: c.project_id }, account(c)),
      { key: 'company', profile: isSet },
    ],
    [
      'engage',
      (c) =>
        get(
          `/api/2.0/engage?${query({ project_id: c.project_id, where: 'properties["plan"] == "pro"', output_properties: '["plan"]' })}`,
          account(c),
        ),
      {},
      page,
    ],
    [
      'engage, wrong secret',
      () => get('/api/2.0/engage?project_id=1', { Authorization: basic('nobody:x') }),
      {},
      failure(401, /Unable to authenticate/),
    ],
  ]),
  ...client('tap-mixpanel', page, [
    [
      'engage',
      (c) => get('/api/2.0/engage?page_size=250&page=0', { Authorization: `Basic ${base64(c.secret)}` }),
      {},
    ],
    [
      'engage/properties',
      (c) => get('/api/2.0/engage/properties', { Authorization: `Basic ${base64(c.secret)}` }),
      {},
      (answer) => {
        assert.equal(answer.json().status, 'ok');
        for (const value of Object.values(answer.json().results))
          assert.match(value.type, /^(string|number|boolean|datetime|list|object)$/);
      },
    ],
    [
      'engage/revenue',
      (c) =>
        get(`/api/2.0/engage/revenue?${query({ ...dates, unit: 'day' })}`, {
          Authorization: `Basic ${base64(c.secret)}`,
        }),
      {},
      (answer) => {
        assert.deepEqual(Object.keys(answer.json().results.$overall).sort(), ['amount', 'count', 'paid_count']);
        assert.equal(answer.json().session_id, null);
      },
    ],
    [
      'events/properties/top: names of columns',
      asked((c) => ofSecret(c, '/events/properties/top', { limit: 2000 })),
      {},
      topProperties,
    ],
    [
      'not authorized',
      () => get('/api/2.0/engage', { Authorization: `Basic ${base64('wrong')}` }),
      {},
      failure(401, /./),
    ],
  ]),
  ...client('Airbyte', page, [
    [
      'engage',
      (c) => [
        form('/api/2.0/engage', { page_size: 1000, project_id: c.project_id }, account(c)),
        post(`/api/2.0/engage?page_size=1000&project_id=${c.project_id}`, '', account(c)),
      ],
      {},
    ],
    [
      'engage/properties',
      (c) => get(`/api/2.0/engage/properties?project_id=${c.project_id}`, account(c)),
      {},
      (answer) => assert.equal(answer.json().status, 'ok'),
    ],
    [
      'engage/revenue',
      (c) => get(`/api/2.0/engage/revenue?${query({ ...dates, project_id: c.project_id })}`, account(c)),
      {},
      (answer) => assert.ok(answer.json().results.$overall),
    ],
    [
      'events/properties/top without an event',
      asked((c) => get(q('/api/2.0', '/events/properties/top', { project_id: c.project_id }), account(c))),
      {},
      topProperties,
    ],
    [
      'not authorized',
      () => get('/api/2.0/engage?project_id=1', { Authorization: basic('a:b') }),
      {},
      (answer) => assert.ok([400, 401].includes(answer.status) && /Unable to authenticate/.test(answer.text)),
    ],
  ]),
  ...client('mixpanel-import', imported(2000), [
    [
      'events, strict',
      (c) =>
        zipped(
          json(
            `/import?ip=0&verbose=1&strict=1&project_id=${c.project_id}`,
            times(2000, () => history(c)),
            account(c),
          ),
        ),
      { old: 2000 },
    ],
    [
      'events, JSON lines',
      (c) =>
        post('/import?ip=0&verbose=1&strict=1', `${JSON.stringify(history(c))}\n${JSON.stringify(history(c))}\n`, {
          ...token(c),
          'Content-Type': 'application/x-ndjson',
        }),
      { old: 2 },
      imported(2),
    ],
    [
      'events, some refused',
      (c) => json('/import?ip=0&verbose=1&strict=1', [{ ...history(c), event: '' }, history(c)], token(c)),
      { old: 1 },
      (answer) => {
        const { failed_records, num_records_imported } = answer.json();
        assert.deepEqual([answer.status, num_records_imported, failed_records.length], [400, 1, 1]);
        assert.equal(failed_records[0].message, "'event' must not be missing or blank");
      },
    ],
    [
      'the credentials’ probe',
      (c) => json('/import?strict=0&verbose=1', [{}], token(c)),
      {},
      (answer) =>
        assert.deepEqual(
          [answer.status, answer.json()],
          [
            200,
            {
              code: 200,
              error: 'some data points in the request failed validation',
              num_records_imported: 0,
              status: 0,
            },
          ],
        ),
    ],
    ['the mode’s probe, simplified', (c) => idProbe(c), {}, imported(1)],
    [
      'the mode’s probe, original',
      (c) => idProbe(c),
      { project: 'original' },
      (answer) => {
        assert.equal(answer.status, 400);
        assert.equal(
          answer.json().failed_records[0].message,
          "'properties.distinct_id' is invalid: must not be missing",
        );
      },
    ],
    [
      'users',
      (c) => zipped(json('/engage?ip=0&verbose=1&strict=1', [user(c, set), user(c, { $set: { n: 1 } })], token(c))),
      { profile: { plan: 'pro', ü: '+/?', n: 1 } },
      (answer) => {
        assert.deepEqual(
          [answer.status, answer.json()],
          [200, { code: 200, error: null, num_good_events: 2, num_records_imported: 2, status: 1 }],
        );
      },
    ],
    [
      'groups',
      (c) => json('/groups?ip=0&verbose=1&strict=1', [group(c, set)], token(c)),
      { key: 'company', profile: isSet },
      (answer) => assert.deepEqual([answer.json().status, answer.json().error], [1, null]),
    ],
    [
      'lookup table',
      async (c) => [
        {
          method: 'PUT',
          target: `/lookup-tables/${await lookupTable(c)}?project_id=${c.project_id}`,
          headers: { ...account(c), 'Content-Type': 'text/csv' },
          body: 'sku,name\n1,anvil\n',
        },
      ],
      {},
      (answer) => assert.deepEqual([answer.status, answer.json()], [200, { code: 200, status: 'OK' }]),
    ],
    [
      'profiles out',
      (c) => [
        form(`/api/2.0/engage/query?project_id=${c.project_id}`, { page: 0 }, account(c)),
        form('/api/2.0/engage', { project_id: c.project_id, page_size: 10 }, account(c)),
      ],
      {},
      page,
    ],
    [
      'group keys',
      (c) => get(`/api/app/projects/${c.project_id}/data-groups/`, account(c)),
      {},
      (answer) => assert.ok(Array.isArray(answer.json().results) && answer.json().status === 'ok'),
    ],
  ]),
  ...client('mixpanel_data', segmented, [
    [
      'segmentation',
      async (c) => {
        await world.send(event(c));
        return [
          get(
            `/api/query/segmentation?${query({ ...dates, event: c.name, unit: 'day', project_id: c.project_id })}`,
            account(c),
          ),
        ];
      },
      {},
    ],
    [
      'engage',
      (c) => [
        json(
          `/api/2.0/engage/?project_id=${c.project_id}`,
          { where: 'properties["plan"] == "pro"', output_properties: ['plan'], page: 0 },
          account(c),
        ),
        json('/api/query/engage', { project_id: c.project_id }, account(c)),
      ],
      {},
      page,
    ],
    [
      'events, properties and their values: what there is',
      asked((c) =>
        [
          ['/events/names', { type: 'general' }],
          ['/events/properties/values', { event: c.name, name: 'plan', limit: 255 }],
          ['/events/properties/values', { name: 'plan' }],
        ].map(([path, params]) => ofAccount(c, path, params)),
      ),
      {},
      names,
    ],
    [
      'event_properties',
      asked((c) => ofAccount(c, '/events/properties/top', { event: c.name })),
      {},
      topProperties,
    ],
    [
      'top_events',
      asked((c) => ofAccount(c, '/events/top', { type: 'unique', limit: 10 })),
      {},
      (answer) => {
        assert.equal(answer.json().type, 'unique');
        for (const { event, amount, percent_change } of answer.json().events)
          assert.deepEqual([typeof event, typeof amount, typeof percent_change], ['string', 'number', 'number']);
      },
    ],
    [
      'event_counts, property_counts',
      asked((c) => [
        ofAccount(c, '/events', { ...dates, event: JSON.stringify([c.name]), type: 'general', unit: 'day' }),
        ofAccount(c, '/events/properties', {
          ...dates,
          event: c.name,
          name: 'plan',
          values: '["pro"]',
          type: 'general',
          unit: 'day',
        }),
      ]),
      {},
    ],
    [
      'segmentation_numeric',
      asked((c) =>
        ofAccount(c, '/segmentation/numeric', {
          ...dates,
          event: c.name,
          on: 'properties["n"]',
          unit: 'day',
          type: 'general',
        }),
      ),
      {},
      (answer) => assert.deepEqual(Object.keys(answer.json().data.values), ['1 - 2', '2 - 3', '3 - 4']),
    ],
    [
      'segmentation_sum',
      asked((c) =>
        ofAccount(c, '/segmentation/sum', { ...dates, event: c.name, on: 'properties["n"]', unit: 'day' }),
      ),
      {},
      measured,
    ],
    [
      'segmentation_average',
      asked((c) =>
        ofAccount(c, '/segmentation/average', { ...dates, event: c.name, on: 'properties["n"]', unit: 'month' }),
      ),
      {},
      (answer) => assert.equal(sumOf(answer.json().results), 2),
    ],
    [
      'engage/stats',
      (c) => form('/api/query/engage/stats', { action: 'count()', project_id: c.project_id }, account(c)),
      {},
      (answer) => assert.equal(typeof answer.json().results, 'number'),
    ],
    [
      'a wrong expression',
      (c) =>
        get(
          `/api/query/segmentation?${query({ ...dates, event: 'x', where: 'properties[', project_id: c.project_id })}`,
          account(c),
        ),
      {},
      failure(400, /./),
    ],
  ]),
  ...client('mixpanel_client', segmented, [
    [
      'segmentation',
      async (c) => {
        await world.send(event(c));
        return [
          get(
            `/api/2.0/segmentation?${query({ ...dates, event: c.name, type: 'general', format: 'json' })}`,
            secret(c),
          ),
        ];
      },
      {},
    ],
    [
      'a failure',
      (c) => get(`/api/2.0/segmentation?${query({ ...dates, format: 'json' })}`, secret(c)),
      {},
      failure(400, /event/),
    ],
    [
      'events and their properties',
      asked((c) => [
        get(
          q('/api/2.0', '/events', {
            event: JSON.stringify([c.name]),
            type: 'general',
            unit: 'day',
            interval: 7,
            format: 'json',
          }),
          secret(c),
        ),
        get(
          q('/api/2.0', '/events/properties', {
            event: c.name,
            name: 'plan',
            values: '["pro"]',
            type: 'unique',
            unit: 'day',
            interval: 7,
            limit: 5,
            format: 'json',
          }),
          secret(c),
        ),
      ]),
      {},
    ],
    [
      'lists',
      asked((c) =>
        [
          ['/events/names', { type: 'general' }],
          ['/events/properties/values', { event: c.name, name: 'plan' }],
        ].map(([path, params]) => get(q('/api/2.0', path, { ...params, format: 'json' }), secret(c))),
      ),
      {},
      names,
    ],
    ['import', (c) => get(`/import?${query({ data: base64(history(c)), api_key: c.secret })}`), { old: 1 }, one],
  ]),
  ...client('RMixpanel', segmented, [
    [
      'segmentation',
      async (c) => {
        await world.send(event(c));
        return [
          get(`/api/2.0/segmentation/?${query({ ...dates, event: c.name })}`, {
            Authorization: basic(`${c.secret}:${c.secret}`),
          }),
        ];
      },
      {},
    ],
    [
      'two segmentations: a matrix of every date, inner and outer name',
      asked((c) =>
        get(
          q('/api/2.0', '/segmentation/multiseg', {
            event: c.name,
            ...dates,
            unit: 'day',
            type: 'unique',
            inner: 'properties["plan"]',
            outer: 'properties["tags"]',
          }),
          { Authorization: basic(`${c.secret}:${c.secret}`) },
        ),
      ),
      {},
      (answer) => {
        const { series, values } = answer.json().data;
        assert.deepEqual(Object.keys(values), ['x', 'y']);
        for (const inner of Object.values(values)) {
          assert.deepEqual(Object.keys(inner), ['pro', 'free']);
          for (const buckets of Object.values(inner)) assert.deepEqual(Object.keys(buckets), series);
        }
      },
    ],
    [
      'an action by a segmentation, and alone',
      asked((c) => {
        const params = { event: c.name, ...dates, unit: 'day', type: 'unique', action: 'sum' };
        const inner = 'number(properties["n"])';
        const headers = { Authorization: basic(`${c.secret}:${c.secret}`) };
        return [
          get(q('/api/2.0', '/segmentation/multiseg', { ...params, inner, outer: 'properties["plan"]' }), headers),
          get(q('/api/2.0', '/segmentation/sum', { ...params, on: inner }), headers),
        ];
      }),
      {},
      (answer) => {
        const { results, data } = answer.json();
        assert.equal(results ? sumOf(results) : sumOf(data.values.pro) + sumOf(data.values.free), 6);
        for (const buckets of Object.values(data.values)) assert.deepEqual(Object.keys(buckets), data.series);
      },
    ],
    ['engage', (c) => get('/api/2.0/engage/', { Authorization: basic(`${c.secret}:${c.secret}`) }), {}, page],
    [
      'people',
      (c) => [
        get(`/engage?data=${encodeURIComponent(base64(user(c, set, { ip: 0 })))}`),
        get(`/engage?data=${encodeURIComponent(base64(user(c, { $unset: 'ü' }, { ip: 0 })))}`),
      ],
      { profile: { plan: 'pro' } },
      one,
    ],
  ]),
];
for (const [name, row] of table) test(`${name}: ${row[0]}`, () => stage.replay(row));

// The rules by which tools stop asking for pages; each must end with every profile once.
test('pages: every tool finds every profile once', async () => {
  const mark = freshName('mark');
  const ids = times(23, (i) => `${mark} ${i}`);
  const messages = ids.map((id) => ({ $token: world.token, $distinct_id: id, $set: { mark } }));
  one(await world.server.request('/engage', json('/engage', messages)));
  const ask = async (params) => {
    const whole = query({
      project_id: world.project.project_id,
      where: `properties["mark"] == "${mark}"`,
      page_size: 5,
      ...params,
    });
    const answer = await world.server.request(`/api/2.0/engage?${whole}`, {
      headers: { Authorization: world.authorization },
    });
    assert.equal(answer.status, 200, answer.text);
    return answer.json();
  };
  const rules = {
    'mixpanel-utils': async () => {
      const first = await ask({});
      const pages = Math.ceil(first.total / first.page_size);
      const others = times(pages - 1, (i) => ask({ page: i + 1, session_id: first.session_id }));
      return [first, ...(await Promise.all(others))];
    },
    'tap-mixpanel': async () => {
      const pages = [];
      let session_id,
        offset = 0,
        total = 0;
      do {
        const next = await ask({ page: pages.length, session_id });
        pages.push(next);
        ({ session_id, total } = next);
        offset += next.page_size;
      } while (session_id && offset <= total);
      return pages;
    },
    'mixpanel-import': async () => {
      const pages = [await ask({})];
      const { page_size, session_id } = pages[0];
      while (pages.at(-1).results.length >= page_size) pages.push(await ask({ page: pages.length, session_id }));
      return pages;
    },
    mixpanel_data: async () => {
      const pages = [await ask({})];
      while (pages.at(-1).results.length)
        pages.push(await ask({ page: pages.length, session_id: pages[0].session_id }));
      return pages;
    },
  };
  for (const [tool, rule] of Object.entries(rules)) {
    const found = (await rule()).flatMap((answer) => answer.results.map((row) => row.$distinct_id));
    assert.deepEqual(found.sort(), [...ids].sort(), tool);
  }
});

test('answers are plain where a client says nothing of gzip, and packed where it does', async () => {
  const target = `/api/2.0/engage?project_id=${world.project.project_id}`;
  const plain = await world.server.request(target, { headers: { Authorization: world.authorization } });
  assert.equal(plain.headers['content-encoding'], undefined);
  const packed = await world.server.request(target, {
    headers: { Authorization: world.authorization, 'Accept-Encoding': 'gzip' },
  });
  const text = packed.headers['content-encoding'] === 'gzip' ? gunzipSync(packed.body) : packed.body;
  assert.equal(JSON.parse(text).total, plain.json().total);
});
