// The benchmark: made-up events into all engines, the same questions to all of them, answers compared, a table.
// Every stage writes down what it did in DIR/state.json and is left out the next time; what was cut short begins anew.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Cairn, Database, cairnBinary } from './engines.mjs';
import { groups, mergedSql, personSql, plan, queries } from './queries.mjs';
import { report } from './report.mjs';
import { sameAnswer, normal } from './compare.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const repository = path.resolve(here, '../..');
const engineNames = ['cairn', 'clickhouse', 'duckdb'];

const help = `bench/engine/run measures Cairn beside ClickHouse and DuckDB: loading, bytes on disk, questions.

  --events N       how many events; default 1000000
  --dir DIR        where data and results go; default build/bench/EVENTS
  --linked PERCENT of the users, who are anonymous until they log in, if they come that often; default 30. With 40
                   30 % of the users that occur are merged in the course of the days
  --threads LIST   questions are asked with so many threads; default 1,2
  --repeat N       each question so often in a round, of which the first is not counted; default 6
  --rounds N       rounds, in each of which the engines take turns; default 2
  --piece N        events are made and loaded in pieces of about so many, so that the text of all of them need not
                   fit on the disk; default 10000000
  --only TEXT      only questions with TEXT in their name, or of a group: ${Object.keys(groups).join(', ')};
                   may be repeated
  --engines LIST   default ${engineNames.join(',')}; the first answers are what the others are compared with
  --no-cold        do not measure with empty caches (which needs root)
  --redo WHAT      forget what is there: an engine's name, or questions; may be repeated
  --document FILE  also put the tables into FILE, between its lines <!-- bench EVENTS --> and <!-- end -->, where
                   EVENTS is followed by what --only says

It takes up again where it was stopped. A machine that does nothing else gives figures that mean something.
Disk: about 360 bytes for each event of a piece, and 200 for each event.
Examples:
  bench/engine/run --events 10000000
  bench/engine/run --events 10000000 --linked 40 --only behavioural --no-cold
  bench/engine/run --events 100000000 --piece 10000000
`;

const { values: args } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    dir: { type: 'string' },
    linked: { type: 'string', default: '30' },
    threads: { type: 'string', default: '1,2' },
    repeat: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '2' },
    piece: { type: 'string', default: '10000000' },
    only: { type: 'string', multiple: true, default: [] },
    engines: { type: 'string', default: engineNames.join(',') },
    'no-cold': { type: 'boolean', default: false },
    redo: { type: 'string', multiple: true, default: [] },
    document: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}
const number = (name) => {
  const value = Number(args[name]);
  if (Number.isInteger(value) && value > 0) return value;
  console.error(`bench/engine/run: --${name} ${args[name]} is no number above 0`);
  process.exit(2);
};
const events = number('events');
const repeat = number('repeat');
const rounds = number('rounds');
const threadCounts = args.threads.split(',').map(Number);
const engines = args.engines.split(',');
const linked = number('linked');
const directory = path.resolve(
  args.dir ?? path.join(repository, 'build/bench', linked === 30 ? String(events) : `${events}-${linked}`),
);
const loadThreads = Math.max(...threadCounts);
const seed = 1;
const SAMPLE_EVENTS = 2000000;

const say = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
const dataOf = (engine) => path.join(directory, engine);

// ---- what was done ----

