// The server is killed (SIGKILL) at random moments while clients write, and started again. Whatever it
// acknowledged must then be there exactly once; what it did not acknowledge may be there, once, or not; nothing
// else may be there at all.
//
// Every round uses event names of its own and numbers its events, so that one /segmentation by that number is the
// whole truth about the round. Clients send single events and batches, resend some of them with the same
// $insert_id (before the crash, and after it those whose fate is unknown to them), and link identities. At the end
// all rounds are looked at again, after one more kill.
//
//   CRASH_ROUNDS=50   CRASH_SEED=number   (the seed is printed; the timing of the machine stays its own)

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, test } from 'node:test';
import { request, Server, sleep, World } from '../e2e/harness.mjs';

const rounds = Number(process.env.CRASH_ROUNDS ?? 50);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 2 ** 32) >>> 0;
const clients = 6;
const labels_max = 10_000; // of one /segmentation: no round may send more events

let state = seed;
function random(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
}

// Every other start is with limits so small that log files, flushes and merges come and go while the kill falls.
function settings() {
  if (random(2) === 0) return [];
  const values = {
    'store.wal_file_bytes': ['64k', '256k'][random(2)],
    'store.flush_rows': [20, 200, 2000][random(3)],
    'store.flush_interval': ['100ms', '1s'][random(2)],
    'store.memory_max': '1m',
  };
  return Object.entries(values).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
}

let world;
after(() => world?.end());

const headers = { 'Content-Type': 'application/json' };
const now = Math.floor(Date.now() / 1000) - 3600;

class Round {
  constructor(number) {
    Object.assign(this, {
      number,
      name: `crash ${number}`,
      identity: `person ${number}`,
      events: 0,
      links: 0,
      sent: new Set(),
      acknowledged: new Set(),
      unknown: [],
      resent: 0,
      linked: new Set(),
      tried: new Set(),
      devices: new Set(),
    });
  }

  batch(numbers) {
    return numbers.map((n) =>
      world.event(this.name, { distinct_id: `u${n % 50}`, time: now, $insert_id: `r${this.number}-${n}`, n }),
    );
  }

  async post(target, body, agent) {
    const answer = await request(world.url + target, { method: 'POST', headers, body: JSON.stringify(body), agent });
    return answer.status === 200 ? answer.text : null;
  }

  // Sends these events; they are acknowledged or their fate is unknown.
  async track(numbers, agent) {
    for (const n of numbers) this.sent.add(n);
    let answer = null;
    try {
      answer = await this.post('/track', this.batch(numbers), agent);
    } catch (error) {
      this.unknown.push(numbers);
      throw error;
    }
    assert.equal(answer, '1', 'a write was refused');
    for (const n of numbers) this.acknowledged.add(n);
  }

  async link(agent) {
    const n = this.links++;
    const device = `d${this.number}-${n}`;
    assert.equal(
      await this.post('/track', [world.event(this.identity, { $device_id: device, time: now })], agent),
      '1',
    );
    this.devices.add(n);
    this.tried.add(n);
    const body = { $token: world.token, $anon_id: device, $identified_id: `u${this.number}-${n}` };
    assert.equal(JSON.parse(await this.post('/identity/create', body, agent)).status, 1);
    this.linked.add(n);
  }

  // One client: until the server is gone.
  async client() {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const mine = [];
    try {
      while (!this.over && this.events < labels_max - 1000) {
        const kind = random(20);
        if (kind === 0) await this.link(agent);
        else if (kind === 1 && mine.length > 0) {
          this.resent++;
          await this.track(mine[random(mine.length)], agent);
        } else {
          const size = kind < 12 ? 1 : kind < 18 ? 1 + random(20) : 1 + random(100);
          const numbers = Array.from({ length: size }, () => this.events++);
          await this.track(numbers, agent);
          mine.push(numbers);
        }
        if (random(4) === 0) await sleep(random(5));
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error; // an answer, and the wrong one
    } finally {
      agent.destroy();
    }
  }

  async run() {
    const work = Array.from({ length: clients }, () => this.client());
    await sleep(10 + random(400));
    await world.server.kill();
    this.over = true;
    await Promise.all(work);
    world.server = await Server.start(world.data, { args: settings() });
  }

  // What /segmentation says: {number: count}.
  async stored(event, on) {
    const answer = await world.segmentation({ event, on, unit: 'month', limit: labels_max });
    assert.equal(answer.status, 200, answer.text.slice(0, 500));
    const { data, legend_size } = answer.json();
    assert.ok(legend_size <= labels_max, `${legend_size} labels`);
    return new Map(
      Object.entries(data.values)
        .map(([label, buckets]) => [label, Object.values(buckets).reduce((a, b) => a + b, 0)])
        .filter(([, count]) => count > 0),
    );
  }

  async verify(when) {
    const where = `round ${this.number}, ${when}`;
    const stored = await this.stored(this.name, 'properties["n"]');
    for (const [label, count] of stored) {
      assert.ok(this.sent.has(Number(label)), `${where}: event ${label} was never sent`);
      assert.equal(count, 1, `${where}: event ${label} is there ${count} times`);
    }
    for (const n of this.acknowledged)
      assert.ok(stored.has(String(n)), `${where}: event ${n} was acknowledged and is gone`);

    const people = await this.stored(this.identity, 'properties["$distinct_id"]');
    for (const n of this.devices) {
      const user = people.get(`u${this.number}-${n}`) ?? 0,
        device = people.get(`$device:d${this.number}-${n}`) ?? 0;
      assert.equal(user + device, 1, `${where}: the event of device ${n} is there ${user + device} times`);
      if (this.linked.has(n)) assert.equal(user, 1, `${where}: link ${n} was acknowledged and is gone`);
    }
    return { stored: stored.size, extra: stored.size - this.acknowledged.size };
  }

  // A client that does not know the fate of its batch sends it again; then it is there, once.
  async resolve() {
    for (const numbers of this.unknown.splice(0)) {
      this.resent++;
      await this.track(numbers, false);
    }
  }
}

test(`${rounds} kills under load, seed ${seed}`, { timeout: 3_500_000 }, async (t) => {
  world = await World.start();
  const all = [],
    sum = { sent: 0, acknowledged: 0, found: 0, extra: 0, resent: 0, links: 0 };
  for (let number = 1; number <= rounds; number++) {
    const round = new Round(number);
    all.push(round);
    await round.run();
    const { extra } = await round.verify('after the kill');
    sum.extra += extra;
    if (random(2) === 0) await round.resolve();
    await all[random(all.length)].verify(`looked at after round ${number}`);
  }
  await world.restart({ kill: true }); // with the default settings
  for (const round of all) {
    const { stored } = await round.verify('at the end');
    sum.found += stored;
    sum.sent += round.sent.size;
    sum.acknowledged += round.acknowledged.size;
    sum.resent += round.resent;
    sum.links += round.linked.size;
  }
  t.diagnostic(
    `seed ${seed}: ${rounds} kills, ${sum.sent} events sent, ${sum.acknowledged} acknowledged, ${sum.found} found, ` +
      `${sum.extra} found without acknowledgement right after a kill, ${sum.resent} requests sent twice, ${sum.links} links acknowledged; ` +
      '0 lost, 0 doubled, 0 invented',
  );
  assert.ok(sum.acknowledged > rounds, 'too little was written to mean anything');
});
