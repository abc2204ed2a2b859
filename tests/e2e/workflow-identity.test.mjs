// The second workflow of the seeds, about identity: link, track, segment. In the modes that link backwards, with anonymous
// history from before and after it, in files and in memory, and with crashes in between.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { cairn, day, freshName, repository, seedsFolder, temporaryDirectory, World } from './harness.mjs';

// The documents are looked for beside openapi/, as their relative addresses say.
function place() {
  const root = temporaryDirectory('workflows');
  cpSync(path.join(repository, 'openapi'), path.join(root, 'openapi'), { recursive: true });
  mkdirSync(path.join(root, 'arazzo'));
  const name = readdirSync(seedsFolder).find((file) => file.includes('identity-resolve'));
  writeFileSync(path.join(root, 'arazzo', name), readFileSync(path.join(seedsFolder, name)));
  return path.join(root, 'arazzo', name);
}

function run(world, document, values) {
  const inputs = {
    projectToken: world.token,
    projectId: world.project.project_id,
    fromDate: day(-1),
    toDate: day(1),
    ...values,
  };
  const result = cairn([
    'workflow',
    'run',
    document,
    '--server',
    `identityApi=${world.url}`,
    '--server',
    `ingestionApi=${world.url}`,
    '--server',
    `queryApi=${world.url}/api/2.0`,
    '--auth',
    `basicAuth=${world.account.username}:${world.account.secret}`,
    ...Object.entries(inputs).flatMap(([name, value]) => ['--input', `${name}=${value}`]),
    '--json',
  ]);
  assert.equal(result.code, 0, result.stdout + result.stderr);
  return JSON.parse(result.stdout).outputs;
}

const day_s = 86_400;
const modes = {
  // how an anonymous event names its device, and the id that it is stored under
  simplified: { anonymous: (device) => ({ $device_id: device }), id: (device) => `$device:${device}` },
  original: { anonymous: (device) => ({ distinct_id: device }), id: (device) => device },
};
for (const [identity, { anonymous, id }] of Object.entries(modes)) {
  for (const small of [false, true]) {
    const args = small
      ? ['--set', 'store.wal_file_bytes=64k', '--set', 'store.flush_rows=3', '--set', 'store.flush_interval=100ms']
      : [];
    test(`${identity}${small ? ', many small files' : ''}: history before and after, crashes in between`, async () => {
      const world = await World.start({ identity, server: { args } });
      try {
        const document = place();
        const now = Math.floor(Date.now() / 1000);
        const [eventName, identifiedId, anonId] = [freshName(), freshName('user'), randomUUID()];
        const event = (properties) => world.event(eventName, properties);
        const people = () => world.totals({ event: eventName, on: 'properties["$distinct_id"]', from_date: day(-5) });
        /* before: two days ago, today, somebody else */
        await world.send(event({ ...anonymous(anonId), time: now - 2 * day_s }), event(anonymous(anonId)));
        await world.send(event({ distinct_id: 'somebody else' }));
        assert.deepEqual(await people(), { [id(anonId)]: 2, 'somebody else': 1 });
        await world.restart({ kill: true });

        const outputs = run(world, document, { eventName, identifiedId, anonId });
        assert.equal(outputs.identityStatus, 1);
        assert.equal(outputs.trackStatus, 1);
        const uniques = Object.values(outputs.values[eventName]);
        assert.ok(Math.max(...uniques) <= 2, JSON.stringify(outputs.values));
        assert.deepEqual(await people(), { [identifiedId]: 3, 'somebody else': 1 });

        /* after: late ones of yesterday, and from now on */
        await world.send(event({ ...anonymous(anonId), time: now - day_s }), event(anonymous(anonId)));
        assert.deepEqual(await people(), { [identifiedId]: 5, 'somebody else': 1 });
        await world.restart({ kill: true });
        assert.deepEqual(await people(), { [identifiedId]: 5, 'somebody else': 1 });

        /* once more: nothing changes but the event that it tracks */
        run(world, document, { eventName, identifiedId, anonId });
        assert.deepEqual(await people(), { [identifiedId]: 6, 'somebody else': 1 });
        assert.equal(await world.uniques(eventName), 2);

        /* another user on the same device: the workflow goes through, the device stays whose it is */
        const other = freshName('other');
        run(world, document, { eventName, identifiedId: other, anonId });
        await world.send(event(anonymous(anonId)));
        assert.deepEqual(await people(), { [identifiedId]: 7, [other]: 1, 'somebody else': 1 });
        await world.server.stop();
        const verified = cairn(['verify', '--data', world.data, '--deep']);
        assert.equal(verified.code, 0, verified.stdout);
      } finally {
        await world.end();
      }
    });
  }
}
