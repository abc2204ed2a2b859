// How fast history comes in: a server that is sent gzip JSON lines, 2000 events a request, each answered when it is on the
// disk; beside it ClickHouse and DuckDB, which load all the lines from one gzip file at once, and which take some of them
// in the same batches, each on the disk before the next.

import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import readline from 'node:readline';
import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Database, cairnBinary } from './engines.mjs';

const help = `bench/engine/run import measures POST /import of a real server beside ClickHouse and DuckDB.

  --events N       how many events; default 1000000
  --dir DIR        where data goes; made anew and removed at the end; default build/bench/import
  --connections N  to the server; default 4
  --threads N      of the databases; default: the machine's cores
  --rounds N       the engines take turns so often, and the best of each counts; default 1
  --batches N      so many batches of 2000 events are also given to the databases one by one; 0: none; default 100
  --serve ARGS     further arguments of cairn serve
  --memory SIZE    of cairn import; default its own
  --engines LIST   the databases; default clickhouse,duckdb
  --document FILE  also put the table into FILE, between its lines <!-- import EVENTS --> and <!-- end -->
`;

const { values: args } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    dir: { type: 'string' },
    connections: { type: 'string', default: '4' },
    threads: { type: 'string', default: String(os.cpus().length) },
    rounds: { type: 'string', default: '1' },
    batches: { type: 'string', default: '100' },
    serve: { type: 'string', default: '' },
    memory: { type: 'string' },
    engines: { type: 'string', default: 'clickhouse,duckdb' },
    document: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}
