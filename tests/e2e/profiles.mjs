// What became of profiles, by the queries about them.

import assert from 'node:assert/strict';
import { query } from './harness.mjs';

// {id: properties} of the profiles that the parameters choose: `distinct_id`, `data_group_id`, … Undefined, with a note to
// the test `t`, when the server has no such query: then a test is about the answers alone. (t.skip would hide failures.)
export async function profiles(t, world, params) {
  const whole = query({ project_id: world.project.project_id, ...params });
  const answer = await world.server.request(`/api/query/engage?${whole}`, {
    headers: { Authorization: world.authorization },
  });
  if (answer.status === 404) {
    t.diagnostic('what was stored is not read back: this server has no /api/query/engage');
    return undefined;
  }
  assert.equal(answer.status, 200, answer.text);
  return Object.fromEntries(answer.json().results.map((row) => [row.$distinct_id, row.$properties]));
}

// Properties of one user (`key` undefined) or group, without $last_seen, which must be an ISO time: null when there is no
// profile, undefined when that cannot be asked.
export async function profile(t, world, id, key) {
  const found = await profiles(t, world, key ? { data_group_id: key } : { distinct_id: id });
  if (!found) return undefined;
  if (!found[id]) return null;
  const { $last_seen, ...properties } = found[id];
  assert.match($last_seen, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  return properties;
}
