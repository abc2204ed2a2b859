// `cairn verify` and `cairn inspect` beside a server that works, on a directory at rest, and on one that somebody has
// damaged; and what the server itself says about such a directory.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { cairn, cairnAsync, freshName, Server, sleep, temporaryDirectory, World } from './harness.mjs';

const small = ['store.wal_file_bytes=64k', 'store.flush_rows=100', 'store.flush_interval=100ms'].flatMap((setting) => [
  '--set',
  setting,
]);
let world;
before(async () => {
  world = await World.start({ server: { args: small } });
});
after(() => world?.end());

const files = (kind) =>
  readdirSync(path.join(world.data, 'events'))
    .filter((file) => file.endsWith(kind))
    .map((file) => path.join(world.data, 'events', file));

const begin = Math.floor(Date.now() / 1000) - 3600;
const some = (name, count, first = 0) =>
  Array.from({ length: count }, (_, n) =>
    world.event(name, {
      time: begin + ((first + n) % 3000),
      $device_id: `d${(first + n) % 20}`,
      $user_id: (first + n) % 3 ? `u${(first + n) % 20}` : undefined,
      $insert_id: `${name}-${first + n}`.replaceAll(/[^a-zA-Z0-9-]/g, '-'),
      plan: ['free', 'pro'][n % 2],
      price: n / 7,
      tags: ['a', n],
    }),
  );

// Shows: while events come in, files are replaced and the log moves on, there is never anything wrong.
test('beside a running server', async () => {
  const name = freshName();
  let sending = true,
    sent = 0;
  const sender = (async () => {
    while (sending) {
      await world.send(...some(name, 50, sent));
      if (sent) await world.send(...some(name, 10, sent - 50));
      sent += 50;
      await sleep(10);
    }
  })();
  for (let round = 0; round < 5; round++) {
    const args = ['verify', '--data', world.data, '--json', ...(round % 2 ? ['--deep'] : [])];
    const result = await cairnAsync(args);
    assert.equal(result.code, 0, `${result.stdout} ${result.stderr}`);
    const verdict = JSON.parse(result.stdout);
    assert.equal(verdict.ok, true);
    assert.deepEqual(verdict.findings, []);
    assert.equal(verdict.server_pid, world.server.child.pid);
    const inspected = await cairnAsync(['inspect', '--data', world.data, '--json']);
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.equal(JSON.parse(inspected.stdout).server_pid, world.server.child.pid);
  }
  sending = false;
  await sender;
  assert.equal(await world.count(name), sent);
});

