// mixpanel-browser as npm has it, in Chromium, on a page of another origin, with no setting changed but api_host (and, where
// a test is about them, the SDK's documented options). What arrived is asked of the server's reports.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skip, startBrowser, startDoor, startSite, until, visit as visitPage } from './browser.mjs';
import { freshName, World } from './harness.mjs';

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
const counted = (event, n) => until(async () => (await world.count(event)) >= n, `${n} of ${event} arrive`);
const values = async (event, property) => world.totals({ event, on: `properties["${property}"]` });

test('batched events, as the SDK sends them by default', { skip }, async () => {
  const name = freshName();
  const complaints = await visit({ batch_flush_interval_ms: 200 }, async (page) => {
    await page.evaluate((event) => {
      for (let i = 0; i < 120; i++) window.mixpanel.track(event, { n: i, list: ['a', 'b'], nested: { deep: 1 } });
    }, name);
    await counted(name, 120);
  });
  assert.deepEqual(complaints, []);
  assert.equal(await world.count(name), 120);
  assert.equal(await world.uniques(name), 1);
  assert.deepEqual(await values(name, '$browser'), { Chrome: 120 });
  assert.deepEqual(await values(name, 'mp_lib'), { web: 120 });
  assert.equal(Object.keys(await values(name, 'n')).length > 0, true);
});

test('one request an event, and its callback hears of success', { skip }, async () => {
  const name = freshName();
  const complaints = await visit({ batch_requests: false }, async (page) => {
    const answers = await page.evaluate(
      (event) =>
        Promise.all(
          [1, 2, 3].map((n) => new Promise((done) => window.mixpanel.track(event, { n }, (answer) => done(answer)))),
        ),
      name,
    );
    for (const answer of answers) assert.ok(answer === 1 || answer.status === 1, JSON.stringify(answer));
  });
  assert.deepEqual(complaints, []);
  assert.equal(await world.count(name), 3);
});

test('GET requests and base64 payloads are documented options, too', { skip }, async () => {
  const name = freshName();
  for (const options of [
    { api_method: 'GET', api_payload_format: 'json' },
    { api_method: 'GET', api_payload_format: 'base64' },
    { api_method: 'POST', api_payload_format: 'json' },
    { api_method: 'POST', api_payload_format: 'base64' },
    { api_transport: 'sendBeacon' },
  ]) {
    const complaints = await visit({ batch_requests: false, ...options }, async (page) => {
      const before = await world.count(name);
      await page.evaluate((event) => window.mixpanel.track(event, { text: 'ü + / ? & =' }), name);
      await counted(name, before + 1);
    });
    assert.deepEqual(complaints, [], JSON.stringify(options));
  }
  assert.deepEqual(await values(name, 'text'), { 'ü + / ? & =': 5 });
});

test('register, register_once, unregister and time_event', { skip }, async () => {
  const name = freshName();
  await visit({ batch_requests: false }, async (page) => {
    await page.evaluate((event) => {
      const { mixpanel } = window;
      mixpanel.register({ plan: 'pro', gone: 1 });
      mixpanel.register_once({ plan: 'free', first: 'yes' });
      mixpanel.unregister('gone');
      mixpanel.time_event(event);
      return new Promise((done) => mixpanel.track(event, {}, done));
    }, name);
  });
  assert.deepEqual(await values(name, 'plan'), { pro: 1 });
  assert.deepEqual(await values(name, 'first'), { yes: 1 });
  assert.deepEqual(await values(name, 'gone'), { undefined: 1 });
  const lasted = await world.totals({ event: name, where: 'properties["$duration"] >= 0' });
  assert.deepEqual(Object.values(lasted), [1]);
});

test('identify: what a visitor did before is the user’s; reset begins somebody new', { skip }, async () => {
  const name = freshName(),
    user = freshName('user');
  await visit({ batch_flush_interval_ms: 100 }, async (page) => {
    await page.evaluate(
      ([event, id]) => {
        const { mixpanel } = window;
        mixpanel.track(event, { step: 'anonymous' });
        mixpanel.identify(id);
        mixpanel.track(event, { step: 'known' });
      },
      [name, user],
    );
    await counted(name, 2);
    assert.equal(await world.uniques(name), 1);
    await page.evaluate(
      ([event]) => {
        window.mixpanel.reset();
        window.mixpanel.track(event, { step: 'somebody else' });
      },
      [name],
    );
    await counted(name, 3);
  });
  assert.equal(await world.uniques(name), 2);
  /* another browser of the same user */
  await visit({ batch_flush_interval_ms: 100 }, async (page) => {
    await page.evaluate(
      ([event, id]) => {
        window.mixpanel.track(event, { step: 'second device' });
        window.mixpanel.identify(id);
        window.mixpanel.track(event, { step: 'second device, known' });
      },
      [name, user],
    );
    await counted(name, 5);
  });
  assert.equal(await world.uniques(name), 2);
});

