// `cairn bench`: made-up events are the same everywhere, and what the engine answers about them is what they say.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { cairn, cairnAsync, createProject, temporaryDirectory, World } from './harness.mjs';

const digest = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16);
const generate = (...args) => {
  const result = cairn(['bench', 'generate', ...args]);
  assert.equal(result.code, 0, result.stderr);
  return result.stdout;
};
const range = { from: '2024-01-01', to: '2024-03-30' };

// Loads made-up events and returns how to ask about them, and the events themselves.
function loaded(events, ...args) {
  const directory = temporaryDirectory('bench');
  const file = path.join(directory, 'events.ndjson');
  const data = path.join(directory, 'data');
  generate('--events', events, '--user-numbers', '--out', file, ...args);
  const load = cairn(['bench', 'load', '--data', data, '--batch', 300, '--json', file]);
  assert.equal(load.code, 0, load.stderr);
  const list = readFileSync(file, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
  const ask = (question) => {
    const input = JSON.stringify([{ name: 'q', ...range, ...question }]);
    const result = cairn(['bench', 'query', '--data', data, '--queries', '-', '--repeat', 2, '--json'], { input });
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout);
  };
  return { data, list, ask, report: JSON.parse(load.stdout) };
}

test('made-up events are the same on every machine', () => {
  assert.equal(digest(generate('--events', 2000)), 'ee175fac2bda0f45');
  assert.equal(digest(generate('--events', 2000, '--profile', 'web', '--seed', 7)), 'c6339bca5f89073d');
  assert.notEqual(digest(generate('--events', 2000, '--seed', 2)), digest(generate('--events', 2000)));
});

test('as many events as asked for, in the order of time, a part of the days being a part of the bytes', () => {
  const whole = generate('--events', 5000, '--days', 10);
  const times = whole.trimEnd().split('\n').map((line) => JSON.parse(line).properties.time);
  assert.equal(times.length, 5000);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  const parts = [[0, 3], [3, 4], [4, 10]].map(([from, to]) =>
    generate('--events', 5000, '--days', 10, '--from', from, '--to', to),
  );
  assert.equal(parts.join(''), whole);
});

test('every link that is listed stands in the events', () => {
  const directory = temporaryDirectory('bench-links');
  const links = path.join(directory, 'links.tsv');
  const events = generate('--events', 5000, '--user-numbers', '--links', links).trimEnd().split('\n').map((line) => JSON.parse(line));
  const linking = events.filter(({ properties }) => properties.$device_id && properties.$user_id);
  const lines = linking.map(({ properties, user }) => `${properties.$device_id}\t${properties.$user_id}\t${user}\n`);
  assert.ok(lines.length > 10);
  assert.equal(readFileSync(links, 'utf8'), lines.join(''));
});

test('as many users are linked as was asked for', () => {
  const usersOf = (linked) => {
    const directory = temporaryDirectory('bench-linked');
    const links = path.join(directory, 'links.tsv');
    generate('--events', 5000, '--linked', linked, '--links', links);
    return new Set(readFileSync(links, 'utf8').split('\n').filter(Boolean).map((line) => line.split('\t')[2])).size;
  };
  assert.equal(usersOf(0), 0);
  const some = usersOf(30);
  assert.ok(some > 10);
  assert.ok(usersOf(60) > 1.5 * some);
});

for (const profile of ['shop', 'web']) {
  test(`what was loaded is what is answered: ${profile}`, () => {
    const { list, ask, report } = loaded(20000, '--profile', profile);
    assert.equal(report.events, 20000);
    assert.equal(report.refused, 0);
    assert.ok(report.bytes_logged > 0 && report.section_bytes > 0);

    const byName = new Map();
    const views = new Map();
    for (const { event, properties } of list) {
      const day = new Date(properties.time * 1000).toISOString().slice(0, 10);
      byName.set(event, (byName.get(event) ?? 0) + 1);
      if (event === 'View Item') views.set(day, (views.get(day) ?? 0) + 1);
    }
    const names = ask({ unit: 'range', on: 'properties["$event_name"]' });
    assert.deepEqual(new Map(names.answer.map(([, name, count]) => [name, count])), byName);
    assert.equal(names.wall_ms.length, 2);
    assert.deepEqual(ask({ events: ['View Item'] }).answer, [...views]);
    // Devices count for the users that they were linked to.
    const people = new Set(list.map(({ user }) => user)).size;
    assert.deepEqual(ask({ unit: 'range', measure: 'unique' }).answer, [['2024-01-01', people]]);
  });
}

test('opening tells the time to the first answer', () => {
  const { data } = loaded(2000);
  const result = cairn(['bench', 'open', '--data', data, '--json']);
  assert.equal(result.code, 0, result.stderr);
  const { open_ms, first_answer_ms, resident_bytes } = JSON.parse(result.stdout);
  assert.ok(open_ms > 0 && first_answer_ms >= open_ms && resident_bytes > 0);
});