// Shows: at rest everything is accounted for, in both forms.
test('a directory at rest', async () => {
  const name = freshName();
  await world.send(...some(name, 300));
  await world.send(...some(name, 40)); // again
  await world.server.stop();
  try {
    const verified = cairn(['verify', '--data', world.data, '--deep']);
    assert.equal(verified.code, 0, verified.stdout);
    assert.match(verified.stdout, /nothing is wrong\n$/);

    const inspected = cairn(['inspect', '--data', world.data, '--all', '--json']);
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.equal(inspected.stderr, '');
    const all = JSON.parse(inspected.stdout);
    assert.equal(all.server_pid, null);
    const [project] = all.projects;
    assert.equal(project.project, world.project.project_id);
    assert.equal(
      project.rows,
      all.sections.reduce((sum, section) => sum + section.rows, 0),
    );
    for (const section of all.sections) {
      assert.equal(
        section.rows,
        section.events.reduce((sum, event) => sum + event.rows, 0),
      );
      for (const event of section.events) assert.ok(event.columns.some((column) => column.stream === 'person'));
    }
    const catalogs = all.catalogs.reduce((sum, file) => sum + file.bytes, 0);
    const blocks = Object.values(all.catalog_bytes).reduce((sum, size) => sum + size, 0);
    for (const kind of ['event_names', 'property_names', 'ids', 'weights']) assert.ok(all.catalog_bytes[kind] > 0, kind);
    assert.ok(blocks < catalogs, `${blocks} bytes of blocks in ${catalogs} of files`);
    const bytes = project.columns.map((column) => column.bytes);
    assert.deepEqual(
      bytes,
      bytes.toSorted ? bytes.toSorted((a, b) => b - a) : [...bytes].sort((a, b) => b - a),
    );
    for (const property of ['plan', 'price', 'tags'])
      assert.ok(project.columns.some((column) => column.name === property && column.present > 0), property);

    const text = cairn(['inspect', '--data', world.data]);
    assert.equal(text.code, 0);
    assert.match(text.stdout, /manifest +MANIFEST-[0-9a-f]{16}/);
    assert.match(text.stdout, /catalogs +\d+ files, .*: event_names .*, ids /);
    assert.match(text.stdout, /SECTION FILE/);
    assert.match(text.stdout, /\n {2}plan /);

    const section = cairn(['inspect', files('.sec')[0]]);
    assert.equal(section.code, 0, section.stderr);
    assert.match(section.stdout, /COLUMN +ENCODING/);
    assert.ok(section.stdout.includes('(minute)'));
    const log = readdirSync(path.join(world.data, 'wal')).find((file) => file.endsWith('.wal'));
    const frames = cairn(['inspect', '--json', path.join(world.data, 'wal', log)]);
    assert.equal(frames.code, 0, frames.stderr);
    assert.equal(JSON.parse(frames.stdout).kind, 'CAIRNWAL');
  } finally {
    world.server = await Server.start(world.data, world.serverOptions);
  }
});

// Shows: a section file by itself, far from its directory, can be looked at: with numbers for names.
test('a file without its directory', async () => {
  await world.send(...some(freshName(), 120));
  for (let tries = 0; !files('.sec').length; tries++) {
    assert.ok(tries < 300, 'it is flushed');
    await sleep(100);
  }
  const copy = path.join(temporaryDirectory('copy'), 'lost.sec');
  writeFileSync(copy, readFileSync(files('.sec')[0]));
  const result = cairn(['inspect', copy]);
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /event 0|event 1/);
  assert.match(result.stdout, /property 0/);
});

// Shows: damage is found, named with file and offset, and answered with exit code 1; the server refuses what it cannot
// trust and names the file as well.
test('a damaged directory', async () => {
  await world.send(...some(freshName(), 200));
  await world.server.stop();
  const [section] = files('.sec');
  const [catalog] = files('.cat');
  const good = readFileSync(section);
  try {
    const bad = Buffer.from(good);
    bad[100] ^= 1;
    writeFileSync(section, bad);
    let result = cairn(['verify', '--data', world.data, '--json']);
    assert.equal(result.code, 1, result.stdout);
    const verdict = JSON.parse(result.stdout);
    assert.equal(verdict.ok, false);
    assert.equal(verdict.finding_count, verdict.findings.length);
    for (const finding of verdict.findings) assert.equal(finding.file, `events/${path.basename(section)}`);
    assert.ok(verdict.findings[0].offset >= 64);
    writeFileSync(section, good.subarray(0, good.length - 9));
    result = cairn(['verify', '--data', world.data]);
    assert.equal(result.code, 1);
    assert.ok(result.stdout.includes(path.basename(section)), result.stdout);
    await assert.rejects(Server.start(world.data), new RegExp(path.basename(section)));
    writeFileSync(section, good);

    // a directory where a file should be
    renameSync(catalog, `${catalog}.away`);
    mkdirSync(catalog);
    result = cairn(['verify', '--data', world.data]);
    assert.equal(result.code, 1);
    assert.ok(result.stdout.includes(path.basename(catalog)), result.stdout);
    await assert.rejects(Server.start(world.data), new RegExp(path.basename(catalog)));
    rmdirSync(catalog);
    result = cairn(['verify', '--data', world.data]);
    assert.equal(result.code, 1);
    assert.match(result.stdout, /No such file/);
    renameSync(`${catalog}.away`, catalog);

    // files of somebody else are nobody's business
    writeFileSync(path.join(world.data, 'events', 'notes.txt'), 'hello');
    result = cairn(['verify', '--data', world.data]);
    assert.equal(result.code, 0, result.stdout);
    assert.match(result.stdout, /note: events\/notes\.txt/);
  } finally {
    world.server = await Server.start(world.data, world.serverOptions);
  }
});

