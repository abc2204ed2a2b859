// cairn export --url: a folder of days from a server, that goes on where it stopped, also when the server breaks off;
// and into one file that cairn import takes back.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { cairn, cairnAsync, createAccount, createProject, day, temporaryDirectory, World } from './harness.mjs';

let world;
const DAYS = 4;
const first = Math.floor(Date.now() / 86_400_000) - 20;
const date = (n) => new Date((first + n) * 86_400_000).toISOString().slice(0, 10);
before(async () => {
  world = await World.start();
  const events = [];
  for (let i = 0; i < DAYS * 50; i++)
    events.push({
      event: i % 5 ? 'A' : 'B & co',
      properties: {
        time: (first + (i % DAYS)) * 86_400_000 + i * 1001,
        distinct_id: `u${i % 7}`,
        $insert_id: `x-${i}`,
        i,
      },
    });
  const answer = await world.server.request(`/import?strict=1&project_id=${world.project.project_id}`, {
    method: 'POST',
    headers: { Authorization: world.authorization, 'Content-Type': 'application/x-ndjson' },
    body: events.map((event) => JSON.stringify(event)).join('\n'),
  });
  assert.equal(answer.status, 200, answer.text);
});
after(() => world?.end());

const args = (...more) => [
  'export',
  '--url',
  world.url,
  '--credentials',
  `${world.account.username}:${world.account.secret}`,
  '--project',
  world.project.project_id,
  '--quiet',
  ...more,
];
const rows = (file) =>
  gunzipSync(readFileSync(file))
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

test('a folder of days; the same command leaves out what is there', () => {
  const folder = `${path.join(temporaryDirectory('export'), 'days')}/`;
  const range = ['--from', date(0), '--to', date(DAYS - 1), '--out', folder];
  assert.equal(cairn(args(...range)).code, 0);
  assert.deepEqual(
    readdirSync(folder).sort(),
    [0, 1, 2, 3].map((n) => `${date(n)}.ndjson.gz`),
  );
  const all = [0, 1, 2, 3].flatMap((n) => rows(`${folder}${date(n)}.ndjson.gz`));
  assert.deepEqual(
    all.map((row) => row.properties.i).sort((a, b) => a - b),
    Array.from({ length: DAYS * 50 }, (_, i) => i),
  );
  assert.ok(all.every((row) => row.properties.time % 1000 === row.properties.i % 1000), 'times are exact');
  // A day that is there stays; one that was made before its end is made again.
  writeFileSync(`${folder}${date(0)}.ndjson.gz`, 'kept');
  utimesSync(`${folder}${date(1)}.ndjson.gz`, first * 86400, (first + 1) * 86400 + 100);
  const again = cairn(args(...range).filter((arg) => arg !== '--quiet'));
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stdout, /50 events of 1 days.*3 days were there already/);
  assert.equal(readFileSync(`${folder}${date(0)}.ndjson.gz`, 'utf8'), 'kept');
  assert.equal(rows(`${folder}${date(1)}.ndjson.gz`).length, 50);
});

test('some events only, into one file or standard output; read back by cairn import', async () => {
  const file = path.join(temporaryDirectory('export'), 'some.ndjson.gz');
  const range = ['--from', date(0), '--to', date(DAYS - 1)];
  const some = cairn(args(...range, '--event', 'B & co', '--where', 'properties["i"] < 100', '--out', file));
  assert.equal(some.code, 0, some.stderr);
  assert.deepEqual(
    rows(file)
      .map((row) => row.properties.i)
      .sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i * 5),
  );
  const piped = cairn(args(...range));
  assert.equal(piped.stdout.split('\n').filter(Boolean).length, DAYS * 50);
  const data = temporaryDirectory('copy');
  const copy = createProject(data);
  createAccount(data, copy.project_id);
  const everything = path.join(temporaryDirectory('export'), 'all.ndjson.zst');
  assert.equal(cairn(args(...range, '--out', everything)).code, 0);
  const taken = cairn(['import', '--data', data, '--project', copy.project_id, '--quiet', everything]);
  assert.equal(taken.code, 0, taken.stderr);
  const back = cairn(['export', '--data', data, '--project', copy.project_id, '--only', 'events', '--quiet']);
  const strip = (text) =>
    text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
      .map(({ event, properties: { i, time, distinct_id, $insert_id } }) => [i, event, time, distinct_id, $insert_id])
      .sort((a, b) => a[0] - b[0]);
  const seconds = ([i, event, time, ...rest]) => [i, event, time > 1e11 ? time / 1000 : time, ...rest];
  assert.deepEqual(strip(back.stdout).map(seconds), strip(piped.stdout).map(seconds));
});

