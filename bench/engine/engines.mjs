// Cairn and the databases behind one interface: create, load, settle, extras, count, sizes, version, time, rows, close.

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const cairnBinary = path.resolve(process.env.CAIRN_BIN ?? 'build/cairn');

export class Cairn {
  constructor(directory, threads) {
    this.directory = directory;
    this.threads = threads;
  }

  // Runs `cairn bench …`; returns standard output.
  bench(args, input) {
    const result = spawnSync(cairnBinary, ['bench', ...args.map(String)], {
      input,
      encoding: 'utf8',
      maxBuffer: 1 << 30,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    if (result.status !== 0) throw new Error(`cairn bench ${args.join(' ')}: ${result.stderr}`);
    this.message = result.stderr;
    return result.stdout;
  }

  create() {}

  // Durable, and with what settling does, because the next piece comes from another process.
  load(file) {
    const result = JSON.parse(
      this.bench(['load', '--data', this.directory, '--threads', this.threads, '--json', file]),
    );
    if (result.refused) throw new Error(`Cairn refused ${result.refused} events`);
    this.last = result;
    return {
      ...result,
      wall_s: result.append_wall_s + result.settle_wall_s,
      cpu_s: result.append_cpu_s + result.settle_cpu_s,
    };
  }

  settle() {
    return { wall_s: 0, cpu_s: 0 };
  }

  extras() {}

  count() {
    const rows = this.ask({ name: 'all', from: '2024-01-01', to: '2025-03-01', unit: 'range' }, 1).rows;
    return rows.reduce((sum, row) => sum + row.at(-1), 0);
  }

  sizes() {
    let total = 0;
    const events = path.join(this.directory, 'events');
    for (const file of fs.readdirSync(events)) total += fs.statSync(path.join(events, file)).size;
    return { total, columns: {} };
  }

  version() {
    return spawnSync(cairnBinary, ['--version'], { encoding: 'utf8' }).stdout.trim().split(' ').at(-1);
  }

  ask(question, repeat) {
    const output = this.bench(
      ['query', '--data', this.directory, '--threads', this.threads, '--repeat', repeat, '--json', '--queries', '-'],
      JSON.stringify([{ name: 'question', ...question }]),
    );
    if (!output) return { unsupported: this.message.trim() };
    const { wall_ms, cpu_ms, answer } = JSON.parse(output);
    return { wall_ms, cpu_ms, rows: answer };
  }

  time(question, repeat) {
    return this.ask(question, repeat);
  }

  open() {
    return JSON.parse(this.bench(['open', '--data', this.directory, '--threads', this.threads, '--json']));
  }

  close() {}
}

export class Database {
  constructor(name, directory, threads) {
    const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'peer.mjs');
    this.name = name;
    this.process = spawn(process.execPath, ['--max-old-space-size=4096', script, name, directory, threads], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.waiting = [];
    this.ended = new Promise((resolve) => this.process.on('exit', resolve));
    this.ended.then((code) => this.waiting.splice(0).forEach((one) => one({ error: `ended with ${code}` })));
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => this.waiting.shift()?.(JSON.parse(line)));
  }

  async request(request) {
    const reply = await new Promise((resolve) => {
      this.waiting.push(resolve);
      this.process.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (reply.error) throw new Error(`${this.name}: ${reply.error}`);
    return reply;
  }

  create(file) {
    return this.request({ op: 'create', file });
  }

  load(file) {
    return this.request({ op: 'load', file });
  }

  settle() {
    return this.request({ op: 'settle' });
  }

  extras() {
    return this.request({ op: 'extras' });
  }

  async count() {
    return Number((await this.rows('SELECT count(*) FROM events'))[0][0]);
  }

  async sizes() {
    return (await this.request({ op: 'sizes' })).value;
  }

  async version() {
    return (await this.request({ op: 'version' })).value;
  }

  async rows(sql) {
    return (await this.request({ op: 'rows', sql })).rows;
  }

  time(sql, repeat) {
    return this.request({ op: 'time', sql, repeat });
  }

  async close() {
    this.process.stdin.end();
    await this.ended;
  }
}
