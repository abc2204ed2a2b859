// cairn import: every form of file into a data directory and over HTTP, what is refused and why, interruptions, servers
// that are away, and that nothing counts twice.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { binary, cairn, createProject, day, query, Server, sleep, temporaryDirectory, World } from './harness.mjs';

const worlds = [];
after(async () => {
  for (const world of worlds) await world.end();
});

// A data directory with a project that no server runs on; totals() asks a server that is started for the question.
function directory() {
  const data = temporaryDirectory();
  const files = temporaryDirectory('files');
  const project = createProject(data, { name: 'History' });
  const run = (...args) => cairn(['import', '--data', data, '--project', project.project_id, ...args], { cwd: files });
  const put = (name, content) => {
    const file = path.join(files, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  const totals = async (params = {}) => {
    const server = await Server.start(data);
    try {
      const whole = query({ from_date: '2019-01-01', to_date: '2019-12-31', unit: 'month', ...params });
      const answer = await server.request(`/api/2.0/segmentation?${whole}`, {
        headers: { Authorization: `Basic ${Buffer.from(`${project.secret}:`).toString('base64')}` },
      });
      assert.equal(answer.status, 200, answer.text);
      const result = {};
      for (const [label, buckets] of Object.entries(answer.json().data.values))
        result[label] = Object.values(buckets).reduce((sum, n) => sum + n, 0);
      return result;
    } finally {
      await server.stop();
    }
  };
  return { data, files, project, run, put, totals };
}

const time = Date.UTC(2019, 5, 1) / 1000;
const event = (n, properties = {}) => ({
  event: 'Old',
  properties: { time: time + n, distinct_id: `u${n % 7}`, n, ...properties },
});
const events = (count, properties) => Array.from({ length: count }, (_, n) => event(n, properties));
const lines = (list) => list.map((one) => `${JSON.stringify(one)}\n`).join('');
const zstd = (bytes) => {
  // A frame with one raw block after the other (RFC 8878), which needs no compressor.
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58])];
  for (let at = 0; at < bytes.length || at === 0; at += 65536) {
    const block = bytes.subarray(at, at + 65536);
    const head = (block.length << 3) | (at + 65536 >= bytes.length ? 1 : 0);
    parts.push(Buffer.from([head & 255, (head >> 8) & 255, head >> 16]), block);
  }
  return Buffer.concat(parts);
};

test('lines, lists and CSV; plain, gzip and zstd; from a folder and through a pipe', async () => {
  const world = directory();
  const text = lines(events(500));
  const csv = ['event,time,distinct_id,n,note,zip,flag']
    .concat(events(500).map((e) => `Old,${e.properties.time},${e.properties.distinct_id},${e.properties.n},"a, ""b""",01234,true`))
    .join('\r\n');
  const forms = {
    'plain.ndjson': text,
    'bom.json': `\uFEFF${text}`,
    'no-end.jsonl': text.trimEnd(),
    'packed.ndjson.gz': gzipSync(text),
    'members.ndjson.gz': Buffer.concat([gzipSync(text.slice(0, 20000)), gzipSync(text.slice(20000))]),
    'packed.ndjson.zst': zstd(Buffer.from(text)),
    'list.json': JSON.stringify(events(500)),
    'pretty.json': JSON.stringify(events(500), null, 2),
    'table.csv': csv,
    'table.csv.gz': gzipSync(csv),
  };
  let expected = 0;
  for (const [name, content] of Object.entries(forms)) {
    const file = world.put(name, content);
    const result = world.run(file, '--json');
    assert.equal(result.code, 0, `${name}: ${result.stderr}`);
    const report = JSON.parse(result.stdout);
    assert.deepEqual([report.records, report.stored, report.refused, report.complete], [500, 500, 0, true], name);
    expected += 500;
    // once more: nothing changes
    assert.equal(world.run(file, '--json').code, 0);
  }
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: expected });
  assert.deepEqual(await world.totals({ event: 'Old', on: 'properties["zip"]' }), { undefined: expected - 1000, '01234': 1000 });
  assert.deepEqual(await world.totals({ event: 'Old', where: 'properties["note"] == "a, \\"b\\"" and properties["flag"]' }), {
    Old: 1000,
  });
  const files = temporaryDirectory('folder');
  mkdirSync(path.join(files, 'deep'));
  for (const name of ['b.ndjson', 'deep/a.json.gz', 'notes.txt'])
    writeFileSync(path.join(files, name), name.endsWith('.gz') ? gzipSync(lines([event(1000)])) : lines([event(1001)]));
  assert.equal(JSON.parse(world.run(files, '--json').stdout).stored, 2);
  const piped = cairn(['import', '--data', world.data, '--project', world.project.project_id, '--json', '-'], {
    input: lines([event(2000)]),
    cwd: files,
  });
  assert.equal(JSON.parse(piped.stdout).stored, 1, piped.stderr);
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: expected + 3 });
});

