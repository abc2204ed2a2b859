// What the server tells about events whose senders left it out: places from the operator's MaxMind file, browsers and
// systems from the User-Agent, and who is a crawler; by whose address, behind which proxies.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { basic, cairn, freshName, query, repository, sleep, temporaryDirectory, World } from './harness.mjs';

const geo = (name) => path.join(repository, 'tests/geo', `${name}.mmdb`);
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/118.0';
const iphone =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.5 ' +
  'Mobile/15E148 Safari/604.1';
const googlebot = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)';

const worlds = [];
async function start(...sets) {
  const args = sets.flatMap((set) => ['--set', set]);
  const world = await World.start({ server: { args } });
  worlds.push(world);
  return world;
}
after(async () => {
  for (const world of worlds) await world.end();
});

const track = (world, name, properties, params, headers) =>
  world.track([world.event(name, properties)], { params, headers });
// {property: label} of the one event of that name.
async function told(world, name, properties = ['$city', '$region', 'mp_country_code', '$browser', '$os', '$device']) {
  const result = {};
  for (const property of properties) {
    const [label] = Object.keys(await world.totals({ event: name, on: `properties["${property}"]` }));
    if (label !== 'undefined') result[property] = label;
  }
  return result;
}
const malmo = { $city: 'Malmö', $region: 'Skåne County', mp_country_code: 'SE' };

test('places: of the event’s ip, of the client’s address, and of neither', async () => {
  const world = await start(`enrich.geo_database=${geo('first')}`);
  const rows = [
    [{ ip: '192.0.2.1' }, {}, malmo],
    [{ ip: '2001:db8::5' }, {}, { $city: 'Lyon', $region: 'Auvergne-Rhône-Alpes', mp_country_code: 'FR' }],
    [{ ip: '192.0.2.200' }, {}, { mp_country_code: 'DE' }],
    [{ ip: '192.0.2.1' }, { ip: 0 }, malmo],
    [{ ip: '192.0.2.1', $city: 'Elsewhere' }, {}, { ...malmo, $city: 'Elsewhere' }],
    [{ ip: '203.0.113.9' }, { ip: 1 }, {}],
    [{ ip: '0' }, { ip: 1 }, {}],
    [{ ip: 0 }, { ip: 1 }, {}],
    [{ ip: 'rubbish' }, { ip: 1 }, {}],
    [{}, {}, {}],
    [{}, { ip: 0 }, {}],
    [{}, { ip: 1 }, { $city: 'Loopback City', $region: 'Here', mp_country_code: 'ZZ' }],
    [{ ip: null }, { ip: 1 }, { $city: 'Loopback City', $region: 'Here', mp_country_code: 'ZZ' }],
    [{ list: [1] }, { ip: 1 }, { $city: 'Loopback City', $region: 'Here', mp_country_code: 'ZZ' }],
  ];
  for (const [properties, params, expected] of rows) {
    const name = freshName();
    assert.equal((await track(world, name, properties, params)).text, '1');
    assert.deepEqual(await told(world, name), expected, JSON.stringify([properties, params]));
    assert.deepEqual(await told(world, name, ['ip']), {}, 'an address is never stored');
  }
});

test('/import looks at the event’s own ip alone', async () => {
  const world = await start(`enrich.geo_database=${geo('first')}`);
  const name = freshName(),
    other = freshName();
  const time = Math.floor(Date.now() / 1000);
  const events = [
    { event: name, properties: { time, distinct_id: 'u', $insert_id: 'a1', ip: '192.0.2.1' } },
    { event: other, properties: { time, distinct_id: 'u', $insert_id: 'a2' } },
  ];
  const answer = await world.server.request('/import?strict=1&ip=1', {
    method: 'POST',
    headers: { Authorization: basic(`${world.project.secret}:`), 'User-Agent': firefox },
    body: JSON.stringify(events),
  });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(await told(world, name), malmo);
  assert.deepEqual(await told(world, other), {});
});