for (const name of ['events', 'connections', 'threads', 'rounds', 'batches']) {
  const value = Number(args[name]);
  if (Number.isInteger(value) && value >= (name === 'batches' ? 0 : 1)) continue;
  console.error(`bench/engine/run import: --${name} ${args[name]} is no number above 0`);
  process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const repository = path.resolve(here, '../..');
const directory = path.resolve(args.dir ?? path.join(repository, 'build/bench/import'));
const events = Number(args.events);
const peers = args.engines.split(',').filter(Boolean);
const engines = ['cairn', 'command', ...peers]; // Cairn's client makes the compressed file that the others read
const BATCH = 2000;
const IDLE_MS = 2000; // a server that has done nothing for so long has nothing left to do
const say = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

const plainFile = path.join(directory, 'events.ndjson');
const packedFile = path.join(directory, 'events.ndjson.gz');

function cairn(...list) {
  const result = spawnSync(cairnBinary, list.map(String), { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`cairn ${list.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

// ---- what the kernel says of a process ----

const ticks = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100;
function cpu(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}
function peakBytes(pid) {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;
}
function bytesIn(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + fs.statSync(path.join(entry.parentPath, entry.name)).size, 0);
}

// ---- Cairn ----

async function startServer(data) {
  const server = spawn(cairnBinary, ['serve', '--data', data, '--listen', '127.0.0.1:0', ...args.serve.split(' ').filter(Boolean)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => server.on('close', resolve));
  const lines = readline.createInterface({ input: server.stdout });
  const url = await new Promise((resolve, reject) => {
    lines.on('line', (line) => /^listening on (\S+)$/.test(line) && resolve(line.split(' ').at(-1)));
    ended.then((code) => reject(new Error(`cairn serve ended with ${code}`)));
  });
  return { server, ended, url };
}

async function untilIdle(pid) {
  let last = cpu(pid);
  for (let since = Date.now(); Date.now() - since < IDLE_MS; await sleep(100)) {
    const now = cpu(pid);
    if (now - last > 0.02) since = Date.now();
    if (now - last > 0.02) last = now;
  }
}

function ask(url, secret) {
  const query = 'event=View%20Item&from_date=2023-12-31&to_date=2025-03-01&unit=month';
  const headers = { Authorization: `Basic ${Buffer.from(`${secret}:`).toString('base64')}` };
  return new Promise((resolve, reject) => {
    http.get(`${url}/api/2.0/segmentation?${query}`, { headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => (text += part));
      answer.on('end', () => {
        const values = JSON.parse(text).data.values['View Item'];
        resolve(Object.values(values).reduce((sum, one) => sum + one, 0));
      });
    }).on('error', reject);
  });
}

async function runCairn() {
  const data = path.join(directory, 'cairn');
  fs.rmSync(data, { recursive: true, force: true });
  const project = JSON.parse(cairn('project', 'create', '--data', data, '--name', 'bench', '--json'));
  const { server, ended, url } = await startServer(data);
  try {
    const before = cpu(server.pid);
    // Not spawnSync, which would stop the server's output from being read.
    const loader = spawn(cairnBinary, [
      ...['bench', 'import', '--url', url, '--user', project.secret, '--packed', packedFile, '--json'],
      ...['--batch', String(BATCH), '--connections', args.connections, plainFile],
    ], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    loader.stdout.setEncoding('utf8').on('data', (part) => (text += part));
    const code = await new Promise((resolve) => loader.on('close', resolve));
    if (code !== 0) throw new Error(`cairn bench import ended with ${code}`);
    const sent = JSON.parse(text);
    const taken_cpu_s = cpu(server.pid) - before;
    if (sent.events !== events) throw new Error(`Cairn took ${sent.events} events`);
    await untilIdle(server.pid);
    const check = await ask(url, project.secret);
    const peak_bytes = peakBytes(server.pid);
    const stopping = Date.now();
    let cpu_s = 0;
    server.kill('SIGTERM');
    const watch = setInterval(() => {
      try {
        cpu_s = cpu(server.pid) - before;
      } catch {
        clearInterval(watch); // it has ended
      }
    }, 5);
    await ended;
    clearInterval(watch);
    const stop_s = (Date.now() - stopping) / 1000;
    const { wall_s, client_cpu_s, packed_bytes, bytes, p50_ms, p99_ms, retried } = sent;
    say(`cairn: ${wall_s.toFixed(2)} s, ${taken_cpu_s.toFixed(2)} s of CPU; half of the answers after ${p50_ms.toFixed(1)} ms`);
    const bytes_on_disk = bytesIn(path.join(data, 'events'));
    return { wall_s, taken_cpu_s, cpu_s, peak_bytes, bytes_on_disk, check, client_cpu_s, packed_bytes, bytes, p50_ms, p99_ms, retried, stop_s };
  } finally {
    server.kill('SIGKILL');
    await ended;
    fs.rmSync(data, { recursive: true, force: true });
  }
}

// The command, on the same file as the databases, into a directory.
async function runCommand() {
  const data = path.join(directory, 'command');
  fs.rmSync(data, { recursive: true, force: true });
  const project = JSON.parse(cairn('project', 'create', '--data', data, '--name', 'bench', '--json'));
  const list = ['import', '--data', data, '--project', String(project.project_id), '--json'];
  if (args.memory) list.push('--memory', args.memory);
  // The kernel forgets a process's figures with it, so they are looked at all the time.
  const measure = async (more) => {
    const start = process.hrtime.bigint();
    const child = spawn(cairnBinary, [...list, ...more, packedFile], { stdio: ['ignore', 'pipe', 'inherit'] });
    const last = { cpu_s: 0, peak_bytes: 0 };
    const watch = setInterval(() => {
      try {
        Object.assign(last, { cpu_s: cpu(child.pid), peak_bytes: peakBytes(child.pid) });
      } catch {
        clearInterval(watch); // it has ended
      }
    }, 5);
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part) => (text += part));
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearInterval(watch);
    if (code !== 0) throw new Error(`cairn import ended with ${code}`);
    return { ...JSON.parse(text), ...last, wall_s: Number(process.hrtime.bigint() - start) / 1e9 };
  };
  try {
    const all = await measure(['--merge']);
    if (all.stored !== events) throw new Error(`cairn import stored ${all.stored} events`);
    const bytes_on_disk = bytesIn(path.join(data, 'events'));
    const { server, ended, url } = await startServer(data);
    const check = await ask(url, project.secret);
    server.kill('SIGTERM');
    await ended;
    say(`cairn import: ${all.wall_s.toFixed(2)} s, ${all.cpu_s.toFixed(2)} s of CPU, merging included`);
    const taken_s = all.seconds; // until the last event was acknowledged
    return { ...all, taken_s, taken_cpu_s: undefined, bytes_on_disk, check };
  } finally {
    fs.rmSync(data, { recursive: true, force: true });
  }
}

// ---- the databases ----

async function runDatabase(engine) {
  const data = path.join(directory, engine);
  fs.rmSync(data, { recursive: true, force: true });
  const database = new Database(engine, data, args.threads);
  try {
    await database.create(packedFile);
    const { wall_s, cpu_s } = await database.load(packedFile);
    const settle_start = process.hrtime.bigint();
    const settled = await database.settle();
    const merged_s = wall_s + Number(process.hrtime.bigint() - settle_start) / 1e9;
    say(`${engine}: ${wall_s.toFixed(2)} s, ${cpu_s.toFixed(2)} s of CPU`);
    if ((await database.count()) !== events) throw new Error(`${engine} has lost events`);
    const check = Number((await database.rows("SELECT count(*) FROM events WHERE event = 'View Item'"))[0][0]);
    const { total } = await database.sizes();
    return {
      wall_s,
      merged_s,
      taken_cpu_s: cpu_s,
      cpu_s: cpu_s + settled.cpu_s,
      peak_bytes: peakBytes(database.pid),
      bytes_on_disk: total,
      check,
      version: await database.version(),
    };
  } finally {
    await database.close();
    fs.rmSync(data, { recursive: true, force: true });
  }
}

// The first batches as files of their own.
async function cut() {
  const files = [];
  let lines = [];
  const input = fs.createReadStream(plainFile);
  for await (const line of readline.createInterface({ input })) {
    lines.push(line);
    if (lines.length < BATCH) continue;
    const file = path.join(directory, `batch-${files.length}.ndjson.gz`);
    fs.writeFileSync(file, zlib.gzipSync(`${lines.join('\n')}\n`));
    lines = [];
    if (files.push(file) === Number(args.batches)) break;
  }
  input.destroy();
  return files;
}

async function runBatches(engine, files) {
  const data = path.join(directory, `${engine}-batches`);
  const database = new Database(engine, data, args.threads);
  try {
    await database.create(packedFile);
    await database.durable();
    const start = process.hrtime.bigint();
    for (const file of files) await database.append(file);
    const wall_s = Number(process.hrtime.bigint() - start) / 1e9;
    say(`${engine}: ${files.length} batches one by one in ${wall_s.toFixed(2)} s`);
    return { events: files.length * BATCH, wall_s };
  } finally {
    await database.close();
    fs.rmSync(data, { recursive: true, force: true });
  }
}

// ---- all of it ----

const titles = { cairn: 'Cairn, /import', command: '`cairn import`', clickhouse: 'ClickHouse', duckdb: 'DuckDB' };
const count = (value) => Math.round(value).toString().replaceAll(/\B(?=(\d{3})+$)/g, ' ');

function table(results, batches) {
  const rows = [['import of gzip JSON lines', ...engines.map((engine) => titles[engine])]];
  const row = (title, value) => rows.push([title, ...engines.map((engine) => value(results[engine], engine) ?? '–')]);
  const batched = (engine) => {
    if (engine === 'cairn') return count(events / results.cairn.wall_s);
    if (engine === 'command') return count(events / results.command.taken_s); // its batches are as large, and as durable
    return batches[engine] ? count(batches[engine].events / batches[engine].wall_s) : undefined;
  };
  const alone = (result, engine, value) => (engine === 'cairn' ? undefined : value);
  const taken = (result) => result.taken_s ?? result.wall_s;
  const merged = (result) => result.merged_s ?? result.wall_s;
  row('all at once, s', (result, engine) => alone(result, engine, taken(result).toFixed(2)));
  row('all at once, merging included, s', (result, engine) => alone(result, engine, merged(result).toFixed(2)));
  row('2000 at a time, each on the disk, s', (result, engine) => (engine === 'cairn' ? result.wall_s.toFixed(2) : undefined));
  row('events/s, all at once', (result, engine) => alone(result, engine, count(events / taken(result))));
  row('events/s, merging included', (result, engine) => alone(result, engine, count(events / merged(result))));
  row('events/s, 2000 at a time, each on the disk', (result, engine) => batched(engine));
  row('CPU, µs an event, until taken in', (result) => result.taken_cpu_s && ((result.taken_cpu_s / events) * 1e6).toFixed(2));
  row('CPU, µs an event, merging included', (result) => ((result.cpu_s / events) * 1e6).toFixed(2));
  row('bytes on disk, an event', (result) => (result.bytes_on_disk / events).toFixed(1));
  row('memory at its peak, MB', (result) => count(result.peak_bytes / 1e6));
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(rows[0]), line(rows[0].map((_, i) => (i ? '---:' : '---'))), ...rows.slice(1).map(line)].join('\n');
}

function text(results, batches) {
  const commit = spawnSync('git', ['-C', repository, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).stdout.trim();
  const versions = engines.filter((engine) => results[engine].version).map((engine) => `${titles[engine]} ${results[engine].version}`);
  const own = cairn('--version').trim().split(' ').at(-1);
  const machine = `${os.cpus().length} cores of ${os.cpus()[0].model}, ${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  const parts = [
    `${count(events)} events, ${new Date().toISOString().slice(0, 10)}, commit ${commit}. Cairn ${own}${versions.map((one) => `, ${one}`).join('')}. ${machine}.`,
    table(results, batches),
  ];
  const mine = results.cairn;
  {
    let summary =
      `The file has ${(mine.bytes / 1e6).toFixed(0)} MB, ${(mine.packed_bytes / 1e6).toFixed(0)} MB compressed. ` +
      `Over ${args.connections} connections half of Cairn's answers came within ${mine.p50_ms.toFixed(1)} ms, 99 of 100 within ` +
      `${mine.p99_ms.toFixed(1)} ms; ${mine.retried} requests were sent again; the client took ${((mine.client_cpu_s / events) * 1e6).toFixed(2)} µs of CPU an event.`;
    if (peers.length) {
      const wall = Math.min(...peers.map((engine) => results[engine].wall_s)) / mine.wall_s;
      summary += ` Cairn took all of them, each batch on the disk, ${wall.toFixed(1)} times as fast as the faster of the databases loaded the file at once.`;
      const merged = Math.min(...peers.map((engine) => results[engine].merged_s)) / results.command.wall_s;
      summary += ` \`cairn import\` had the whole file merged ${merged.toFixed(1)} times as fast as the faster of them.`;
      const rates = peers.filter((engine) => batches[engine]).map((engine) => batches[engine].events / batches[engine].wall_s);
      if (rates.length) summary += ` With the same promise, 2000 at a time on the disk, it is ${count(events / mine.wall_s / Math.max(...rates))} times as fast.`;
    }
    parts.push(summary);
  }
  return `${parts.join('\n\n')}\n`;
}

fs.rmSync(directory, { recursive: true, force: true });
fs.mkdirSync(directory, { recursive: true });
say(`making up ${events} events`);
cairn('bench', 'generate', '--events', events, '--user-numbers', '--out', plainFile);
const results = {};
for (let round = 0; round < Number(args.rounds); round++) {
  for (const engine of engines) {
    const result = engine === 'cairn' ? await runCairn() : engine === 'command' ? await runCommand() : await runDatabase(engine);
    if (!results[engine] || result.wall_s < results[engine].wall_s) results[engine] = result;
  }
}
const checks = new Set(Object.values(results).map((result) => result.check));
if (checks.size > 1) throw new Error(`the engines do not count alike: ${[...checks]}`);
const batches = {};
if (Number(args.batches)) {
  const files = await cut();
  if (files.length) for (const engine of peers) batches[engine] = await runBatches(engine, files);
}
fs.rmSync(directory, { recursive: true, force: true });
const output = text(results, batches);
process.stdout.write(output);
if (args.document) {
  const document = fs.readFileSync(args.document, 'utf8');
  const begin = `<!-- import ${events} -->`;
  const [before, rest] = document.split(`${begin}\n`);
  const end = rest?.indexOf('<!-- end -->');
  if (rest === undefined || end < 0) throw new Error(`${args.document} has no lines ${begin} and <!-- end -->`);
  fs.writeFileSync(args.document, `${before}${begin}\n${output}${rest.slice(end)}`);
}