test('records that are refused are in a file, with the reason and the place', async () => {
  const world = directory();
  const good = JSON.stringify(event(1));
  const file = world.put(
    'mixed.ndjson',
    [good, '{"event":"Old","properties":{"distinct_id":"x"}}', 'no json', '', '{"properties":{"time":1}}', good.slice(0, 30)].join(
      '\n',
    ),
  );
  const result = world.run(file);
  assert.equal(result.code, 1);
  assert.match(result.stdout, /5 records .* 1 events stored, 4 refused/);
  const refused = readFileSync(path.join(world.files, 'import-refused.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    refused.map((one) => [one.line, one.field]),
    [
      [2, 'properties.time'],
      [3, undefined],
      [5, 'event'],
      [6, undefined],
    ],
  );
  assert.ok(refused.every((one) => one.file === file && one.reason && typeof one.record === 'string'));
  assert.equal(refused[1].record, 'no json');
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: 1 });
});

test('files that are cut short, damaged, or something else: what could be read is there, and the file is named', async () => {
  const world = directory();
  const text = lines(events(2000));
  const packed = gzipSync(text);
  const rows = [
    ['cut.ndjson.gz', packed.subarray(0, packed.length / 2), /cut\.ndjson\.gz: .*ends too early/],
    ['cut.ndjson.zst', zstd(Buffer.from(text)).subarray(0, 70000), /cut\.ndjson\.zst: .*cut short/],
    ['damaged.ndjson.gz', Buffer.concat([packed.subarray(0, 400), Buffer.from('rubbish'), packed.subarray(407)]), /damaged\.ndjson\.gz/],
    ['cut.json', JSON.stringify(events(50)).slice(0, -40), null],
    ['comma.json', JSON.stringify(events(3)).slice(0, -1), /comma\.json ends before its list does/],
    ['other.json', '<html>', /other\.json is no list of JSON objects/],
    ['list.json', '[1,2]', /list\.json is no list of JSON objects/],
    ['header.csv', 'a,b\n1,2\n', /no column event/],
    ['twice.csv', 'event,time,a,a\nX,1,2,3\n', /two columns a/],
    ['open.csv', 'event,time\n"X,1\n', /open\.csv/],
    ['empty.csv', '', /no header/],
  ];
  for (const [name, content, message] of rows) {
    const result = world.run(world.put(name, content));
    assert.equal(result.code, 1, `${name}: ${result.stdout}`);
    if (message) assert.match(result.stderr, message);
  }
  const wrong = world.run(world.put('fields.csv', 'event,time,a\nX,1,2\nX,1\nX,noon,3\nX,2019-06-01T00:00:00Z,4\n'), '--json');
  const report = JSON.parse(wrong.stdout);
  assert.deepEqual([report.records, report.refused], [4, 3], 'of 1970, with too few fields, and without a time');
  assert.equal(world.run(world.put('empty.ndjson', '\n\n'), '--json').code, 0);
});

test('a long record is refused, its neighbours are not', async () => {
  const world = directory();
  const long = JSON.stringify(event(0, { text: 'x'.repeat(9 << 20) }));
  for (const [name, content] of [
    ['long.ndjson', `${JSON.stringify(event(1))}\n${long}\n${JSON.stringify(event(2))}\n`],
    ['long.json', `[${JSON.stringify(event(3))},${long},${JSON.stringify(event(4))}]`],
  ]) {
    const result = world.run(world.put(name, content), '--json');
    const report = JSON.parse(result.stdout);
    assert.deepEqual([report.records, report.stored, report.refused], [3, 2, 1], name);
  }
  assert.match(readFileSync(path.join(world.files, 'import-refused.ndjson'), 'utf8'), /longer than 8 MiB/);
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: 4 });
});