// How many events the SDK has put by in localStorage.
const queued = (page) =>
  page.evaluate((token) => JSON.parse(localStorage.getItem(`__mpq_${token}_ev`) ?? '[]').length, world.token);

test('leaving the page: what was queued goes with sendBeacon, and is counted once', { skip }, async () => {
  const name = freshName();
  await visit({ batch_flush_interval_ms: 5_000 }, async (page) => {
    await page.evaluate((event) => {
      for (let i = 0; i < 30; i++) window.mixpanel.track(event, { i });
    }, name);
    await until(async () => (await queued(page)) === 30, 'the SDK has put the events by');
    await page.goto(`${site.url}/elsewhere`);
    await counted(name, 30);
    /* the next page finds them in localStorage, as a beacon has no answer, and sends them once more after a while */
    await page.evaluate(([token, config]) => window.mixpanel.init(token, config), [
      world.token,
      { api_host: world.url, track_pageview: false, batch_flush_interval_ms: 100 },
    ]);
    await page.evaluate((event) => window.mixpanel.track(event, { last: true }), name);
    await counted(name, 31);
    await until(async () => (await queued(page)) === 0, 'the SDK has sent everything');
  });
  assert.equal(await world.count(name), 31);
});

test('a server in trouble: nothing is lost, nothing counts twice', { skip }, async () => {
  const door = await startDoor(world.url);
  try {
    const name = freshName();
    const troubles = [
      { status: 503, headers: { 'Retry-After': '1' }, body: '{"error":"try again","status":0}' },
      { status: 429, headers: { 'Retry-After': '1' }, body: '{"error":"slow down","status":0}' },
      'lose',
      { status: 502, body: 'bad gateway' },
      { status: 413, body: '{"error":"too large","status":0}' },
    ];
    door.misbehave = (request) => (request.url.startsWith('/track') ? troubles.shift() : undefined);
    await visit({ api_host: door.url, batch_flush_interval_ms: 100 }, async (page) => {
      await page.evaluate((event) => {
        for (let i = 0; i < 180; i++) window.mixpanel.track(event, { i });
      }, name);
      await until(() => troubles.length === 0, 'all troubles were met');
      await until(async () => (await queued(page)) === 0, 'the SDK has sent everything');
    });
    assert.equal(await world.count(name), 180);
    assert.equal((await world.segmentation({ event: name, on: 'properties["i"]', limit: 1000 })).json().legend_size, 180);
  } finally {
    await door.end();
  }
});

test('a server that is killed and comes back: nothing is lost, nothing counts twice', { skip }, async () => {
  const own = await World.start();
  const door = await startDoor(own.url);
  try {
    const name = freshName();
    let away = false;
    door.misbehave = () => (away ? { status: 502, body: 'nobody there' } : undefined);
    const options = { api_host: door.url, batch_flush_interval_ms: 100, batch_size: 5 };
    await visit({ ...options, token: own.token }, async (page) => {
      await page.evaluate((event) => {
        for (let i = 0; i < 100; i++) window.mixpanel.track(event, { i });
      }, name);
      await until(async () => (await own.count(name)) > 0, 'the first events arrive');
      away = true;
      await own.server.kill();
      await page.evaluate((event) => {
        for (let i = 100; i < 120; i++) window.mixpanel.track(event, { i });
      }, name);
      const asked = door.requests.length;
      await until(() => door.requests.length > asked, 'the SDK tries while the server is away');
      await own.restart();
      door.target = new URL(own.url);
      away = false;
      await until(async () => (await own.count(name)) >= 120, 'the others arrive');
    });
    assert.equal(await own.count(name), 120);
  } finally {
    await door.end();
    await own.end();
  }
});

test('a browser that is offline for a while', { skip }, async () => {
  const name = freshName();
  await visit({ batch_flush_interval_ms: 100 }, async (page) => {
    await page.context().setOffline(true);
    await page.evaluate((event) => {
      for (let i = 0; i < 10; i++) window.mixpanel.track(event, { i });
    }, name);
    await until(async () => (await queued(page)) === 10, 'the SDK has put the events by');
    await page.context().setOffline(false);
    await page.evaluate((event) => window.mixpanel.track(event, { i: 10 }), name);
    await counted(name, 11);
  });
  assert.equal(await world.count(name), 11);
});