test('the self-test leaves nothing behind', () => {
  const directory = temporaryDirectory('bench-self');
  const result = cairn(['bench', 'self', '--events', 3000, '--data', directory]);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /loading +3 000 events/);
  assert.match(result.stdout, /people by country/);
  assert.equal(cairn(['bench', 'load', '--data', path.join(directory, 'none'), path.join(directory, 'none.ndjson')]).code, 1);
});

test('questions about made-up profiles find those that there are', () => {
  const directory = temporaryDirectory('bench-profiles');
  const result = cairn(['bench', 'profiles', '--profiles', 3000, '--data', directory, '--memory', '256m']);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /loading +3 000 profiles/);
  assert.match(result.stdout, /everybody +[\d.]+ ms +cpu +[\d.]+ ms +3 000\n/);
  assert.match(result.stdout, /one, by its id +[\d.]+ ms +cpu +[\d.]+ ms +1\n/);
  assert.match(result.stdout, /properties and their types +[\d.]+ ms +cpu +[\d.]+ ms +10\n/);
  assert.deepEqual(readdirSync(directory), []);
});

test('what cannot be is said', () => {
  const directory = temporaryDirectory('bench-refused');
  const refuse = (args, code, text, input) => {
    const result = cairn(['bench', ...args], { input });
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, text);
  };
  refuse(['generate', '--events', '0'], 2, /number of events must be 1 to/);
  refuse(['generate', '--days', '10', '--from', '8', '--to', '11'], 2, /no days 8 to 11 of 10/);
  refuse(['generate', '--linked', '86'], 2, /--linked 86 is no number from 0 to 85/);
  refuse(['generate', '--profile', 'car'], 2, /no profile "car"/);
  refuse(['profiles', '--profiles', '0'], 2, /--profiles 0 is no number of profiles/);
  refuse(['load'], 2, /--data DIR is missing/);
  const file = path.join(directory, 'broken.ndjson');
  writeFileSync(file, '{"event":"A","properties":{"distinct_id":"u"}}\n{"event":\n');
  refuse(['load', '--data', path.join(directory, 'a'), file], 2, /./);
  writeFileSync(file, '{"event":"A","properties":{"time":"soon"}}\n');
  refuse(['load', '--data', path.join(directory, 'b'), file], 1, /1 events were refused/);
  createProject(path.join(directory, 'server'));
  refuse(['load', '--data', path.join(directory, 'server'), file], 2, /belongs to a server/);
  const query = ['query', '--data', path.join(directory, 'b'), '--queries', '-'];
  refuse(query, 2, /no JSON list/, '{}');
  refuse(query, 2, /needs days/, '[{}]');
  refuse(query, 2, /"colour" of a question is not known/, '[{"colour":"red"}]');
  refuse(query, 2, /"half" is no measure/, '[{"measure":"half"}]');
});

test('questions may come one by one', () => {
  const { data } = loaded(2000);
  const input = [{ ...range, events: ['View Item'] }, { ...range, unit: 'range' }].map((q) => `${JSON.stringify(q)}\n`).join('');
  const result = cairn(['bench', 'query', '--data', data, '--follow', '--repeat', 1, '--json'], { input });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout.replaceAll('\n', ''), /\["2024-01-01",2000\]\]\}$/);
  assert.equal(cairn(['bench', 'query', '--data', data]).code, 2);
});

test('what is sent to /import is all there, and in the file of what was sent', async () => {
  const world = await World.start();
  try {
    const directory = temporaryDirectory('bench-import');
    const [file, packed] = ['events.ndjson', 'events.ndjson.gz'].map((name) => path.join(directory, name));
    generate('--events', 5000, '--out', file);
    const send = (...args) => cairnAsync(['bench', 'import', '--url', world.url, '--packed', packed, '--json', ...args, file]);
    const account = `${world.account.username}:${world.account.secret}`;
    const sent = await send('--user', account, '--project', world.project.project_id, '--batch', 300, '--connections', 3);
    assert.equal(sent.code, 0, sent.stderr);
    const { events, requests, bytes } = JSON.parse(sent.stdout);
    const lines = readFileSync(file, 'utf8');
    assert.deepEqual({ events, requests, bytes }, { events: 5000, requests: 17, bytes: Buffer.byteLength(lines) });
    assert.equal(gunzipSync(readFileSync(packed)).toString(), lines);
    // Sent again, by the token, they are the same events.
    assert.equal((await send('--user', world.token)).code, 0);
    const list = lines.trimEnd().split('\n').map((line) => JSON.parse(line));
    const views = list.filter(({ event }) => event === 'View Item').length;
    const all = { from_date: '2023-12-31', to_date: '2024-12-31', unit: 'month' };
    assert.ok(views > 100);
    assert.equal(await world.count('View Item', all), views);
    // What goes wrong is told.
    const refused = await send('--user', 'nobody');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /answered with 401: .*invalid project secret/);
    writeFileSync(file, `${lines}{"event":"No time"}\n`);
    const bad = await send('--user', world.token);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /request 3 was answered with 400: .*properties.time/);
    assert.equal((await send('--user', world.token, '--url', 'http://127.0.0.1:1')).code, 1);
  } finally {
    await world.end();
  }
});
