// The table of replay*.test.mjs: forms of a request, answers and records, as clients make them and read them; and how a
// case is carried out.
//
// A case is [kind, send, expected, needs]. `send(c)` gives a request, or several, where c has what a client is configured
// with, a fresh event name and a fresh id. Every answer must be what `needs` says, by default what the client's other
// requests need. Then, in `expected`: `events`: so many events of that name are counted, today or, `old`, in 2019; `profile`:
// what is known of the user, or with `key` of the group, of that id. `project: 'original'`: one of that identity mode.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { base64, basic, createAccount, createProject, freshName, query, World } from './harness.mjs';
import { profile } from './profiles.mjs';

// ---- forms of a request ----

export const FORM = 'application/x-www-form-urlencoded';
export const post = (target, body, headers = {}) => ({ method: 'POST', target, body, headers });
export const get = (target, headers = {}) => ({ method: 'GET', target, headers });
export const form = (target, fields, headers = {}) =>
  post(target, query(fields), { 'Content-Type': FORM, ...headers });
// Base64 that nobody escaped.
export const rawForm = (target, data, more = '', headers = {}) =>
  post(target, `data=${base64(data)}${more}`, { 'Content-Type': FORM, ...headers });
export const json = (target, body, headers = {}) =>
  post(target, JSON.stringify(body), { 'Content-Type': 'application/json', ...headers });
export const zipped = (one) => ({
  ...one,
  body: gzipSync(one.body),
  headers: { ...one.headers, 'Content-Encoding': 'gzip' },
});

// ---- answers ----

export const one = (answer) => assert.deepEqual([answer.status, answer.text], [200, '1']);
export const status1 = (answer) => assert.equal(answer.json().status, 1, answer.text);
export const good = (answer) => assert.deepEqual([answer.status, answer.json()], [200, { error: null, status: 1 }]);
export const imported =
  (n, status = 'OK') =>
  (answer) =>
    assert.deepEqual([answer.status, answer.json()], [200, { code: 200, num_records_imported: n, status }]);
export const any2xx = (answer) =>
  assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text}`);
// 200, and an integer.
export const int1 = (answer) => {
  assert.equal(answer.status, 200);
  assert.equal(Number.parseInt(answer.text, 10), 1);
  assert.equal(answer.json(), 1);
};
export const pixel = (answer) => {
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'image/gif']);
  assert.equal(answer.body.toString('latin1', 0, 6), 'GIF89a');
};
// A failure that a tool shows to its user: this status, and JSON with `error`.
export const failure = (status, error) => (answer) => {
  assert.equal(answer.status, status, answer.text);
  assert.match(answer.json().error, error);
};

// ---- records ----

export const seconds = () => Math.floor(Date.now() / 1000);
const in2019 = Date.UTC(2019, 5, 1, 12);
export const uuid = () => crypto.randomUUID().replaceAll('-', '');
export const event = (c, properties = {}) => ({
  event: c.name,
  properties: { token: c.token, distinct_id: c.id, time: seconds(), ü: '+/?>~&=', ...properties },
});
export const history = (c, properties = {}) => event(c, { time: in2019 / 1000, $insert_id: uuid(), ...properties });
export const times = (n, make) => Array.from({ length: n }, (_, i) => make(i));
export const alias = (c) => ({
  event: '$create_alias',
  properties: { token: c.token, distinct_id: c.id, alias: 'x' },
});
export const merge = (c) => ({
  event: '$merge',
  properties: { token: c.token, $distinct_ids: [c.id, 'x'], time: seconds() },
});
export const user = (c, operation, more = {}) => ({ $token: c.token, $distinct_id: c.id, ...operation, ...more });
export const group = (c, operation) => ({ $token: c.token, $group_key: 'company', $group_id: c.id, ...operation });
export const mobile = {
  $mp_metadata: { $mp_event_id: 'a1', $mp_session_id: 'b2', $mp_session_seq_id: 0, $mp_session_start_sec: 1 },
};
export const device = (c) => ({
  distinct_id: `$device:${c.id}`,
  $device_id: c.id,
  $had_persisted_distinct_id: false,
  $os: 'Android',
  mp_lib: 'android',
});

export const set = { $set: { plan: 'pro', ü: '+/?' } };
export const isSet = { plan: 'pro', ü: '+/?' };
export const account = (c) => ({ Authorization: c.authorization });
export const token = (c) => ({ Authorization: basic(`${c.token}:`) });
export const secret = (c) => ({ Authorization: basic(`${c.secret}:`) });

// ---- a case ----

export class Stage {
  static async start() {
    const stage = new Stage();
    const world = (stage.world = await World.start());
    const original = createProject(world.data, { name: 'Original', identity: 'original' });
    stage.projects = {
      simplified: { ...world.project, account: world.account },
      original: { ...original, account: createAccount(world.data, original.project_id) },
    };
    return stage;
  }

  async replay([, send, expected, needs]) {
    const { token, secret, project_id, account: by } = this.projects[expected.project ?? 'simplified'];
    const authorization = basic(`${by.username}:${by.secret}`);
    const c = {
      url: this.world.url,
      token,
      secret,
      project_id,
      authorization,
      name: freshName(),
      id: freshName('id'),
    };
    for (const { target, ...options } of [await send(c)].flat())
      needs(await this.world.server.request(target, options));
    if (expected.events) assert.equal(await this.world.count(c.name), expected.events);
    const then = { from_date: '2019-06-01', to_date: '2019-06-01' };
    if (expected.old) assert.equal(await this.world.count(c.name, then), expected.old);
    if (!('profile' in expected)) return;
    const found = await profile(this.world, c.id, expected.key);
    if (found) delete found.$group_id;
    assert.deepEqual(found, expected.profile);
  }
}

// Rows for the table: [client, case].
export const client = (name, usual, cases) =>
  cases.map(([kind, send, expected, needs = usual]) => [name, [kind, send, expected, needs]]);
