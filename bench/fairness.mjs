// How long short queries take while long ones and exports are under way: bench/fairness.mjs [SECONDS]. The server is the
// one that CAIRN_BIN names, as for the tests; its answers are not cached, its data is made here.

import http from 'node:http';
import { basic, createAccount, createProject, day, query, sleep, World } from '../tests/e2e/harness.mjs';

const seconds = Number(process.argv[2] ?? 10);
const ROWS = 400_000, SMALL = 20_000, HEAVY = 4;
const world = await World.start({
  role: 'owner',
  server: { args: ['--set', 'query.cache_bytes=1', '--set', 'ingest.import_events_max=100000', '--set', 'ingest.import_bytes_max=64m'] },
});
const other = createProject(world.data, { name: 'Other' });
const theirs = createAccount(world.data, other.project_id);
const mine = { id: world.project.project_id, authorization: world.authorization };
const foreign = { id: other.project_id, authorization: basic(`${theirs.username}:${theirs.secret}`) };

async function fill({ id, authorization }, event, rows) {
  const time = Math.floor(Date.now() / 1000) - 3600;
  for (let from = 0; from < rows; from += 50_000) {
    const events = Array.from({ length: Math.min(50_000, rows - from) }, (_, i) => ({
      event,
      properties: { time, distinct_id: `u${(from + i) % 1000}`, $insert_id: `${event}${from + i}`, n: i % 10, text: `${'a'.repeat(30)}${from + i}` },
    }));
    const answer = await world.server.request(`/import?project_id=${id}&strict=1`, {
      method: 'POST',
      headers: { Authorization: authorization, 'Content-Type': 'application/json' },
      body: JSON.stringify(events),
    });
    if (answer.status !== 200) throw new Error(answer.text.slice(0, 300));
  }
}
let salt = 0;
const ask = (project, event, params) =>
  world.server.request(`/api/2.0/segmentation?${query({ project_id: project.id, event, from_date: day(-1), to_date: day(0), ...params })}`, {
    headers: { Authorization: project.authorization },
    timeout: 600_000,
  });
const short = (project) => ask(project, 'Small', { on: 'properties["n"]', type: 'unique' });
const long = (project) => ask(project, 'Big', { where: `regex_match(properties["text"], "^.*a.*a.*a.*x${++salt}$")`, timeout_ms: 30_000 });

async function measure(name) {
  const took = [];
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const from = process.hrtime.bigint();
    const { status, text } = await short(mine);
    if (status !== 200) throw new Error(`${status} ${text.slice(0, 200)}`);
    took.push(Number(process.hrtime.bigint() - from) / 1e6);
  }
  took.sort((a, b) => a - b);
  const at = (part) => took[Math.min(took.length - 1, Math.floor(took.length * part))].toFixed(1);
  console.log(`${name.padEnd(34)} ${String(took.length).padStart(6)} queries   p50 ${at(0.5).padStart(6)} ms   p95 ${at(0.95).padStart(6)} ms   max ${at(1).padStart(6)} ms`);
}

// Keeps HEAVY long ones going until `stop` is called; counts how many came to an end by themselves.
function load(one) {
  const state = { stopped: false, done: 0 };
  const workers = Array.from({ length: HEAVY }, async () => {
    while (!state.stopped) {
      await one();
      state.done++;
    }
  });
  return async () => {
    state.stopped = true;
    const list = await world.server.request('/api/app/queries', { headers: { Authorization: world.authorization } });
    for (const { id } of list.json().results)
      await world.server.request(`/api/app/queries/${id}`, { method: 'DELETE', headers: { Authorization: world.authorization } });
    await Promise.all(workers);
  };
}
const exportAll = () =>
  new Promise((resolve, reject) => {
    const target = `/api/2.0/export?${query({ project_id: mine.id, from_date: day(-1), to_date: day(0) })}`;
    http.get(world.url + target, { headers: { Authorization: world.authorization } }, (incoming) => incoming.resume().on('close', resolve)).on('error', reject);
  });

await fill(mine, 'Small', SMALL);
await fill(mine, 'Big', ROWS);
await fill(foreign, 'Big', ROWS);
for (let i = 0; i < 20; i++) await short(mine);
await measure('alone');
for (const [name, one] of [
  [`${HEAVY} long ones of the same project`, () => long(mine)],
  [`${HEAVY} long ones of another project`, () => long(foreign)],
  [`${HEAVY} exports`, exportAll],
]) {
  const stop = load(one);
  await sleep(1500);
  await measure(`beside ${name}`);
  await stop();
}
await world.end();
