// mixpanel-browser as npm has it, in Chromium: what it sends about people and groups, and what it does not send of somebody
// who opted out. What became of it is read back from the server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skip, startBrowser, startSite, until, visit as visitPage } from './browser.mjs';
import { freshName, sleep, World } from './harness.mjs';
import { profile } from './profiles.mjs';

let world, site, browser;
before(async () => {
  if (skip) return;
  world = await World.start();
  site = await startSite();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.end();
  await world?.end();
});

const visit = (options, work) => visitPage({ world, site, browser }, options, work);

// Calls window.mixpanel.PATH(...args, callback) and insists on success. A Date goes as {"$date": ms}. `group` [key, id]:
// a method of get_group().
async function well(page, name, args = [], group) {
  const answer = await page.evaluate(
    ([target, given, of]) => {
      const { mixpanel } = window;
      const object = of ? mixpanel.get_group(...of) : target.startsWith('people.') ? mixpanel.people : mixpanel;
      const values = given.map((value) => (value?.$date === undefined ? value : new Date(value.$date)));
      return new Promise((done) => {
        setTimeout(() => done('no answer'), 30_000);
        object[target.replace('people.', '')](...values, done);
      });
    },
    [name, args, group],
  );
  assert.ok(answer === 1 || answer.status === 1, `${name}: ${JSON.stringify(answer)}`);
}

// What the page set itself: the SDK adds the browser's properties to every profile that it sets.
const added =
  /^\$(os|browser|browser_version|initial_referrer|initial_referring_domain|referrer|referring_domain|city|region|country_code|timezone)$/;
async function known(id, key) {
  const found = await profile(world, id, key);
  if (!found) return null;
  return Object.fromEntries(Object.entries(found).filter(([name]) => !added.test(name) && name !== '$group_id'));
}

// Steps [name, arguments, what is known afterwards].
async function follow(page, id, key, steps) {
  for (const [name, args, expected] of steps) {
    await well(page, name, args, key && [key, id]);
    assert.deepEqual(await known(id, key), expected, `after ${name} ${JSON.stringify(args)}`);
  }
}

test('alias is answered as the SDK wants it', { skip }, async () => {
  const complaints = await visit({ batch_requests: false }, async (page) => {
    const answer = await page.evaluate(
      (id) =>
        new Promise((done) => {
          window.mixpanel.alias(id);
          window.mixpanel.track('after alias', {}, done);
        }),
      freshName('alias'),
    );
    assert.ok(answer === 1 || answer.status === 1);
  });
  assert.deepEqual(complaints, []);
});

test('people: every method, a request each', { skip }, async () => {
  const user = freshName('user');
  const complaints = await visit({ batch_requests: false }, async (page) => {
    await page.evaluate((id) => window.mixpanel.identify(id), user);
    await follow(page, user, undefined, [
      ['people.set', ['plan', 'free'], { plan: 'free' }],
      [
        'people.set',
        [{ plan: 'pro', ü: '+/ &=', since: { $date: Date.UTC(2024, 0, 2, 3, 4, 5) } }],
        { plan: 'pro', ü: '+/ &=', since: { $date: Date.UTC(2024, 0, 2, 3, 4, 5) } },
      ],
      ['people.unset', [['ü', 'since']], { plan: 'pro' }],
      ['people.set_once', [{ plan: 'basic', first: 1 }], { plan: 'pro', first: 1 }],
      ['people.set_once', ['first', 2], { plan: 'pro', first: 1 }],
      ['people.unset', ['first'], { plan: 'pro' }],
      ['people.increment', ['visits', 1], { plan: 'pro', visits: 1 }],
      ['people.increment', [{ visits: 2.5, n: -1 }], { plan: 'pro', visits: 3.5, n: -1 }],
      ['people.unset', [['visits', 'n']], { plan: 'pro' }],
      ['people.append', ['pages', 'home'], { plan: 'pro', pages: ['home'] }],
      ['people.append', [{ pages: 'cart' }], { plan: 'pro', pages: ['home', 'cart'] }],
      ['people.union', ['pages', ['cart', 'pay']], { plan: 'pro', pages: ['home', 'cart', 'pay'] }],
      ['people.union', [{ pages: 'home' }], { plan: 'pro', pages: ['home', 'cart', 'pay'] }],
      ['people.remove', ['pages', 'cart'], { plan: 'pro', pages: ['home', 'pay'] }],
      ['people.remove', [{ pages: 'home' }], { plan: 'pro', pages: ['pay'] }],
      ['people.unset', [['pages', 'plan']], {}],
      ['people.clear_charges', [], { $transactions: [] }],
    ]);
    /* this version of the SDK sends nothing for a charge any more, and says so where it is told to debug */
    await page.evaluate(() => window.mixpanel.people.track_charge(9.5));
    /* has no callback */
    const answered = page.waitForResponse((response) => response.url().includes('/engage'));
    await page.evaluate(() => window.mixpanel.people.delete_user());
    assert.equal(await (await answered).text(), '1');
    assert.equal(await known(user), null);
  });
  assert.deepEqual(complaints, []);
});

