// /stream/query: what people did, newest first, under whichever of their ids they are asked for.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { day, freshName, query, World } from './harness.mjs';

let world;
before(async () => {
  world = await World.start({ timezone: 'America/New_York', server: { args: ['--set', 'query.feed_events_max=50'] } });
});
after(() => world?.end());

const get = (params, { base = '/api/query/stream/query', method = 'GET', headers, body } = {}) =>
  world.server.request(
    `${base}?${query({
      project_id: world.project.project_id,
      from_date: day(-2, 'America/New_York'),
      to_date: day(0, 'America/New_York'),
      ...params,
    })}`,
    { method, headers: { Authorization: world.authorization, ...headers }, body },
  );
const feed = async (params, options) => {
  const answer = await get(params, options);
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.equal(answer.json().status, 'ok');
  return answer.json().results.events;
};
const now = Math.floor(Date.now() / 1000);

test('the events of a person, newest first, with the id under both names', async () => {
  const name = freshName();
  const who = `u-${name}`;
  for (const ago of [300, 100, 200])
    await world.send(world.event(name, { time: now - ago, distinct_id: who, ago, $insert_id: `i${ago}` }));
  await world.send(world.event(name, { time: now - 150, distinct_id: 'somebody else' }));
  const events = await feed({ distinct_ids: JSON.stringify([who]) });
  assert.deepEqual(
    events.map((event) => event.properties.ago),
    [100, 200, 300],
  );
  for (const event of events) {
    assert.equal(event.event, name);
    assert.equal(event.properties.time, now - event.properties.ago);
    assert.equal(event.properties.distinct_id, who);
    assert.equal(event.properties.$distinct_id, who);
    assert.equal(event.properties.$insert_id, `i${event.properties.ago}`);
  }
  assert.equal((await feed({ distinct_ids: JSON.stringify([who]), limit: 2 })).length, 2);
  assert.equal((await feed({ distinct_ids: JSON.stringify([who, 'somebody else']) })).length, 4);
  assert.deepEqual(await feed({ distinct_ids: '["nobody at all"]' }), []);
  for (const base of ['/api/2.0/stream/query', '/api/query/stream/query/'])
    assert.deepEqual(await feed({ distinct_ids: JSON.stringify([who]) }, { base }), events);
  const posted = await world.server.request('/api/query/stream/query', {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/json' },
    body: JSON.stringify({
      project_id: world.project.project_id,
      distinct_ids: [who],
      from_date: day(-2, 'America/New_York'),
      to_date: day(0, 'America/New_York'),
    }),
  });
  assert.deepEqual(posted.json().results.events, events);
});

test('any id of a person brings everything of that person', async () => {
  const name = freshName();
  await world.send(world.event(name, { $device_id: 'd1', distinct_id: '$device:d1', time: now - 50 }));
  await world.send(world.event(name, { $device_id: 'd1', $user_id: 'u1', distinct_id: 'u1', time: now - 40 }));
  for (const id of ['u1', '$device:d1']) {
    const events = await feed({ distinct_ids: JSON.stringify([id]) });
    assert.equal(events.length, 2, id);
    assert.ok(events.every((event) => event.properties.distinct_id === 'u1'));
    assert.equal(events[1].properties.$distinct_id_before_identity, '$device:d1');
  }
});

test('ids that are numbers, and as many events as the option allows', async () => {
  const name = freshName();
  await world.send(
    ...Array.from({ length: 60 }, (_, i) => world.event(name, { distinct_id: '12345', time: now - i })),
  );
  assert.equal((await feed({ distinct_ids: '[12345]' })).length, 50);
  assert.match((await get({ distinct_ids: '[12345]', limit: 51 })).json().error, /Error in limit.*1 to 50/);
});

test('what makes no sense is refused, by name', async () => {
  const cases = [
    [{}, /distinct_ids is required/],
    [{ distinct_ids: '' }, /distinct_ids is required/],
    [{ distinct_ids: 'u1' }, /Error in distinct_ids: not a JSON array/],
    [{ distinct_ids: '[]' }, /Error in distinct_ids: an empty list/],
    [{ distinct_ids: '[{}]' }, /Error in distinct_ids: item 0/],
    [{ distinct_ids: JSON.stringify(Array(1001).fill('a')) }, /Error in distinct_ids: 1001 ids/],
    [{ distinct_ids: '["a"]', from_date: undefined }, /from_date is required/],
    [{ distinct_ids: '["a"]', to_date: 'x' }, /Error in to_date/],
    [{ distinct_ids: '["a"]', from_date: '2024-02-02', to_date: '2024-02-01' }, /from_date/],
    [{ distinct_ids: '["a"]', limit: 0 }, /Error in limit/],
    [{ distinct_ids: '["a"]', limit: 'all' }, /Error in limit/],
  ];
  for (const [params, text] of cases) {
    const answer = await get(params);
    assert.equal(answer.status, 400, `${JSON.stringify(params).slice(0, 80)}: ${answer.text.slice(0, 200)}`);
    assert.match(answer.json().error, text);
  }
  assert.equal((await get({ distinct_ids: '["a"]' }, { headers: { Authorization: '' } })).status, 401);
});