fs.mkdirSync(directory, { recursive: true });
const stateFile = path.join(directory, 'state.json');
let state = { loads: {}, results: {}, cold: {} };
if (fs.existsSync(stateFile)) state = JSON.parse(fs.readFileSync(stateFile, 'utf8'));
// 30 is left out: directories of before there was a choice hold it.
const settings = JSON.stringify({ events, seed, piece: number('piece'), ...(linked !== 30 && { linked }) });
if (state.settings && state.settings !== settings) {
  console.error(`bench/engine/run: ${directory} holds other data: ${state.settings}. Give another --dir.`);
  process.exit(2);
}
state.settings = settings;
function save() {
  fs.writeFileSync(`${stateFile}.new`, JSON.stringify(state, null, 1));
  fs.renameSync(`${stateFile}.new`, stateFile);
}
for (const what of args.redo) {
  if (what !== 'questions' && !engineNames.includes(what)) {
    console.error(`bench/engine/run: --redo ${what}: give ${engineNames.join(', ')} or questions`);
    process.exit(2);
  }
  for (const name of Object.keys(state.results)) {
    if (what === 'questions') delete state.results[name];
    else for (const threads of Object.keys(state.results[name])) delete state.results[name][threads][what];
  }
  for (const name of Object.keys(state.cold)) {
    if (what === 'questions') delete state.cold[name];
    else delete state.cold[name][what];
  }
  delete state.loads[what];
  delete state.opening;
}

function start(engine, threads) {
  return engine === 'cairn' ? new Cairn(dataOf(engine), threads) : new Database(engine, dataOf(engine), threads);
}

// ---- loading ----

// Days of about equal numbers of events: [from, to).
function pieces() {
  const count = Math.min(plan.days, Math.ceil(events / number('piece')));
  return Array.from({ length: count }, (_, i) => [
    Math.floor((plan.days * i) / count),
    Math.floor((plan.days * (i + 1)) / count),
  ]);
}

const pieceFile = (from, to) => path.join(directory, `events-${from}-${to}.ndjson`);

function generate(from, to, events, file) {
  if (fs.existsSync(file)) return file;
  say(`making up events of days ${from} to ${to - 1}`);
  const result = spawnSync(
    cairnBinary,
    ['bench', 'generate', '--events', events, '--days', plan.days, '--seed', seed, '--linked', linked, '--user-numbers',
      '--from', from, '--to', to, '--out', `${file}.new`].map(String),
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (result.status !== 0) throw new Error('cairn bench generate failed');
  fs.renameSync(`${file}.new`, file);
  return file;
}

// What an expert has seen of the data before the tables are made: every value of the columns that have few. The first
// piece alone might lack some.
function sample() {
  return generate(0, plan.days, SAMPLE_EVENTS, path.join(directory, 'sample.ndjson'));
}

async function loadPiece(engine, file, first) {
  const at = start(engine, loadThreads);
  try {
    if (first) await at.create(pieces().length > 1 && engine === 'duckdb' ? sample() : file);
    const { wall_s, cpu_s, ...more } = await at.load(file);
    say(`${engine}: loaded in ${wall_s.toFixed(1)} s, ${cpu_s.toFixed(1)} s of CPU`);
    return { bytes: fs.statSync(file).size, wall_s, cpu_s, ...more };
  } finally {
    await at.close();
  }
}

async function finishLoad(engine) {
  const at = start(engine, loadThreads);
  try {
    const { wall_s, cpu_s } = await at.settle();
    say(`${engine}: settled in ${wall_s.toFixed(1)} s, ${cpu_s.toFixed(1)} s of CPU`);
    const settle = { wall_s, cpu_s };
    const rows = await at.count();
    if (rows !== events) throw new Error(`${engine} has ${rows} events instead of ${events}`);
    const sizes = await at.sizes();
    const version = await at.version();
    await at.extras();
    return { settle, sizes, version, rows };
  } finally {
    await at.close();
  }
}

async function load() {
  const list = pieces();
  for (const engine of engines) {
    if (state.loads[engine]?.done) continue;
    const begun = state.loads[engine];
    // A piece that was cut short may be there in part.
    if (!begun || begun.loading) {
      fs.rmSync(dataOf(engine), { recursive: true, force: true });
      state.loads[engine] = { pieces: [] };
      save();
    }
  }
  for (let i = 0; i < list.length; i++) {
    const waiting = engines.filter((engine) => !state.loads[engine].done && state.loads[engine].pieces.length <= i);
    if (waiting.length === 0) continue;
    const file = generate(...list[i], events, pieceFile(...list[i]));
    for (const engine of waiting) {
      const done = state.loads[engine];
      done.loading = true;
      save();
      say(`${engine}: loading piece ${i + 1} of ${list.length}`);
      done.pieces.push(await loadPiece(engine, file, i === 0));
      delete done.loading;
      save();
    }
    if (list.length > 1) fs.rmSync(file);
  }
  for (const engine of engines) {
    if (state.loads[engine].done) continue;
    Object.assign(state.loads[engine], await finishLoad(engine), { done: true });
    save();
  }
  for (const piece of list) fs.rmSync(pieceFile(...piece), { force: true });
  fs.rmSync(path.join(directory, 'sample.ndjson'), { force: true });
}

// ---- questions ----

async function findUser() {
  if (state.user) return;
  const at = start('clickhouse', loadThreads);
  const [row] = await at.rows(personSql.clickhouse);
  await at.close();
  if (!row) throw new Error('there is no user with events before and after the sign-up');
  state.user = { number: Number(row[0]), id: row[1] };
  save();
}

async function countUsers() {
  if (state.users) return;
  const at = start('clickhouse', loadThreads);
  const [row] = await at.rows(mergedSql.clickhouse);
  await at.close();
  state.users = { all: Number(row[0]), merged: Number(row[1]) };
  save();
}

const statistics = (list) => {
  const sorted = [...list].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1], min: sorted[0], max: sorted.at(-1) };
};

