// What every end-to-end test needs: a data directory, a project, an account, a real server, and plain HTTP.
//
// CAIRN_BIN names the binary (default: build/cairn of this repository), CAIRN_SERVE_ARGS further arguments for
// every server, separated by blanks, CAIRN_SEEDS the folder of the workflows that the project began with (default: one
// beside the repository, or else workflows/). Nothing here depends on npm packages or on a fixed port. Everything a test
// starts is killed and everything it creates is deleted when its process ends, in whatever way. Works with Node 18.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export { sleep };
export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = path.resolve(process.env.CAIRN_BIN ?? path.join(repository, 'build/cairn'));
if (!existsSync(binary)) {
  console.error(`no server to test: "${binary}" does not exist; build it, or name another in CAIRN_BIN`);
  process.exit(1);
}

const besideRepository = path.join(repository, '../shared/seeds');
export const seedsFolder =
  process.env.CAIRN_SEEDS ?? (existsSync(besideRepository) ? besideRepository : path.join(repository, 'workflows'));

const serveArgs = (process.env.CAIRN_SERVE_ARGS ?? '').split(' ').filter(Boolean);
const directories = new Set();
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export function temporaryDirectory(name = 'test') {
  const directory = mkdtempSync(path.join(os.tmpdir(), `cairn-${name}-`));
  directories.add(directory);
  return directory;
}

// ---- the command line -------------------------------------------------------------------------------------

// Runs the binary to its end. `input` goes to standard input.
export function cairn(args, { input, env = {}, cwd, timeout = 60_000 } = {}) {
  const result = spawnSync(binary, args.map(String), {
    input,
    cwd,
    timeout,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 64 << 20,
  });
  return { code: result.status, signal: result.signal, stdout: result.stdout ?? '', stderr: result.stderr ?? '' };
}