/* The SDK puts messages by in no certain order: what is sent here gives the same in each. */
test('people in batches, and what came before identify', { skip }, async () => {
  const user = freshName('user');
  const complaints = await visit({ batch_flush_interval_ms: 200 }, async (page) => {
    const answered = page.waitForResponse((response) => response.url().includes('/engage'));
    await page.evaluate((id) => {
      const { mixpanel } = window;
      mixpanel.people.set('early', 'bird');
      mixpanel.people.append('pages', 'landing');
      mixpanel.identify(id);
      mixpanel.people.set({ plan: 'pro' });
      for (let i = 0; i < 60; i++) mixpanel.people.increment('n');
      mixpanel.people.union('pages', ['home', 'pay']);
    }, user);
    assert.equal((await (await answered).json()).status, 1);
    await until(
      () =>
        page.evaluate(
          (token) => JSON.parse(localStorage.getItem(`__mpq_${token}_pp`) ?? '[]').length === 0,
          world.token,
        ),
      'the SDK has sent everything',
    );
  });
  assert.deepEqual(complaints, []);
  const found = await known(user);
  found.pages.sort();
  assert.deepEqual(found, { early: 'bird', plan: 'pro', n: 60, pages: ['home', 'landing', 'pay'] });
});

test('groups: a user’s groups, on events and in the profile', { skip }, async () => {
  const name = freshName(),
    user = freshName('user');
  const complaints = await visit({ batch_requests: false }, async (page) => {
    await page.evaluate((id) => window.mixpanel.identify(id), user);
    await follow(page, user, undefined, [
      ['set_group', ['company', 'acme'], { company: ['acme'] }],
      ['add_group', ['company', 'umbrella'], { company: ['acme', 'umbrella'] }],
    ]);
    await well(page, 'track', [name, { step: 1 }]);
    await follow(page, user, undefined, [['remove_group', ['company', 'acme'], { company: ['umbrella'] }]]);
    await well(page, 'track', [name, { step: 2 }]);
    await well(page, 'track_with_groups', [name, { step: 3 }, { company: ['other'] }]);
  });
  assert.deepEqual(complaints, []);
  assert.deepEqual(
    await world.totals({ event: name, on: 'properties["company"]', where: 'properties["step"] == 1' }),
    {
      acme: 1,
      umbrella: 1,
    },
  );
  assert.equal(await world.count(name, { where: '"other" in properties["company"]' }), 1);
});

test('groups: every method of get_group', { skip }, async () => {
  const group = freshName('acme');
  const complaints = await visit({ batch_requests: false }, async (page) => {
    await follow(page, group, 'company', [
      ['set', ['$name', 'Acme'], { $name: 'Acme' }],
      ['set', [{ seats: 5 }], { $name: 'Acme', seats: 5 }],
      ['set_once', ['seats', 6], { $name: 'Acme', seats: 5 }],
      ['set_once', [{ since: 2019 }], { $name: 'Acme', seats: 5, since: 2019 }],
      ['unset', ['since'], { $name: 'Acme', seats: 5 }],
      ['union', ['products', ['rope', 'anvil']], { $name: 'Acme', seats: 5, products: ['rope', 'anvil'] }],
      ['remove', ['products', 'rope'], { $name: 'Acme', seats: 5, products: ['anvil'] }],
      ['delete', [], null],
    ]);
  });
  assert.deepEqual(complaints, []);
  /* and in batches */
  const other = freshName('acme');
  const quiet = await visit({ batch_flush_interval_ms: 100 }, async (page) => {
    const answered = page.waitForResponse((response) => response.url().includes('/groups'));
    await page.evaluate((id) => window.mixpanel.get_group('company', id).set({ seats: 1 }), other);
    assert.equal((await (await answered).json()).status, 1);
  });
  assert.deepEqual(quiet, []);
  assert.deepEqual(await known(other, 'company'), { seats: 1 });
});

test('somebody who opted out sends nothing, and is heard again after opting in', { skip }, async () => {
  const name = freshName(),
    optIn = freshName('opt in');
  const complaints = await visit({ batch_flush_interval_ms: 100 }, async (page) => {
    const sent = [];
    await page.evaluate((event) => window.mixpanel.track(event, { step: 'before' }), name);
    await until(async () => (await world.count(name)) === 1, 'the first event arrives');
    page.on('request', (request) => sent.push(request.url()));
    await page.evaluate((event) => {
      const { mixpanel } = window;
      mixpanel.opt_out_tracking();
      mixpanel.track(event, { step: 'out' });
      mixpanel.people.set({ a: 1 });
      mixpanel.get_group('company', 'acme').set({ a: 1 });
    }, name);
    await sleep(500);
    /* before it falls silent the SDK deletes what it knows of the user, if there is one; never an event */
    assert.deepEqual(
      sent.filter((url) => !url.includes('/engage')),
      [],
    );
    await page.evaluate(
      ([event, opted]) => {
        const { mixpanel } = window;
        mixpanel.opt_in_tracking({ track_event_name: opted });
        mixpanel.track(event, { step: 'in' });
      },
      [name, optIn],
    );
    await until(async () => (await world.count(name)) === 2 && (await world.count(optIn)) === 1, 'both arrive');
  });
  assert.deepEqual(complaints, []);
  assert.deepEqual(await world.totals({ event: name, on: 'properties["step"]' }), { before: 1, in: 1 });
});