test('killed and interrupted in the middle: the same command goes on, and nothing counts twice', async () => {
  const world = directory();
  const count = 120_000;
  const file = world.put('large.ndjson', lines(events(count)));
  const args = ['import', '--data', world.data, '--project', String(world.project.project_id), '--batch', '100', file];
  for (const signal of ['SIGKILL', 'SIGINT', 'SIGKILL']) {
    const child = spawn(binary, args, { cwd: world.files, stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    // until some of it is there, as far as can be seen from outside
    for (let tries = 0; child.exitCode === null && tries < 200; tries++) {
      await sleep(5);
      if (readdirSync(world.data).some((name) => name.endsWith('.state'))) break;
      if (tries > 40) break;
    }
    child.kill(signal);
    await ended;
  }
  const last = world.run('--batch', '100', '--json', file);
  assert.equal(last.code, 0, last.stderr);
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: count });
  assert.ok(!readdirSync(world.data).some((name) => name.endsWith('.state')), 'a finished import leaves no state');
});

test('a file that changed meanwhile is not gone on with', async () => {
  const world = directory();
  const file = world.put('cut.ndjson.gz', gzipSync(lines(events(5000))).subarray(0, 5000));
  assert.equal(world.run(file).code, 1);
  world.put('cut.ndjson.gz', gzipSync(lines(events(5000))));
  const result = world.run(file);
  assert.match(result.stderr, /a file has changed since/);
  assert.notEqual(result.code, 0);
  assert.equal(world.run(file, '--restart').code, 0);
  assert.deepEqual(await world.totals({ event: 'Old' }), { Old: 5000 });
});

test('over HTTP, to a server that is slow, full and away in between', async () => {
  const world = await World.start();
  worlds.push(world);
  const files = temporaryDirectory('files');
  const file = path.join(files, 'history.ndjson.gz');
  const good = events(3000);
  writeFileSync(file, gzipSync(lines(good) + lines([{ event: 'Old', properties: { distinct_id: 'no time' } }])));
  const troubles = [503, 429, 'break', 500, 'lose'];
  const target = new URL(world.url);
  const door = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const trouble = troubles.shift();
      if (trouble === 'break') return request.socket.destroy();
      if (typeof trouble === 'number') {
        response.writeHead(trouble, { 'Retry-After': '0' });
        return response.end('{}');
      }
      const { hostname, port } = target;
      const outgoing = http.request(
        { hostname, port, path: request.url, method: request.method, headers: request.headers },
        (answer) => {
          if (trouble === 'lose') return answer.resume().on('end', () => request.socket.destroy());
          response.writeHead(answer.statusCode, answer.headers);
          return answer.pipe(response);
        },
      );
      return outgoing.end(Buffer.concat(parts));
    });
  });
  await new Promise((resolve) => door.listen(0, '127.0.0.1', resolve));
  const args = ['import', '--url', `http://127.0.0.1:${door.address().port}/`, '--credentials'];
  args.push(`${world.account.username}:${world.account.secret}`, '--project', String(world.project.project_id), '--json', file);
  const { code, stdout, stderr } = await new Promise((resolve) => {
    const child = spawn(binary, args, { cwd: files });
    let stdout = '',
      stderr = '';
    child.stdout.on('data', (text) => (stdout += text));
    child.stderr.on('data', (text) => (stderr += text));
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  await new Promise((resolve) => {
    door.close(resolve);
    door.closeAllConnections?.();
  });
  assert.equal(code, 1, stderr);
  const report = JSON.parse(stdout);
  assert.deepEqual([report.records, report.stored, report.refused], [3001, 3000, 1]);
  assert.equal(troubles.length, 0);
  const [refused] = readFileSync(path.join(files, 'import-refused.ndjson'), 'utf8').trim().split('\n');
  assert.equal(JSON.parse(refused).line, 3001);
  assert.equal(await world.count('Old', { from_date: '2019-06-01', to_date: '2019-06-02', unit: 'day' }), 3000);
});

