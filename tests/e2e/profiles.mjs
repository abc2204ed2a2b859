// What became of profiles, by the queries about them.

import assert from 'node:assert/strict';
import { query } from './harness.mjs';

// {id: properties} of the profiles that the parameters choose: `distinct_id`, `data_group_id`, …
export async function profiles(world, params) {
  const whole = query({ project_id: world.project.project_id, ...params });
  const answer = await world.server.request(`/api/query/engage?${whole}`, {
    headers: { Authorization: world.authorization },
  });
  assert.equal(answer.status, 200, answer.text);
  return Object.fromEntries(answer.json().results.map((row) => [row.$distinct_id, row.$properties]));
}

// The properties of one user (`key` undefined) or group, without $last_seen, which must be an ISO time. Null: there is no
// profile.
export async function profile(world, id, key) {
  const found = await profiles(world, key ? { data_group_id: key } : { distinct_id: id });
  if (!found[id]) return null;
  const { $last_seen, ...properties } = found[id];
  assert.match($last_seen, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
  return properties;
}