test('without a file there are no places, and the address is not stored either', async () => {
  const world = await start();
  const name = freshName();
  await track(world, name, { ip: '192.0.2.1' }, { ip: 1 });
  assert.deepEqual(await told(world, name, ['$city', 'ip']), {});
  await world.server.stop();
  const bytes = (folder) =>
    readdirSync(folder, { withFileTypes: true }).map((entry) =>
      entry.isDirectory()
        ? bytes(path.join(folder, entry.name)).join('')
        : readFileSync(path.join(folder, entry.name)).toString('latin1'),
    );
  assert.ok(!bytes(world.data).join('').includes('192.0.2.1'), 'no file holds the address');
});

test('User-Agents: of devices, not of servers; what the sender says counts more', async () => {
  const world = await start();
  const rows = [
    [firefox, {}, { ip: 1 }, { $browser: 'Firefox', $os: 'Linux' }],
    [iphone, {}, { img: 1 }, { $browser: 'Mobile Safari', $os: 'iOS', $device: 'iPhone' }],
    [iphone, { $browser: 'Mine' }, { ip: 1 }, { $browser: 'Mine', $os: 'iOS', $device: 'iPhone' }],
    [firefox, {}, {}, {}],
    [firefox, {}, { ip: 0 }, {}],
    ['', {}, { ip: 1 }, {}],
    ['x'.repeat(5000), {}, { ip: 1 }, {}],
  ];
  for (const [agent, properties, params, expected] of rows) {
    const name = freshName();
    assert.equal((await track(world, name, properties, params, { 'User-Agent': agent })).status, 200);
    assert.deepEqual(await told(world, name), expected, JSON.stringify([agent.slice(0, 40), properties, params]));
  }
  const name = freshName();
  await track(world, name, {}, {}, { 'User-Agent': firefox, Origin: 'https://shop.example' });
  assert.deepEqual(await told(world, name), { $browser: 'Firefox', $os: 'Linux' });
  assert.equal(await world.count(name, { where: 'properties["$browser_version"] == 118' }), 1);
});

test('User-Agents can be left alone', async () => {
  const world = await start('enrich.user_agents=no');
  const name = freshName();
  await track(world, name, {}, { ip: 1 }, { 'User-Agent': firefox });
  assert.deepEqual(await told(world, name), {});
});

test('crawlers are kept, marked or dropped', async () => {
  for (const [bots, count, marked] of [
    ['keep', 1, {}],
    ['mark', 1, { $is_bot: 'true' }],
    ['drop', 0, {}],
  ]) {
    const world = await start(`enrich.bots=${bots}`);
    const name = freshName();
    const answer = await track(world, name, {}, { ip: 1 }, { 'User-Agent': googlebot });
    assert.equal(answer.text, '1', 'a crawler is told of success in any case');
    assert.equal(await world.count(name), count);
    if (count) assert.deepEqual(await told(world, name, ['$is_bot']), marked);
    const human = freshName();
    await track(world, human, {}, { ip: 1 }, { 'User-Agent': firefox });
    assert.equal(await world.count(human), 1);
  }
});