test('nobody who may, nobody there, and wrong usage', async () => {
  const world = await World.start();
  worlds.push(world);
  const files = temporaryDirectory('files');
  const file = path.join(files, 'a.ndjson');
  writeFileSync(file, lines(events(3)));
  const run = (...args) => cairn(['import', ...args], { cwd: files });
  const project = String(world.project.project_id);
  const over = ['--url', world.url, '--project', project];
  const rows = [
    [[...over, '--credentials', 'no:body', file], 1, /service account/],
    [['--url', 'http://127.0.0.1:1', '--credentials', 'a:b', '--patience', '1s', file], 1, /unreachable/],
    [['--data', world.data, '--project', project, file], 1, /--url|in use|runs/],
    [['--data', temporaryDirectory(), '--project', '1', file], 1, /cairn\.db|does not exist|no /],
    [['--project', project, file], 2, /--data DIR or --url URL/],
    [['--data', world.data, file], 2, /--project N is missing/],
    [['--url', world.url, file], 2, /--credentials is missing/],
    [[...over, '--credentials', 'a:b'], 2, /no files are named/],
    [[...over, '--credentials', 'a:b', '--format', 'xml', file], 2, /use lines, list or csv/],
    [[...over, '--credentials', 'a:b', path.join(files, 'nothing')], 1, /cannot read/],
    [[...over, '--credentials', 'a:b', '--batch', '0', file], 2, /--batch 0/],
  ];
  for (const [args, code, message] of rows) {
    const result = run(...args);
    assert.match(result.stderr, message, args.join(' '));
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
  }
  assert.ok(!existsSync(path.join(files, 'import-refused.ndjson')));
  assert.match(spawnSync(binary, ['import', '--help'], { encoding: 'utf8' }).stdout, /cairn import --data DIR/);
});