// A server of our own in front, which fails as it is told to.
function unreliable(plan) {
  const server = http.createServer((incoming, outgoing) => {
    const fault = plan.shift();
    if (fault === 'busy') return outgoing.writeHead(503, { 'Retry-After': '0' }).end('{"error":"later"}');
    if (fault === 'early') return outgoing.end('{"event":"A","properties":{}}\nterminated early\n');
    if (fault === 'cut') {
      outgoing.write('{"event":"A"');
      return setTimeout(() => outgoing.destroy(), 20);
    }
    return outgoing.end(`{"event":"A","properties":{"url":${JSON.stringify(incoming.url)}}}\n`);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

test('what breaks off is asked for again, and never taken for complete', async () => {
  const plan = ['busy', 'early', 'cut', 'good', 'good'];
  const server = await unreliable(plan);
  const folder = temporaryDirectory('export');
  const base = ['export', '--url', `http://127.0.0.1:${server.address().port}/`, '--credentials', 'a:b', '--project', '7'];
  const range = ['--from', date(0), '--to', date(1), '--quiet'];
  const done = await cairnAsync([...base, ...range, '--out', folder]);
  assert.equal(done.code, 0, done.stderr);
  for (const n of [0, 1]) {
    const [row, ...rest] = rows(path.join(folder, `${date(n)}.ndjson.gz`));
    assert.equal(rest.length, 0);
    assert.match(row.properties.url, new RegExp(`from_date=${date(n)}&to_date=${date(n)}&project_id=7`));
  }
  // No patience: it fails, with nothing under the day's name.
  plan.push('early');
  const other = path.join(folder, 'other');
  mkdirSync(other);
  const failed = await cairnAsync([...base, ...range, '--patience', '0s', '--out', other]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /broke off.*start the same command again/s);
  assert.deepEqual(readdirSync(other), []);
  // Into one file a day that has begun cannot begin again.
  plan.push('cut');
  const file = path.join(folder, 'one.ndjson');
  const single = await cairnAsync([...base, ...range, '--out', file]);
  assert.equal(single.code, 1);
  assert.match(single.stderr, /--out FOLDER\//);
  assert.equal(existsSync(file), false);
  server.close();
});

test('what is wrong is said', () => {
  const range = ['--from', date(0), '--to', date(0)];
  const cases = [
    [['export', '--url', world.url, '--project', '1', ...range], 2, /--credentials NAME:SECRET is missing/],
    [['export', '--project', '1'], 2, /--data DIR is missing, or --url URL/],
    [args('--data', world.data, ...range), 2, /not both/],
    [args(), 2, /--from DATE is missing/],
    [args('--from', day(3)), 2, /--from is later/],
    [args('--from', date(2), '--to', date(1)), 2, /--from is later/],
    [args('--only', 'profiles', ...range), 2, /events only/],
    [args('--patience', 'long', ...range), 2, /no duration/],
    [args('--where', 'properties["a"] ==', ...range), 2, /answers 400: where/],
    [
      ['export', '--url', world.url, '--credentials', 'x:y', '--project', '1', '--patience', '0s', ...range],
      1,
      /answers 401.*--credentials/s,
    ],
    [args('--url', 'ftp://127.0.0.1', ...range), 2, /http/],
    [args('--url', 'http://127.0.0.1:1', '--patience', '0s', ...range), 1, /unreachable/],
    [args('--out', '/nowhere/at/all/', ...range), 1, /cannot make the folder/],
  ];
  for (const [command, code, text] of cases) {
    const result = cairn(command);
    assert.equal(result.code, code, `${command.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, text, command.join(' '));
  }
});
