#!/usr/bin/env node
// What raw exports over HTTP cost the server, however long the answers, however many and however slow the clients: the
// most that it has in memory, and how fast the answers are.
//
//   CAIRN_BIN=build/release/cairn bench/export.mjs      default: build/cairn
//
//   BENCH_EVENTS    made-up events with 25 properties, as a web page's SDK sends (10 000 000)
//   BENCH_DIR       where 60 bytes for each go for a while (default: the directory of temporary files)
//   BENCH_SECONDS   for which many clients read at once (20)    BENCH_CLIENTS   how many (100)
//   BENCH_OPTIONS   of the server, for example `--memory 1g`
//
// Seconds of processor time are the server's; the machine's other work does not count in them. Memory is RssAnon of
// /proc/PID/status, looked at every 10 ms, which is everything but mapped files; the cache of columns (store.cache) is in
// it. Each case has a server of its own, warmed up by an export of one day. The lines of the first case are counted.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { basic, binary, createAccount, createProject, Server, sleep } from '../tests/e2e/harness.mjs';

const events = Number(process.env.BENCH_EVENTS ?? 10_000_000);
const clients = Number(process.env.BENCH_CLIENTS ?? 100);
const seconds = Number(process.env.BENCH_SECONDS ?? 20);
const options = (process.env.BENCH_OPTIONS ?? '').split(' ').filter(Boolean);
const scratch = mkdtempSync(path.join(process.env.BENCH_DIR ?? tmpdir(), 'cairn-export-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

const data = path.join(scratch, 'data');
const project = createProject(data, { name: 'Bench' });
const account = createAccount(data, project.project_id);
const authorization = basic(`${account.username}:${account.secret}`);
const target = (to) => `/export?project_id=${project.project_id}&from_date=2024-01-01&to_date=${to}`;
const FIRST = '2024-01-01',
  LAST = '2024-03-31';

function shell(command) {
  const run = spawnSync('sh', ['-c', `set -e; ${command}`], { encoding: 'utf8', env: { ...process.env, CAIRN: binary } });
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
  return run.stdout.trim();
}
process.stderr.write(`${events} events are made and taken in ...\n`);
shell(
  `"$CAIRN" bench generate --profile web --events ${events} --users ${Math.ceil(events / 20)} |` +
    ` "$CAIRN" import --data "${data}" --project ${project.project_id} --merge --quiet - >/dev/null`,
);

const anonymous = (server) =>
  Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))[1]) / 1024;

// Seconds, of all threads.
function processorTime(server) {
  const fields = readFileSync(`/proc/${server.child.pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// Runs `work` beside a fresh server; resolves with what it has in memory before, at most, and afterwards.
async function measure(name, work) {
  const server = await Server.start(data, { args: options });
  try {
    full(server, FIRST);
    const before = anonymous(server);
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, anonymous(server))), 10);
    const computed = processorTime(server);
    const told = await work(server);
    told.computed = processorTime(server) - computed;
    clearInterval(timer);
    most = Math.max(most, anonymous(server));
    await sleep(1000);
    row(name, told, before, most, anonymous(server));
  } finally {
    await server.stop();
  }
}
const mib = (n) => n.toFixed(0);
function row(name, { bytes, seconds, computed, note = '' }, before, most, after) {
  const cells = [name, (bytes / 1e9).toFixed(2), seconds.toFixed(1), computed.toFixed(1), mib(before), mib(most), mib(after), note];
  console.log(`| ${cells.join(' | ')} |`);
}

const curl = (server, to, more = '') =>
  `curl -s -f -H "Authorization: ${authorization}" ${more} "${server.url}${target(to)}"`;
function full(server, to) {
  return Number(shell(`${curl(server, to)} | wc -l`));
}

async function run(command) {
  const child = spawn('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  await new Promise((resolve) => child.on('close', resolve));
  return text;
}
async function download(server, more) {
  const told = await run(`${curl(server, LAST, more)} -o /dev/null -w '%{size_download} %{time_total}'`);
  const [bytes, seconds] = told.split(' ').map(Number);
  return { bytes, seconds };
}

// A client that has seen the first bytes. `reading`: it takes what comes.
function begin(server) {
  return new Promise((resolve, reject) => {
    const client = { bytes: 0, status: 0, socket: net.connect(server.port, '127.0.0.1') };
    client.socket.on('error', reject);
    client.socket.once('data', (part) => {
      client.socket.pause();
      client.bytes = part.length;
      client.status = Number(part.subarray(9, 12).toString());
      client.socket.on('data', (more) => (client.bytes += more.length));
      client.socket.pause();
      client.socket.on('error', () => {});
      resolve(client);
    });
    client.socket.write(`GET ${target(LAST)} HTTP/1.1\r\nHost: bench\r\nAuthorization: ${authorization}\r\n\r\n`);
  });
}
async function many(server, count) {
  const all = await Promise.all(Array.from({ length: count }, () => begin(server)));
  const taken = all.filter((client) => client.status === 200);
  for (const client of all) if (client.status !== 200) client.socket.destroy();
  return taken;
}
const total = (list) => list.reduce((sum, client) => sum + client.bytes, 0);
const spread = (list) => {
  const sizes = list.map((client) => client.bytes / 1e6).sort((a, b) => a - b);
  return `${list.length} began; each ${sizes[0].toFixed(0)} to ${sizes.at(-1).toFixed(0)} MB`;
};
const leave = (list) => list.forEach((client) => client.socket.destroy());

console.log('| case | GB | s | of the processor | MiB before | at most | 1 s after | |');
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |');
await measure('everything, one client', async (server) => {
  const started = performance.now();
  const [lines, bytes] = (await run(`${curl(server, LAST)} | wc -lc`)).trim().split(/\s+/).map(Number);
  if (lines !== events) throw new Error(`${lines} of ${events} events were exported`);
  return { bytes, seconds: (performance.now() - started) / 1000, note: `${lines} lines` };
});
await measure('everything, gzip', async (server) => {
  const told = await download(server, '-H "Accept-Encoding: gzip"');
  return { ...told, note: 'GB as sent' };
});
await measure('a client that reads 5 MB/s', (server) => download(server, `--limit-rate 5M --max-time ${seconds}`));
await measure(`${clients} clients at once`, async (server) => {
  const one = `${curl(server, LAST, `--max-time ${seconds}`)} -o /dev/null -w '%{http_code} %{size_download}\\n' &`;
  const told = (await run(`for i in $(seq ${clients}); do ${one} done; wait`)).split('\n').filter(Boolean);
  const list = told.map((line) => line.split(' ').map(Number)).filter(([status]) => status === 200);
  const sizes = list.map(([, bytes]) => ({ bytes }));
  return { bytes: total(sizes), seconds, note: spread(sizes) };
});
await measure(`${clients} that read nothing`, async (server) => {
  const list = await many(server, clients);
  await sleep((seconds * 1000) / 2);
  const told = { bytes: total(list), seconds: seconds / 2, note: spread(list) };
  leave(list);
  return told;
});
await measure(`${clients} that go away midway, ten times`, async (server) => {
  const started = performance.now();
  let bytes = 0,
    began = 0;
  for (let round = 0; round < 10; round++) {
    const list = await many(server, clients);
    list.forEach((client) => client.socket.resume());
    await sleep(500);
    bytes += total(list);
    began += list.length;
    leave(list);
    await sleep(500);
  }
  return { bytes, seconds: (performance.now() - started) / 1000, note: `${began} began` };
});