// Of several formulations, those that may turn out to be the fastest: each is tried twice, and its answer compared.
const CLEARLY_SLOWER = 1.5;
async function promising(query, engine, running) {
  const forms = [query[engine]].flat();
  if (forms.length === 1) return [0];
  const times = [];
  for (const form of forms) {
    const run = await running[engine].time(form, 2);
    check(query, engine, run.rows);
    times.push(run.wall_ms[1]);
  }
  const best = Math.min(...times);
  return forms.map((_, i) => i).filter((i) => times[i] <= CLEARLY_SLOWER * best);
}

// One question, all engines in turn. Of several formulations the one with the fastest median is kept.
async function ask(query, threads, running) {
  const found = {};
  const tried = {};
  for (let round = 0; round < rounds; round++) {
    for (const engine of engines) {
      if (state.results[query.name]?.[threads]?.[engine]) continue;
      const forms = [query[engine]].flat();
      tried[engine] ??= await promising(query, engine, running);
      for (const form of tried[engine]) {
        const run = await running[engine].time(forms[form], repeat);
        if (run.unsupported) {
          found[engine] = { unsupported: run.unsupported };
          continue;
        }
        const all = ((found[engine] ??= { forms: [] }).forms[form] ??= { wall: [], cpu: [] });
        all.wall.push(...run.wall_ms.slice(1));
        all.cpu.push(...run.cpu_ms.slice(1));
        all.rows = query.check?.[engine] ? await running[engine].rows(query.check[engine]) : run.rows;
      }
    }
  }
  for (const [engine, { forms, unsupported }] of Object.entries(found)) {
    state.results[query.name] ??= {};
    state.results[query.name][threads] ??= {};
    if (unsupported) {
      state.results[query.name][threads][engine] = { unsupported };
      continue;
    }
    for (const form of tried[engine]) check(query, engine, forms[form].rows);
    const measured = tried[engine].map((form) => forms[form]);
    const best = measured.reduce((a, b) => (statistics(a.wall).median <= statistics(b.wall).median ? a : b));
    state.results[query.name][threads][engine] = {
      form: forms.indexOf(best),
      wall_ms: statistics(best.wall),
      cpu_ms: statistics(best.cpu),
    };
  }
}

// The first answer to a question is kept in a file; every other must be the same.
function check(query, engine, rows) {
  const file = path.join(directory, 'answers', `${query.name.replaceAll(/[^a-z0-9]+/gi, '-')}.json`);
  const mine = normal(query, rows);
  if (!fs.existsSync(file)) {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, JSON.stringify({ engine, rows: mine }));
    return;
  }
  const first = JSON.parse(fs.readFileSync(file, 'utf8'));
  const difference = sameAnswer(first.rows, mine);
  if (!difference) return;
  const wrong = `${query.name}: ${engine} does not answer as ${first.engine} does: ${difference}`;
  say(wrong);
  if (!state.differences?.includes(wrong)) (state.differences ??= []).push(wrong);
}