// The same without blocking this process, for when the test itself has to answer the binary's requests.
export function cairnAsync(args, { env = {}, cwd, timeout = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args.map(String), {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    let stdout = '',
      stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      children.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

function cairnJson(args) {
  const result = cairn([...args, '--json']);
  if (result.code !== 0) throw new Error(`cairn ${args.join(' ')}: exit ${result.code}: ${result.stderr}`);
  return JSON.parse(result.stdout);
}

// {project_id, token, secret, timezone}
export function createProject(data, { name = 'Test', timezone, id, token, identity } = {}) {
  const args = ['project', 'create', '--data', data, '--name', name];
  if (timezone) args.push('--timezone', timezone);
  if (id) args.push('--id', id);
  if (token) args.push('--token', token);
  if (identity) args.push('--identity', identity);
  return cairnJson(args);
}

// {username, secret}
export function createAccount(data, project, { role = 'admin', name = 'Tester' } = {}) {
  return cairnJson(['account', 'create', '--data', data, '--project', project, '--role', role, '--name', name]);
}

// ---- HTTP -------------------------------------------------------------------------------------------------

// One request on a connection of its own, nothing added but Host and the framing. The answer: {status, headers, body
// (a Buffer), text, json()}.
export function request(url, { method = 'GET', headers = {}, body, agent = false, timeout = 60_000 } = {}) {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.isBuffer(body) ? body : Buffer.from(body);
    const all = { ...headers };
    if (bytes && !Object.keys(all).some((name) => /^(content-length|transfer-encoding)$/i.test(name)))
      all['Content-Length'] = bytes.length;
    const outgoing = http.request(url, { method, headers: all, agent, timeout }, (incoming) => {
      const parts = [];
      incoming.on('data', (part) => parts.push(part));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const whole = Buffer.concat(parts);
        resolve({
          status: incoming.statusCode,
          headers: incoming.headers,
          body: whole,
          text: whole.toString('utf8'),
          json: () => JSON.parse(whole.toString('utf8')),
        });
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeout} ms`)));
    outgoing.on('error', reject);
    outgoing.end(bytes);
  });
}

export const query = (params) => {
  const pairs = Object.entries(params).filter(([, value]) => value !== undefined);
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
};
export const basic = (text) => `Basic ${Buffer.from(text).toString('base64')}`;
export const base64 = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64');
export const base64url = (value) => base64(value).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

// ---- the server -------------------------------------------------------------------------------------------

export class Server {
  // Starts `cairn serve` and waits until it accepts connections.
  static async start(data, { args = [], env = {}, patience = 60_000 } = {}) {
    const server = new Server();
    Object.assign(server, { data, args, env, log: '', output: '' });
    const child = spawn(binary, ['serve', '--data', data, '--listen', '127.0.0.1:0', ...serveArgs, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    server.child = child;
    children.add(child);
    server.ended = new Promise((resolve) =>
      child.on('close', (code, signal) => {
        children.delete(child);
        resolve({ code, signal });
      }),
    );
    child.stderr.setEncoding('utf8').on('data', (text) => {
      server.log = (server.log + text).slice(-200_000);
    });
    server.url = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`the server did not say "listening on" within ${patience} ms: ${server.log}`));
      }, patience);
      child.on('error', reject);
      child.stdout.setEncoding('utf8').on('data', (text) => {
        server.output += text;
        const found = /^listening on (http:\/\/\S+)$/m.exec(server.output);
        if (!found) return;
        clearTimeout(timer);
        resolve(found[1]);
      });
      server.ended.then(({ code, signal }) => {
        clearTimeout(timer);
        const error = new Error(`the server ended with ${code ?? signal} before it listened: ${server.log}`);
        reject(Object.assign(error, { code, log: server.log }));
      });
    });
    server.port = Number(new URL(server.url).port);
    return server;
  }

  get running() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  // Ends it politely; resolves with {code, signal}.
  async stop(signal = 'SIGTERM', patience = 60_000) {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), patience);
    const end = await this.ended;
    clearTimeout(timer);
    return end;
  }

  async kill() {
    return this.stop('SIGKILL');
  }

  request(target, options) {
    return request(this.url + target, options);
  }
}

// ---- a server with one project and one account ------------------------------------------------------------

const day_ms = 86_400_000;
// The calendar day of an instant in a zone, as YYYY-MM-DD.
export function day(offset = 0, timezone = 'UTC', now = Date.now()) {
  const format = new Intl.DateTimeFormat('en-CA', {
    timeZone: timezone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
  });
  return format.format(new Date(now + offset * day_ms));
}

let names = 0;
// An event name nobody used before, so that tests in one file do not see each other's events.
export const freshName = (base = 'event') => `${base} ${process.pid}-${++names}`;

export class World {
  static async start({
    timezone = 'UTC',
    server = {},
    role = 'admin',
    data = temporaryDirectory(),
    identity,
  } = {}) {
    const world = new World();
    world.data = data;
    world.project = createProject(world.data, { timezone, identity });
    world.account = createAccount(world.data, world.project.project_id, { role });
    world.serverOptions = server;
    world.server = await Server.start(world.data, server);
    return world;
  }

  get url() {
    return this.server.url;
  }
  get token() {
    return this.project.token;
  }
  get authorization() {
    return basic(`${this.account.username}:${this.account.secret}`);
  }

  async restart({ kill = false } = {}) {
    await (kill ? this.server.kill() : this.server.stop());
    this.server = await Server.start(this.data, this.serverOptions);
  }

  async end() {
    if (this.server?.running) await this.server.kill();
    rmSync(this.data, { recursive: true, force: true });
    directories.delete(this.data);
  }

  event(event, properties = {}) {
    return { event, properties: { token: this.token, ...properties } };
  }

  // POSTs events (or anything) as JSON; the answer of `request`.
  track(events, { params = {}, headers = {} } = {}) {
    const target = Object.keys(params).length ? `/track?${query(params)}` : '/track';
    return this.server.request(target, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify(events),
    });
  }

  // Tracks and insists on success.
  async send(...events) {
    const answer = await this.track(events);
    if (answer.status !== 200 || answer.text !== '1')
      throw new Error(`/track answered ${answer.status} ${answer.text.slice(0, 300)}`);
  }

  // Asks /segmentation; by default about yesterday to tomorrow, so that midnight does not matter.
  segmentation(params, { headers, base = '/api/2.0', method = 'GET', ...rest } = {}) {
    const whole = query({
      project_id: this.project.project_id,
      from_date: day(-1, this.project.timezone ?? 'UTC'),
      to_date: day(1, this.project.timezone ?? 'UTC'),
      ...params,
    });
    return this.server.request(`${base}/segmentation?${whole}`, {
      method,
      headers: { Authorization: this.authorization, ...headers },
      ...rest,
    });
  }

  // {label: total over the range}; throws unless the answer is 200.
  async totals(params) {
    const answer = await this.segmentation(params);
    if (answer.status !== 200)
      throw new Error(`/segmentation answered ${answer.status} ${answer.text.slice(0, 500)}`);
    const result = {};
    for (const [label, buckets] of Object.entries(answer.json().data.values))
      result[label] = Object.values(buckets).reduce((sum, n) => sum + n, 0);
    return result;
  }

  // How many events of this name there are.
  async count(event, params = {}) {
    const totals = await this.totals({ event, ...params });
    return Object.values(totals).reduce((sum, n) => sum + n, 0);
  }

  // How many people did it. Events of a test happen "now", so all of them are in one month's bucket.
  async uniques(event, params = {}) {
    const answer = await this.segmentation({ event, type: 'unique', unit: 'month', ...params });
    if (answer.status !== 200)
      throw new Error(`/segmentation answered ${answer.status} ${answer.text.slice(0, 500)}`);
    return Math.max(0, ...Object.values(answer.json().data.values).flatMap((buckets) => Object.values(buckets)));
  }
}
