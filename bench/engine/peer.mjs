// A database in a process of its own, so that CPU time and memory are its alone. Reads one JSON request a line from
// standard input and answers each with one JSON line:
//   {"op":"time","sql":…,"repeat":N} -> {"wall_ms":[…],"cpu_ms":[…],"rows":[…]}
//   {"op":"rows","sql":…} -> {"rows":[…]}        {"op":"sizes"|"version"} -> {"value":…}
//   {"op":"create"|"load"|"settle"|"extras"|"durable"|"append","file":…} -> {"wall_s":…,"cpu_s":…}
//
// peer.mjs MODULE DIRECTORY THREADS

import readline from 'node:readline';

const [module, directory, threads] = process.argv.slice(2);
const Peer = (await import(`./${module}.mjs`)).default;
const peer = new Peer(directory, Number(threads));
await peer.open?.();

async function measured(work) {
  const cpu = process.cpuUsage();
  const start = process.hrtime.bigint();
  const result = await work();
  const wall_s = Number(process.hrtime.bigint() - start) / 1e9;
  const used = process.cpuUsage(cpu);
  return { wall_s, cpu_s: (used.user + used.system) / 1e6, result };
}

async function time(sql, repeat) {
  const wall_ms = [];
  const cpu_ms = [];
  let last;
  for (let i = 0; i < repeat; i++) {
    const run = await measured(() => peer.run(sql));
    wall_ms.push(run.wall_s * 1e3);
    cpu_ms.push(run.cpu_s * 1e3);
    last = run.result;
  }
  return { wall_ms, cpu_ms, rows: peer.parse(last) };
}

async function answer(request) {
  switch (request.op) {
    case 'time':
      return time(request.sql, request.repeat);
    case 'rows':
      return { rows: await peer.rows(request.sql) };
    case 'sizes':
      return { value: await peer.sizes() };
    case 'version':
      return { value: await peer.version() };
    case 'create':
    case 'load':
    case 'settle':
    case 'extras':
    case 'durable':
    case 'append': {
      const { wall_s, cpu_s } = await measured(() => peer[request.op](request.file));
      return { wall_s, cpu_s };
    }
    default:
      throw new Error(`unknown request ${request.op}`);
  }
}

// Counts beyond 2^53 do not occur here.
const plain = (key, value) => (typeof value === 'bigint' ? Number(value) : value);

for await (const line of readline.createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(reply, plain)}\n`);
}
peer.close();
process.exit(0);