async function askAll(list) {
  for (const threads of threadCounts) {
    const open = list.filter((query) => engines.some((engine) => !state.results[query.name]?.[threads]?.[engine]));
    if (open.length === 0) continue;
    const running = Object.fromEntries(engines.map((engine) => [engine, start(engine, threads)]));
    try {
      for (const query of open) {
        await ask(query, threads, running);
        const result = state.results[query.name][threads];
        const text = engines.map((engine) => `${engine} ${result[engine]?.wall_ms?.median.toFixed(2) ?? '-'}`);
        say(`${threads} threads, ${query.name}: ${text.join(', ')} ms`);
        save();
      }
    } finally {
      for (const engine of engines) await running[engine].close();
    }
  }
}

// ---- with empty caches ----

function dropCaches() {
  spawnSync('sync');
  fs.writeFileSync('/proc/sys/vm/drop_caches', '3');
}

async function askCold(list) {
  try {
    dropCaches();
  } catch (error) {
    say(`not measured with empty caches: ${error.message}`);
    return;
  }
  for (const query of list) {
    for (const engine of engines) {
      const warm = state.results[query.name]?.[loadThreads]?.[engine];
      if (!warm?.wall_ms || state.cold[query.name]?.[engine]) continue;
      dropCaches();
      const at = start(engine, loadThreads);
      const run = await at.time([query[engine]].flat()[warm.form], 1);
      await at.close();
      (state.cold[query.name] ??= {})[engine] = { wall_ms: run.wall_ms[0], cpu_ms: run.cpu_ms[0] };
      save();
    }
  }
}

// From nothing to the first answer.
function measureOpening() {
  if (!engines.includes('cairn') || state.opening) return;
  const cairn = start('cairn', loadThreads);
  let cold;
  if (!args['no-cold']) {
    try {
      dropCaches();
      cold = cairn.open();
    } catch (error) {
      say(`the start was not measured with empty caches: ${error.message}`);
    }
  }
  state.opening = { cold, warm: cairn.open() };
  save();
}

// ---- all of it ----

function machine() {
  const commit = spawnSync('git', ['-C', repository, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  return {
    cpu: os.cpus()[0].model,
    cores: os.cpus().length,
    memory_bytes: os.totalmem(),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
    commit: commit.status === 0 ? commit.stdout.trim() : '',
    date: new Date().toISOString().slice(0, 10),
  };
}

state.differences = [];
await load();
await findUser();
await countUsers();
const list = queries(state.user).filter(
  (query) => args.only.length === 0 || args.only.some((text) => groups[text]?.(query) ?? query.name.includes(text)),
);
if (list.length === 0) {
  console.error(`bench/engine/run: no question is meant by --only ${args.only.join(' --only ')}`);
  process.exit(2);
}
await askAll(list);
if (!args['no-cold']) await askCold(list);
measureOpening();
state.machine = machine();
save();

const text = report({ state, list, engines, threadCounts, events });
fs.writeFileSync(path.join(directory, 'results.md'), text);
fs.writeFileSync(path.join(directory, 'results.json'), JSON.stringify(state, null, 1));
process.stdout.write(text);
if (args.document) {
  const document = fs.readFileSync(args.document, 'utf8');
  const begin = `<!-- bench ${[events, ...args.only].join(' ')} -->`;
  const [before, rest] = document.split(`${begin}\n`);
  const end = rest?.indexOf('<!-- end -->');
  if (rest === undefined || end < 0) throw new Error(`${args.document} has no lines ${begin} and <!-- end -->`);
  fs.writeFileSync(args.document, `${before}${begin}\n${text}${rest.slice(end)}`);
}
if (state.differences.length > 0) {
  say(`answers differ in ${state.differences.length} cases`);
  process.exit(1);
}
