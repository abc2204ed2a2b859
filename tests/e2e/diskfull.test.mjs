// A disk that fails while the server writes: writers are told to come back (503 with Retry-After), readers are
// served, nothing that was acknowledged is lost, and when the disk is well again so is the server, without a
// restart.
//
// The failing disk is libfaultfs.so (faultfs.c here), preloaded into the server. Under AddressSanitizer, which has
// to be the first library itself, there is nothing to preload: skipped.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { binary, freshName, repository, Server, sleep, temporaryDirectory, World } from './harness.mjs';

const sanitized = readFileSync(binary).includes('__asan_init');
const skip = sanitized ? 'AddressSanitizer does not let another library come first' : false;

function shim() {
  for (const file of [process.env.CAIRN_FAULTFS, path.join(path.dirname(binary), 'tests/e2e/libfaultfs.so')])
    if (file && existsSync(file)) return file;
  const file = path.join(temporaryDirectory('faultfs'), 'libfaultfs.so');
  const source = path.join(repository, 'tests/e2e/faultfs.c');
  const compiled = spawnSync('cc', ['-std=gnu17', '-D_GNU_SOURCE', '-shared', '-fPIC', '-o', file, source, '-ldl'], {
    encoding: 'utf8',
  });
  assert.equal(compiled.status, 0, compiled.stderr);
  return file;
}

let world, control;

const fail = (how) => writeFileSync(control, how);
const heal = () => rmSync(control, { force: true });

function assertLater(answer) {
  assert.equal(answer.status, 503, `${answer.status} ${answer.text}`);
  assert.ok(Number(answer.headers['retry-after']) >= 1, JSON.stringify(answer.headers));
  assert.match(answer.headers['content-type'], /^application\/json/);
  assert.equal(typeof answer.json().error, 'string');
}

// Tries until a write is acknowledged. How many tries were refused.
async function recovered(name, patience = 30_000) {
  const deadline = Date.now() + patience;
  for (let refused = 0; ; refused++) {
    const answer = await world.track([world.event(name, { distinct_id: 'u', $insert_id: 'recovered' })]);
    if (answer.status === 200) {
      assert.equal(answer.text, '1');
      return refused;
    }
    assertLater(answer);
    assert.ok(Date.now() < deadline, `still refused after ${patience} ms: ${world.server.log}`);
    await sleep(100);
  }
}

