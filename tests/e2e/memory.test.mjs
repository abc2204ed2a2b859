// `--memory SIZE` is kept: while events arrive on several connections faster than they can be stored, are flushed and
// compacted, and while questions are asked meanwhile and afterwards, the server never has more in memory than it was
// given, and loses nothing. The kernel's own high-water mark is what counts (VmHWM of /proc/PID/status).
//
// MEMORY_EVENTS (1 000 000) and MEMORY_MIB (128) make it longer: script/check-all memory sends twenty million.

import assert from 'node:assert/strict';
import http from 'node:http';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { binary, freshName, sleep, World } from './harness.mjs';

const connections = 8;
const batch = 2000;
const mebibytes = Number(process.env.MEMORY_MIB ?? 128);
// Sanitizers keep memory of their own: then what is checked is that a small budget loses nothing.
const instrumented = /__(asan|tsan)_init/.test(readFileSync(binary, 'latin1'));
const events = Number(process.env.MEMORY_EVENTS ?? (instrumented ? 100_000 : 1_000_000));
const people = Math.max(1000, Math.floor(events / 20));

const highWater = (server) =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.child.pid}/status`, 'latin1'))[1]) / 1024;

function checkMemory(server, when) {
  const reached = highWater(server);
  console.log(`${when}: ${reached.toFixed(0)} of ${mebibytes} MiB`);
  if (!instrumented) assert.ok(reached <= mebibytes, `${when} the server had ${reached.toFixed(1)} MiB in memory`);
}

// Events number `first` on, as the body of a request: texts that hardly repeat, texts that do, numbers.
function body(world, name, first, count, now) {
  const list = [];
  for (let n = first; n < first + count; n++) {
    const mixed = Math.imul(n + 1, 0x9e3779b1) >>> 0;
    list.push(
      `{"event":"${name} ${n % 4}","properties":{"token":"${world.token}","time":${now - (mixed % 80_000)},` +
        `"distinct_id":"person-${mixed % people}","$insert_id":"${mixed.toString(36)}-${n.toString(36)}",` +
        `"page":"/shop/${mixed % 5000}","referrer":"https://example.com/search?q=${mixed}&page=${n}",` +
        `"country":"C${mixed % 200}","price":${(mixed % 100_000) / 100},"quantity":${1 + (n % 9)},"member":${n % 3 === 0}}}`,
    );
  }
  return `[${list.join(',')}]`;
}

test(`${events} events and questions in ${mebibytes} MiB`, { timeout: 3_600_000 }, async (t) => {
  const world = await World.start({ server: { args: ['--memory', `${mebibytes}m`] } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  t.after(async () => {
    agent.destroy();
    await world.end();
  });
  const name = freshName('Visit');
  const now = Math.floor(Date.now() / 1000);
  let next = 0,
    refused = 0,
    sending = true;

  const send = async () => {
    while (next < events) {
      const first = next;
      const count = Math.min(batch, events - first);
      next += count;
      const bytes = body(world, name, first, count, now);
      for (let tries = 0; ; tries++) {
        const answer = await world.server.request('/track', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: bytes,
          agent,
        });
        if (answer.status === 200) {
          assert.equal(answer.text, '1');
          break;
        }
        assert.equal(answer.status, 503, answer.text); // busy: nothing was stored
        assert.ok(tries < 6000, 'the server stays busy');
        refused++;
        await sleep(10);
      }
    }
  };
  const questions = [
    { type: 'unique', unit: 'day', on: 'properties["page"]', limit: 1000 },
    { type: 'general', unit: 'hour', on: 'properties["referrer"]', limit: 100 },
    { type: 'unique', unit: 'day', where: 'properties["price"] > 500 and "search" in properties["referrer"]' },
  ];
  const ask = async (question) => {
    const answer = await world.segmentation({ event: `${name} 1`, ...question });
    // A question that needs more than its share is refused with that reason, not answered from memory that is not there.
    assert.ok(answer.status === 200 || /memory/.test(answer.text), `${answer.status} ${answer.text.slice(0, 300)}`);
  };
  const keepAsking = async () => {
    for (let i = 0; sending; i++) {
      await ask(questions[i % questions.length]);
      await sleep(200);
    }
  };

  const asking = keepAsking();
  await Promise.all(Array.from({ length: connections }, send)).finally(() => {
    sending = false;
  });
  await asking;
  checkMemory(world.server, `with ${events} events stored, ${refused} requests refused meanwhile,`);
  await Promise.all([...questions, ...questions].map(ask));
  checkMemory(world.server, 'with questions at once');
  let stored = 0;
  for (let i = 0; i < 4; i++) stored += await world.count(`${name} ${i}`);
  assert.equal(stored, events);

  await world.restart();
  stored = 0;
  for (let i = 0; i < 4; i++) stored += await world.count(`${name} ${i}`);
  assert.equal(stored, events);
  await Promise.all(questions.map(ask));
  checkMemory(world.server, 'after another start');
});
