// Cairn and the databases behind one interface: create, load, settle, extras, count, sizes, version, time, rows, close.

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const cairnBinary = path.resolve(process.env.CAIRN_BIN ?? 'build/cairn');

// A process that answers each JSON line with one JSON line.
class Lines {
  constructor(command, args) {
    this.command = command;
    this.process = spawn(command, args.map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    this.process.stdin.on('error', () => {}); // it ended: `ended` tells
    this.ended = new Promise((resolve) => this.process.on('close', resolve));
    this.ended.then((code) => this.waiting.splice(0).forEach((one) => one({ error: `${command} ended with ${code}` })));
    const lines = readline.createInterface({ input: this.process.stdout });
    // An answer of Cairn has line ends between its rows.
    let text = '';
    lines.on('line', (line) => {
      text += line;
      if (!line.endsWith('}')) return;
      this.waiting.shift()?.(JSON.parse(text));
      text = '';
    });
  }

  async request(request) {
    const reply = await new Promise((resolve) => {
      this.waiting.push(resolve);
      this.process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (reply.error) throw new Error(reply.error);
    return reply;
  }

  async close() {
    this.process.stdin.end();
    await this.ended;
  }
}

// Runs `cairn bench …`; returns standard output.
function bench(...args) {
  const result = spawnSync(cairnBinary, ['bench', ...args.map(String)], { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (result.status !== 0) throw new Error(`cairn bench ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

export class Cairn {
  constructor(directory, threads) {
    this.directory = directory;
    this.threads = threads;
  }

  create() {}

  run(...args) {
    const result = JSON.parse(bench('load', '--data', this.directory, '--threads', this.threads, '--json', ...args));
    if (result.refused) throw new Error(`Cairn refused ${result.refused} events`);
    return {
      ...result,
      wall_s: result.append_wall_s + result.settle_wall_s,
      cpu_s: result.append_cpu_s + result.settle_cpu_s,
    };
  }

  // Durable, and everything in files: the next piece comes from another process.
  load(file) {
    return this.run('--no-merge', file);
  }

  settle() {
    return this.run('/dev/null');
  }

  extras() {}

  async count() {
    const { rows } = await this.time({ from: '2024-01-01', to: '2025-03-01', unit: 'range' }, 1);
    return rows.reduce((sum, row) => sum + row.at(-1), 0);
  }

  sizes() {
    const events = path.join(this.directory, 'events');
    const total = fs.readdirSync(events).reduce((sum, file) => sum + fs.statSync(path.join(events, file)).size, 0);
    return { total, columns: {} };
  }

  version() {
    return spawnSync(cairnBinary, ['--version'], { encoding: 'utf8' }).stdout.trim().split(' ').at(-1);
  }

  // One process for all questions that are asked so often.
  async time(question, repeat) {
    if (this.repeat !== repeat) await this.close();
    this.repeat = repeat;
    this.lines ??= new Lines(cairnBinary, [
      ...['bench', 'query', '--data', this.directory, '--threads', this.threads],
      ...['--repeat', repeat, '--json', '--follow'],
    ]);
    const { unsupported, wall_ms, cpu_ms, answer } = await this.lines.request(question);
    return unsupported ? { unsupported } : { wall_ms, cpu_ms, rows: answer };
  }

  open() {
    return JSON.parse(bench('open', '--data', this.directory, '--threads', this.threads, '--json'));
  }

  async close() {
    await this.lines?.close();
    this.lines = undefined;
  }
}

export class Database {
  constructor(name, directory, threads) {
    const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'peer.mjs');
    this.lines = new Lines(process.execPath, ['--max-old-space-size=4096', script, name, directory, threads]);
  }

  create(file) {
    return this.lines.request({ op: 'create', file });
  }

  load(file) {
    return this.lines.request({ op: 'load', file });
  }

  settle() {
    return this.lines.request({ op: 'settle' });
  }

  durable() {
    return this.lines.request({ op: 'durable' });
  }

  append(file) {
    return this.lines.request({ op: 'append', file });
  }

  extras() {
    return this.lines.request({ op: 'extras' });
  }

  get pid() {
    return this.lines.process.pid;
  }

  async count() {
    return Number((await this.rows('SELECT count(*) FROM events'))[0][0]);
  }

  async sizes() {
    return (await this.lines.request({ op: 'sizes' })).value;
  }

  async version() {
    return (await this.lines.request({ op: 'version' })).value;
  }

  async rows(sql) {
    return (await this.lines.request({ op: 'rows', sql })).rows;
  }

  time(sql, repeat) {
    return this.lines.request({ op: 'time', sql, repeat });
  }

  close() {
    return this.lines.close();
  }
}
