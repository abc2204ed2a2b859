// mixpanel-browser as npm has it, in Chromium: session recordings, remote settings and feature flags, each by the SDK's
// documented options. A page must have nothing to complain about.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { skip, startBrowser, startDoor, startSite, until, visit as visitPage } from './browser.mjs';
import { freshName, World } from './harness.mjs';

let site, browser;
const worlds = [];
before(async () => {
  if (skip) return;
  site = await startSite();
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await site?.end();
  for (const world of worlds) await world.end();
});

async function start(set = {}) {
  const args = Object.entries(set).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  const world = await World.start({ server: { args } });
  worlds.push(world);
  return world;
}
const visit = (world, options, work) => visitPage({ world, site, browser }, options, work);

const replayId = (page) => page.evaluate(() => window.mixpanel.get_session_recording_properties().$mp_replay_id);

// {"REPLAY-SEQ": {about, events}} of everything that is complete on disk.
function recordings(world) {
  const project = path.join(world.data, 'record', String(world.project.project_id));
  const found = {};
  for (const day of existsSync(project) ? readdirSync(project) : [])
    for (const name of readdirSync(path.join(project, day)).filter((file) => file.endsWith('.json'))) {
      const file = path.join(project, day, name);
      found[name.slice(0, -5)] = {
        about: JSON.parse(readFileSync(file)),
        events: JSON.parse(gunzipSync(readFileSync(`${file}.gz`))),
      };
    }
  return found;
}

// Something to see. The recorder sends what it has every ten seconds; told to stop, it sends what it has put by until then.
async function act(page, text) {
  await page.evaluate((words) => {
    const paragraph = document.createElement('p');
    paragraph.textContent = words;
    document.body.append(paragraph);
  }, text);
  await page.mouse.move(10, 10);
  await page.mouse.move(200, 100);
}

test('a session is recorded', { skip }, async () => {
  const world = await start();
  const name = freshName();
  let id;
  const complaints = await visit(
    world,
    { record_sessions_percent: 100, batch_flush_interval_ms: 100 },
    async (page) => {
      await until(async () => (id = await replayId(page)), 'the recorder has begun');
      await page.evaluate((event) => window.mixpanel.track(event), name);
      await act(page, 'hello');
      await until(() => recordings(world)[`${id}-0`], 'the recording is on disk');
      await act(page, 'and on');
      await until(() => recordings(world)[`${id}-1`], 'and goes on');
      await page.evaluate(() => window.mixpanel.stop_session_recording());
      await until(async () => (await world.count(name)) === 1, 'the event arrives');
    },
  );
  assert.deepEqual(complaints, []);
  /* the event says which recording it is in */
  assert.deepEqual(await world.totals({ event: name, on: 'properties["$mp_replay_id"]' }), { [id]: 1 });
  const pieces = recordings(world);
  const { about, events } = pieces[`${id}-0`];
  assert.deepEqual([about.replay_id, about.seq], [id, 0]);
  assert.equal(about.properties.mp_lib, 'web');
  assert.equal(new URL(about.properties.$current_url).origin, site.url);
  assert.match(about.properties.distinct_id, /^\$device:/);
  assert.equal(about.properties.token, undefined);
  assert.ok(
    events.some((event) => event.type === 2),
    'the whole page is in it',
  );
  assert.ok(!JSON.stringify(pieces).includes('hello'), 'texts are masked, as the SDK does by default');
});

test('a recording that is refused for want of room goes on when there is room', { skip }, async () => {
  const world = await start();
  const door = await startDoor(world.url);
  try {
    let refusals = 0;
    door.misbehave = (request) => {
      if (!request.url.startsWith('/record') || refusals++) return undefined;
      const headers = { 'Access-Control-Expose-Headers': 'Retry-After', 'Retry-After': '1' };
      return { status: 429, headers, body: '{"code":429,"error":"full","status":"Too Many Requests"}' };
    };
    await visit(world, { api_host: door.url, record_sessions_percent: 100 }, async (page) => {
      await until(() => replayId(page), 'the recorder has begun');
      await until(() => refusals > 1, 'it comes again');
      await until(() => Object.keys(recordings(world)).length === 1, 'and the piece is taken');
    });
  } finally {
    await door.end();
  }
});

test('remote settings: how much is recorded is what the server says', { skip }, async () => {
  for (const [percent, mode, local, recorded] of [
    [100, 'strict', 0, true],
    [100, 'fallback', 0, true],
    [0, 'fallback', 100, false],
    ['', 'strict', 100, false],
    ['', 'fallback', 100, true],
  ]) {
    const world = await start({ 'record.sessions_percent': percent });
    const complaints = await visit(
      world,
      { remote_settings_mode: mode, record_sessions_percent: local },
      async (page) => {
        const what = `${percent} ${mode} ${local}`;
        await page.evaluate(() => window.mixpanel.__session_recording_init_promise);
        if (recorded) await until(() => replayId(page), `${what}: the recorder begins`);
        else assert.equal(await replayId(page), undefined, what);
      },
    );
    assert.deepEqual(complaints, [], `${percent} ${mode}`);
    await world.end();
  }
});

test('feature flags: there are none, and the page’s own values count', { skip }, async () => {
  const world = await start();
  const complaints = await visit(
    world,
    { flags: { context: { plan: 'pro' } }, batch_requests: false },
    async (page) => {
      const got = await page.evaluate(async () => {
        const { flags } = window.mixpanel;
        await flags.when_ready();
        const value = await flags.get_variant_value('checkout', 'old');
        const enabled = await flags.is_enabled('checkout');
        window.mixpanel.identify('ann');
        await flags.load_flags();
        return [flags.are_flags_ready(), value, enabled, flags.get_variant_value_sync('checkout', 'older')];
      });
      assert.deepEqual(got, [true, 'old', false, 'older']);
    },
  );
  assert.deepEqual(complaints, []);
});

test('everything at once', { skip }, async () => {
  const world = await start({ 'record.sessions_percent': 100 });
  const name = freshName();
  const options = {
    flags: true,
    remote_settings_mode: 'strict',
    autocapture: true,
    track_pageview: true,
    batch_flush_interval_ms: 100,
  };
  const complaints = await visit(world, options, async (page) => {
    await until(() => replayId(page), 'the recorder has begun');
    await page.evaluate((event) => {
      window.mixpanel.identify('ann');
      window.mixpanel.people.set({ a: 1 });
      window.mixpanel.track(event);
    }, name);
    await page.evaluate(() =>
      document.querySelector('a').addEventListener('click', (event) => event.preventDefault()),
    );
    await page.click('a');
    await until(async () => (await world.count(name)) === 1, 'the event arrives');
    await until(async () => (await world.count('$mp_click')) === 1, 'the click arrives');
    assert.equal(await world.count('$mp_web_page_view'), 1);
    await act(page, 'bye');
    await until(() => Object.keys(recordings(world)).length > 0, 'the recording is on disk');
  });
  assert.deepEqual(complaints, []);
});