// Shows: wrong use answers 2 and says what is wrong; a directory that is none answers 1.
test('usage', () => {
  for (const [args, message] of [
    [['verify'], /--data DIR is missing/],
    [['verify', '--data', world.data, '--format', 'xml'], /"xml" is no format/],
    [['verify', '--data', world.data, 'extra'], /unexpected argument "extra"/],
    [['inspect'], /--data DIR or a file is missing/],
    [['inspect', '--data', world.data, '--project', 'x'], /"x" is no project id/],
    [['inspect', world.data], /is a directory: name it with --data/],
  ]) {
    const result = cairn(args);
    assert.equal(result.code, 2, args.join(' '));
    assert.match(result.stderr, message);
    assert.equal(result.stdout, '');
  }
  const nothing = temporaryDirectory('nothing');
  for (const command of ['verify', 'inspect']) {
    const result = cairn([command, '--data', nothing]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /there is no manifest/);
    assert.deepEqual(readdirSync(nothing), []);
    assert.match(cairn([command, '--help']).stdout, /Example/);
  }
});

// ---- values at the edge of what is allowed ----------------------------------------------------------------

// Shows: one property too many refuses this record and no other.
test('256 properties', async () => {
  const [good, bad] = [freshName(), freshName()];
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, n]));
  await world.send(world.event(good, { distinct_id: 'u', ...many(250) }));
  const answer = await world.track([world.event(bad, { distinct_id: 'u', ...many(300) })], { params: { verbose: 1 } });
  assert.equal(answer.json().status, 0, answer.text);
  assert.match(answer.json().error, /255/);
  assert.equal(await world.count(good), 1);
  assert.equal(await world.count(bad), 0);
});

// Shows: texts of any characters are values, property names and ids, and come back as they were after a restart.
test('NUL and other characters', async () => {
  const name = freshName('ev\u0000il \u{1F600}');
  const values = ['a\u0000b', 'a', '\u0000', '\uFFFD', '\u{10FFFF}', '\u202E', 'x'.repeat(254), 'x'.repeat(255)];
  await world.send(
    ...values.map((value) => world.event(name, { distinct_id: value, 'p\u0000q': value, $insert_id: undefined })),
  );
  for (let life = 0; life < 2; life++) {
    assert.equal(await world.count(name), values.length);
    assert.equal(await world.uniques(name), values.length);
    const totals = await world.totals({ event: name, on: 'properties["p\u0000q"]' });
    assert.deepEqual(Object.keys(totals).sort(), [...values].sort());
    if (life === 0) await world.restart();
  }
  assert.equal(cairn(['verify', '--data', world.data, '--deep']).code, 0);
});

// Shows: half a surrogate pair is no text: refused, and nothing of it is stored.
test('lone surrogates', async () => {
  const name = freshName();
  const body = (text) => `[{"event":"${text.event ?? name}","properties":{"token":"${world.token}","distinct_id":"${
    text.id ?? 'u'
  }","${text.key ?? 'k'}":"${text.value ?? 'v'}"}}]`;
  for (const text of [{ event: `${name}\\ud800` }, { id: '\\udc00' }, { key: '\\ud800x' }, { value: '\\udfff' }]) {
    const answer = await world.server.request('/track?verbose=1', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: body(text),
    });
    assert.equal(answer.json().status, 0, `${JSON.stringify(text)}: ${answer.text}`);
  }
  assert.equal(await world.count(name), 0);
});