test('what was exported and imported again gives the same answers', async () => {
  const world = await World.start();
  worlds.push(world);
  const now = Math.floor(Date.now() / 1000);
  // Anonymous and known, linked by an event, linked by a request, merged before and after; profiles; all types.
  const list = [];
  for (let n = 0; n < 400; n++) {
    const id = n % 5;
    const properties = { time: now - n * 60 + 0.25 * (n % 4), n, text: `t${n % 13}`, flag: n % 2 === 0, list: [n % 3, 'x'], deep: { a: [n] } };
    if (n % 3 === 0) Object.assign(properties, { $device_id: `D${id}` });
    else if (n % 3 === 1) Object.assign(properties, { $device_id: `D${id}`, ...(id > 2 ? { $user_id: `U${id}` } : {}) });
    else Object.assign(properties, { distinct_id: n % 2 ? `U${id}` : `$device:L${id}` });
    if (n % 7) properties.$insert_id = `i${n}`;
    if (n === 17) properties.big = 12345678901234567890n.toString();
    list.push({ event: `E${n % 4}`, properties: { token: world.token, ...properties } });
  }
  await world.send(...list);
  await world.send({ event: 'Nobody', properties: { token: world.token, distinct_id: '' } });
  const post = (target, body) =>
    world.server.request(target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  for (const id of [0, 1])
    await post('/identity/create', { $identified_id: `U${id}`, $anon_id: `$device:L${id}`, $token: world.token });
  const set = { name: 'Ann', age: 5, tags: ['a', 'b'], none: null, score: 1.5 };
  assert.equal((await post('/engage', [{ $token: world.token, $distinct_id: 'U3', $set: set }])).text, '1');
  assert.equal((await post('/engage', [{ $token: world.token, $distinct_id: 'U1', $set: { age: 7 } }])).text, '1');
  const group = { $token: world.token, $group_key: 'text', $group_id: 't5', $set: { kind: 'five' } };
  assert.equal((await post('/groups', [group])).text, '1');

  const questions = [
    ...['E0', 'E1', 'E2', 'E3', 'Nobody'].flatMap((event) => [
      { event, type: 'general', unit: 'hour' },
      { event, type: 'unique', unit: 'day' },
      { event, type: 'unique', unit: 'month', on: 'properties["text"]' },
      { event, on: 'user["age"]' },
      { event, on: 'properties["text"]["kind"]' },
      { event, where: '"x" in properties["list"] and properties["flag"]', on: 'properties["deep"]["a"][0]', limit: 1000 },
    ]),
  ];
  const answers = async (server, project, authorization) => {
    const result = [];
    for (const question of questions) {
      const whole = query({ project_id: project, from_date: day(-2), to_date: day(1), ...question });
      const answer = await server.request(`/api/2.0/segmentation?${whole}`, { headers: { Authorization: authorization } });
      assert.equal(answer.status, 200, answer.text);
      result.push(answer.json().data.values);
    }
    const profiles = await server.request(`/api/query/engage?${query({ project_id: project })}`, {
      headers: { Authorization: authorization },
    });
    const rows = profiles.json().results.sort((a, b) => (a.$distinct_id < b.$distinct_id ? -1 : 1));
    result.push(rows);
    return result;
  };
  const before = await answers(world.server, world.project.project_id, world.authorization);
  await world.server.stop();
  const files = temporaryDirectory('files');
  const file = path.join(files, 'all.ndjson.zst');
  const exported = cairn(['export', '--data', world.data, '--project', world.project.project_id, '--out', file, '--quiet']);
  assert.equal(exported.code, 0, exported.stderr);

  // into another directory, and over HTTP to another server
  const copy = temporaryDirectory('copy');
  const project = createProject(copy, { name: 'Copy' });
  const secret = `Basic ${Buffer.from(`${project.secret}:`).toString('base64')}`;
  const imported = cairn(['import', '--data', copy, '--project', project.project_id, '--json', file], { cwd: files });
  assert.equal(imported.code, 0, imported.stderr + imported.stdout);
  const server = await Server.start(copy);
  assert.deepEqual(await answers(server, project.project_id, secret), before);
  await server.stop();

  const other = await World.start();
  worlds.push(other);
  const over = ['import', '--url', other.url, '--credentials', `${other.account.username}:${other.account.secret}`];
  over.push('--project', other.project.project_id, '--token', other.token, '--json', file);
  const sent = cairn(over, { cwd: files });
  assert.equal(sent.code, 0, sent.stderr + sent.stdout);
  assert.deepEqual(await answers(other.server, other.project.project_id, other.authorization), before);

  // and an export of the copy tells the same events
  const again = cairn(['export', '--data', copy, '--project', project.project_id, '--quiet', '--only', 'events']);
  const first = cairn(['export', '--data', world.data, '--project', world.project.project_id, '--quiet', '--only', 'events']);
  const plain = (text) =>
    text
      .trim()
      .split('\n')
      .map((line) => {
        const { event: name, properties } = JSON.parse(line);
        for (const added of ['$import', 'mp_processing_time_ms', '$distinct_id_before_identity', '$is_reshuffled']) delete properties[added];
        return JSON.stringify([name, Object.entries(properties).sort()]);
      })
      .sort();
  assert.deepEqual(plain(again.stdout), plain(first.stdout));
});

test('export: what is asked for, packed, and wrong usage', async () => {
  const world = directory();
  world.run(world.put('a.ndjson', lines([...events(100), { event: 'Other', properties: { time, distinct_id: 'u' } }])));
  const run = (...args) => cairn(['export', '--data', world.data, '--project', world.project.project_id, '--quiet', ...args]);
  const count = (...args) => run('--only', 'events', ...args).stdout.trim().split('\n').filter(Boolean).length;
  assert.equal(count(), 101);
  assert.equal(count('--event', 'Other'), 1);
  assert.equal(count('--event', 'Other', '--event', 'Old'), 101);
  assert.equal(count('--where', 'properties["n"] < 10'), 10);
  assert.equal(count('--from', '2019-06-01', '--to', '2019-06-01'), 101);
  assert.equal(count('--from', '2019-06-02'), 0);
  assert.equal(run('--only', 'profiles').stdout, '');
  const rows = [
    [['--where', 'properties['], 2, /near|position|expression/],
    [['--only', 'people'], 2, /events or profiles/],
    [['--from', 'yesterday'], 2, /is no date/],
    [['--out', '/nowhere/x'], 1, /cannot write/],
    [['--project', '77'], 1, /no project 77/],
    [['extra'], 2, /unexpected argument/],
  ];
  for (const [args, code, message] of rows) {
    const result = run(...args);
    assert.match(result.stderr, message, args.join(' '));
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`);
  }
  assert.deepEqual(readdirSync(world.files).sort(), ['a.ndjson']);
});