test('proxies that are trusted are believed, others are not', async () => {
  const forwarded = async (world, ...values) => {
    const name = freshName();
    await world.server.request(`/track?${query({ ip: 1 })}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Forwarded-For': values },
      body: JSON.stringify(world.event(name)),
    });
    return (await told(world, name)).mp_country_code;
  };
  const trusting = await start(
    `enrich.geo_database=${geo('first')}`,
    'http.trusted_proxies=127.0.0.0/8, 10.0.0.0/8, 2001:db8:ffff::/48',
  );
  assert.equal(await forwarded(trusting, '192.0.2.1'), 'SE');
  assert.equal(await forwarded(trusting, '198.51.100.1, 192.0.2.1'), 'SE', 'the last one is what the proxy saw');
  assert.equal(await forwarded(trusting, '192.0.2.1, 10.1.2.3'), 'SE', 'two proxies in a row');
  assert.equal(await forwarded(trusting, '192.0.2.1', '10.1.2.3'), 'SE', 'in two fields');
  assert.equal(await forwarded(trusting, '192.0.2.1:4711'), 'SE');
  assert.equal(await forwarded(trusting, '[2001:db8::7]:4711, 2001:db8:ffff::1'), 'FR');
  assert.equal(await forwarded(trusting, 'unknown'), 'ZZ', 'nobody behind the proxy is named: the proxy itself');
  assert.equal(await forwarded(trusting, ''), 'ZZ');
  const wary = await start(`enrich.geo_database=${geo('first')}`);
  assert.equal(await forwarded(wary, '192.0.2.1'), 'ZZ', 'anybody can write that');
});

test('SIGHUP reads the file again', async () => {
  const file = path.join(temporaryDirectory(), 'city.mmdb');
  const put = (name) => {
    copyFileSync(geo(name), `${file}.new`);
    renameSync(`${file}.new`, file);
  };
  put('first');
  const world = await start(`enrich.geo_database=${file}`);
  const city = async () => {
    const name = freshName();
    await track(world, name, { ip: '192.0.2.1' });
    return (await told(world, name)).$city;
  };
  assert.equal(await city(), 'Malmö');
  put('second');
  world.server.child.kill('SIGHUP');
  for (let tries = 0; (await city()) !== 'Kyoto'; tries++) {
    assert.ok(tries < 500);
    await sleep(20);
  }
});

test('what cannot work is refused at the start', () => {
  for (const [set, message] of [
    ['enrich.geo_database=/nowhere.mmdb', /cannot read \/nowhere\.mmdb/],
    [`enrich.geo_database=${path.join(repository, 'README.md')}`, /is no MaxMind database/],
    ['http.trusted_proxies=10.0.0.0/33', /"10\.0\.0\.0\/33", which is no network/],
    ['http.trusted_proxies=proxy.example', /which is no network/],
    ['enrich.bots=eat', /keep, mark or drop|keep\|mark\|drop|keep/],
  ]) {
    const result = cairn(['serve', '--data', temporaryDirectory(), '--listen', '127.0.0.1:0', '--set', set]);
    assert.match(result.stderr, message);
    assert.notEqual(result.code, 0);
  }
});

test('profiles: where $ip is, or else the client; what the message sets counts more', async () => {
  const world = await start(`enrich.geo_database=${geo('first')}`);
  const here = { $city: 'Loopback City', $region: 'Here', $country_code: 'ZZ', $timezone: 'UTC' };
  const there = { $city: 'Malmö', $region: 'Skåne County', $country_code: 'SE', $timezone: 'Europe/Stockholm' };
  const rows = [
    [{ $set: { a: 1 } }, '', { a: 1, ...here }],
    [{ $set: { a: 1 } }, 'ip=1', { a: 1, ...here }],
    [{ $set: { a: 1 } }, 'ip=0', { a: 1 }],
    [{ $ip: '192.0.2.1', $set: { a: 1 } }, 'ip=0', { a: 1, ...there }],
    [{ $ip: '192.0.2.1', $set: { $city: 'Mine' } }, '', { ...there, $city: 'Mine' }],
    [{ $ip: '0', $set: { a: 1 } }, '', { a: 1 }],
    [{ $ip: 0, $set: { a: 1 } }, 'ip=1', { a: 1 }],
    [{ $ip: '192.0.2.1', $unset: ['a'] }, '', null],
  ];
  for (const [message, params, expected] of rows) {
    const id = freshName('person');
    const answer = await world.server.request(`/engage?${params}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify([{ $token: world.token, $distinct_id: id, $ignore_time: true, ...message }]),
    });
    assert.equal(answer.text, '1');
    const asked = query({ project_id: world.project.project_id, distinct_id: id });
    const found = await world.server.request(`/api/query/engage?${asked}`, {
      headers: { Authorization: world.authorization },
    });
    const results = found.json().results.map((one) => one.$properties);
    assert.deepEqual(results, expected ? [expected] : [], JSON.stringify([message, params]));
  }
  const group = { $token: world.token, $group_key: 'company', $group_id: 'acme', $set: { size: 5 } };
  await world.server.request('/groups', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify([group]),
  });
  const listed = await world.server.request(
    `/api/query/engage?${query({ project_id: world.project.project_id, data_group_id: 'company' })}`,
    { headers: { Authorization: world.authorization } },
  );
  assert.equal(listed.json().results[0].$properties.$city, undefined, 'a group is not where its member is');
});
