// identify, alias and reset of mixpanel-browser as npm has it, in Chromium, in the three identity modes: what a visitor
// did before the login and after it, on a second browser, and on a browser that somebody else uses next.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skip, startBrowser, startSite, until, visit as visitPage } from './browser.mjs';
import { freshName, World } from './harness.mjs';

let site, browser;
const worlds = {};
before(async () => {
  if (skip) return;
  site = await startSite();
  browser = await startBrowser();
  for (const identity of ['simplified', 'original', 'legacy']) worlds[identity] = await World.start({ identity });
});
after(async () => {
  await browser?.close();
  await site?.end();
  await Promise.all(Object.values(worlds).map((world) => world.end()));
});

const visit = (world, work) => visitPage({ world, site, browser }, { batch_flush_interval_ms: 100 }, work);
const counted = (world, event, n) => until(async () => (await world.count(event)) >= n, `${n} of ${event} arrive`);
const byPerson = (world, event) => world.totals({ event, on: 'properties["$distinct_id"]' });
// Calls of the SDK, one after the other, and waits until `n` of the event arrived in all.
async function run(world, page, event, n, calls) {
  await page.evaluate((list) => {
    for (const [name, ...args] of list) window.mixpanel[name](...args);
  }, calls);
  await counted(world, event, n);
}

for (const identity of ['simplified', 'original']) {
  test(`${identity}: login, logout, another user, a second browser, a crash in between`, { skip }, async () => {
    const world = worlds[identity];
    const [name, ann, bob] = [freshName(), freshName('ann'), freshName('bob')];
    const complaints = await visit(world, async (page) => {
      await run(world, page, name, 2, [
        ['track', name, { step: 'anonymous' }],
        ['track', name, { step: 'anonymous' }],
      ]);
      assert.equal(await world.uniques(name), 1);
      await run(world, page, name, 3, [
        ['identify', ann],
        ['track', name, { step: 'known' }],
      ]);
      await until(async () => (await byPerson(world, name))[ann] === 3, 'the anonymous events are hers');
      /* logged out: somebody new, who turns out to be Bob */
      await run(world, page, name, 4, [['reset'], ['track', name, { step: 'nobody yet' }]]);
      assert.equal(await world.uniques(name), 2);
      await run(world, page, name, 5, [
        ['identify', bob],
        ['track', name, { step: 'known' }],
      ]);
      await until(async () => (await byPerson(world, name))[bob] === 2, "the second visitor's events are his");
    });
    assert.deepEqual(complaints, []);
    await world.restart({ kill: true });
    assert.deepEqual(await byPerson(world, name), { [ann]: 3, [bob]: 2 });
    await visit(world, async (page) => {
      await run(world, page, name, 6, [['track', name, { step: 'another browser' }]]);
      assert.equal(await world.uniques(name), 3);
      await run(world, page, name, 7, [
        ['identify', ann],
        ['track', name, { step: 'another browser, known' }],
      ]);
    });
    await until(async () => (await byPerson(world, name))[ann] === 5, 'the second browser is hers, too');
    assert.deepEqual(await byPerson(world, name), { [ann]: 5, [bob]: 2 });
    assert.equal(await world.uniques(name), 2);
  });
}

test('original: alias names the visitor, and other devices find them by it', { skip }, async () => {
  const world = worlds.original;
  const [name, nick] = [freshName(), freshName('nick')];
  await visit(world, async (page) => {
    await run(world, page, name, 1, [['track', name, { step: 'anonymous' }]]);
    await run(world, page, name, 2, [
      ['alias', nick],
      ['track', name, { step: 'named' }],
    ]);
    await until(async () => (await world.uniques(name)) === 1, 'one person');
  });
  await world.server.request('/track', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify([world.event(name, { distinct_id: nick, step: 'from a server' })]),
  });
  assert.equal(await world.count(name), 3);
  assert.equal(await world.uniques(name), 1);
});

test('legacy: alias counts from then on; identify is an event like others', { skip }, async () => {
  const world = worlds.legacy;
  const [name, nick] = [freshName(), freshName('nick')];
  await visit(world, async (page) => {
    await run(world, page, name, 1, [['track', name, { step: 'anonymous' }]]);
    await run(world, page, name, 2, [
      ['alias', nick],
      ['track', name, { step: 'named' }],
    ]);
    assert.equal(await world.uniques(name), 1);
  });
  /* another browser: what it did before the login stays somebody else's */
  await visit(world, async (page) => {
    await run(world, page, name, 3, [['track', name, { step: 'another browser' }]]);
    assert.equal(await world.uniques(name), 2);
    await run(world, page, name, 4, [
      ['identify', nick],
      ['track', name, { step: 'known' }],
    ]);
  });
  assert.equal(await world.uniques(name), 2);
  assert.deepEqual(Object.values(await byPerson(world, name)).sort(), [1, 3]);
  await world.restart({ kill: true });
  assert.deepEqual(Object.values(await byPerson(world, name)).sort(), [1, 3]);
  await until(async () => (await world.count('$identify')) >= 1, 'a plain event');
});