// Once as it is, once with limits so small that flushes and merges meet the failing disk as well.
const kinds = {
  'with the default settings': [],
  'with small files': ['store.wal_file_bytes=64k', 'store.flush_rows=100', 'store.flush_interval=200ms'].flatMap(
    (setting) => ['--set', setting],
  ),
};
for (const [kind, args] of Object.entries(kinds))
  describe(kind, () => {
    before(async () => {
      if (skip) return;
      control = path.join(temporaryDirectory('control'), 'fault');
      const data = temporaryDirectory();
      const env = { LD_PRELOAD: shim(), FAULTFS_ROOT: data, FAULTFS_CONTROL: control };
      world = await World.start({ data, server: { env, args } });
    });
    after(() => world?.end());

    for (const how of ['ENOSPC', 'EIO', 'SHORT']) {
      test(`${how}: refuse writes, serve reads, recover`, { skip }, async () => {
        const name = freshName();
        await world.send(world.event(name, { distinct_id: 'before' }));
        fail(how);
        try {
          assertLater(await world.track([world.event(name, { distinct_id: 'during' })]));
          assertLater(await world.track([world.event(name, { distinct_id: 'during' })], { params: { verbose: 1 } }));
          assertLater(
            await world.server.request('/identity/create', {
              method: 'POST',
              headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify({ $token: world.token, $identified_id: `u-${how}`, $anon_id: `d-${how}` }),
            }),
          );
          assert.equal(
            await world.count(name, { where: 'properties["$distinct_id"] == "before"' }),
            1,
            'reads go on',
          );
          assert.equal((await world.server.request('/health')).status, 200, 'it is alive');
          assert.equal((await world.server.request('/ready')).status, 503, 'but takes no writes');
        } finally {
          heal();
        }
        await recovered(name);
        assert.equal((await world.server.request('/ready')).status, 200);
        assert.equal(await world.count(name, { where: 'properties["$distinct_id"] == "before"' }), 1);
        assert.equal(await world.count(name, { where: 'properties["$distinct_id"] == "u"' }), 1);
        assert.equal(
          await world.count(name, { where: 'properties["$distinct_id"] == "during"' }),
          0,
          'what was refused is not counted',
        );
      });
    }

    test(
      'under load, the disk failing again and again: every acknowledged event once, also after SIGKILL',
      { skip, timeout: 300_000 },
      async () => {
        const name = freshName();
        const acknowledged = new Set(),
          sent = new Set();
        let stop = false,
          refused = 0,
          number = 0;
        const clients = Array.from({ length: 6 }, async () => {
          while (!stop) {
            const batch = Array.from({ length: 1 + (number % 5) }, () => ++number);
            for (const n of batch) sent.add(n);
            const answer = await world.track(
              batch.map((n) => world.event(name, { distinct_id: 'u', $insert_id: `load-${n}`, n })),
            );
            if (answer.status === 200) {
              assert.equal(answer.text, '1');
              for (const n of batch) acknowledged.add(n);
              await sleep(10); // a label for each event has to fit into one answer
            } else {
              assertLater(answer);
              refused++;
              await sleep(20);
            }
          }
        });
        for (const how of ['ENOSPC', 'EIO', 'SHORT', 'EIO', 'SHORT', 'ENOSPC']) {
          await sleep(300);
          const before = refused;
          fail(how);
          for (let tries = 0; refused < before + 3 && tries < 50; tries++) await sleep(100);
          heal();
        }
        await sleep(500);
        stop = true;
        await Promise.all(clients);
        await recovered(name);
        assert.ok(refused > 0 && acknowledged.size > 0, `${refused} refused, ${acknowledged.size} acknowledged`);

        const check = async () => {
          const answer = await world.segmentation({
            event: name,
            on: 'properties["n"]',
            limit: 10000,
            unit: 'month',
            where: 'defined(properties["n"])',
          });
          assert.equal(answer.status, 200, answer.text);
          const { data, legend_size } = answer.json();
          assert.ok(legend_size <= 10000, `the test sent too much: ${legend_size}`);
          const found = Object.entries(data.values)
            .map(([n, buckets]) => [Number(n), Object.values(buckets).reduce((a, b) => a + b, 0)])
            .filter(([, count]) => count > 0);
          for (const [n, count] of found) {
            assert.equal(count, 1, `event ${n} is there ${count} times`);
            assert.ok(sent.has(n), `event ${n} was never sent`);
          }
          const there = new Set(found.map(([n]) => n));
          for (const n of acknowledged) assert.ok(there.has(n), `event ${n} was acknowledged and is gone`);
          return there.size;
        };
        const stored = await check();
        await world.restart({ kill: true });
        const later = await check();
        console.log(
          `acknowledged ${acknowledged.size}, stored ${stored}, after the kill ${later}, refused requests ${refused}`,
        );
      },
    );

    test(
      'a server that starts on a full disk says so or serves reads; afterwards all is well',
      { skip },
      async () => {
        const name = freshName();
        await world.send(world.event(name));
        await world.server.kill();
        fail('ENOSPC');
        let server;
        try {
          server = await Server.start(world.data, world.serverOptions).catch((error) => error);
          if (server instanceof Error) assert.match(server.message, /space|disk/i);
          else {
            world.server = server;
            assert.equal(await world.count(name), 1);
          }
        } finally {
          heal();
        }
        if (server.running) await server.kill();
        world.server = await Server.start(world.data, world.serverOptions);
        assert.equal(await world.count(name), 1);
        await world.send(world.event(name));
        assert.equal(await world.count(name), 2);
      },
    );
  });
