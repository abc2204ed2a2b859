// The questions: for each a plan (cairn bench query --help), and the same in SQL. Where a database has several good
// formulations they are all measured, and the fastest counts. Every answer is a list of rows
// [bucket, number], [bucket, label, number] or [label, number]; cells without events are left out.
//
// `frequent` is an event with 16 % of the rows, `rare` one with 0.1 %.

const frequent = 'View Item';
const rare = 'Request Refund';
const days = 90;
const from = '2024-01-01';
const to = '2024-03-30';
const exportDay = '2024-02-14';
const lastMonth = '2024-02-29'; // 31 days
const property = (name) => `properties["${name}"]`;
const range = { from, to };

// A number for each day, in both dialects.
const everyDay = (value, condition) => ({
  clickhouse: `SELECT toString(toDate(time)) AS day, ${value} FROM events WHERE ${condition} GROUP BY toDate(time) AS d`,
  duckdb: `SELECT day::VARCHAR, ${value} FROM events WHERE ${condition} GROUP BY day`,
});
const is = (event) => `event = '${event}'`;
const day = 'toString(toDate(time))';

// Distinct users: hash sets, bitmaps, and duplicates removed first.
function uniquesPer(clickhouseKey, duckdbKey, condition) {
  const where = condition ? ` WHERE ${condition}` : '';
  return {
    clickhouse: [
      `SELECT toString(${clickhouseKey}) AS k, uniqExact(uid) FROM events${where} GROUP BY ${clickhouseKey}`,
      `SELECT toString(${clickhouseKey}) AS k, groupBitmap(uid) FROM events${where} GROUP BY ${clickhouseKey}`,
    ],
    duckdb: [duckdbKey].flat().flatMap((key) => [
      `SELECT (${key})::VARCHAR, count(DISTINCT uid) FROM events${where} GROUP BY ${key}`,
      `SELECT k::VARCHAR, count(*) FROM (SELECT DISTINCT ${key} AS k, uid FROM events${where}) GROUP BY k`,
    ]),
  };
}
function uniquesInAll(condition) {
  const where = condition ? ` WHERE ${condition}` : '';
  return {
    clickhouse: [
      `SELECT '${from}', uniqExact(uid) FROM events${where}`,
      `SELECT '${from}', groupBitmap(uid) FROM events${where}`,
    ],
    duckdb: [
      `SELECT '${from}', count(DISTINCT uid) FROM events${where}`,
      `SELECT '${from}', count(*) FROM (SELECT DISTINCT uid FROM events${where})`,
    ],
  };
}
// In DuckDB whole weeks since a Monday are faster than date_trunc.
const week = {
  clickhouse: 'toMonday(time)',
  duckdb: ["date_trunc('week', day)::DATE", `DATE '${from}' + ((day - DATE '${from}') // 7 * 7)::INTEGER`],
};
const month = {
  clickhouse: 'toStartOfMonth(time)',
  duckdb: ["date_trunc('month', day)::DATE", 'make_date(year(day), month(day), 1)'],
};

const inOrderSetting = ' SETTINGS optimize_aggregation_in_order = 1';

// Three ways to say it: pairs made distinct, a bit for each interval, and in ClickHouse lists of times without a join.
function retention(intervals, event) {
  const seconds = intervals * 86400;
  const some = event ? ` AND ${is(event)}` : '';
  const births = (time) => `(SELECT uid, min(${time}) AS b FROM events WHERE ${is('Sign Up')} GROUP BY uid)`;
  const clickhouseRows =
    `SELECT uid, b, intDiv(toUInt32(e.time) - toUInt32(b), 86400) AS k FROM events AS e INNER JOIN ${births('time')} AS ` +
    `births USING (uid) WHERE e.time >= b AND (e.event != 'Sign Up' OR e.time > b) AND e.time < b + ${seconds}${some}`;
  const duckdbRows =
    `SELECT uid, b, (epoch(time) - epoch(b))::BIGINT // 86400 AS k FROM events JOIN ${births('time')} AS births USING (uid) ` +
    `WHERE time >= b AND (event <> 'Sign Up' OR time > b) AND time < b + INTERVAL ${seconds} SECOND${some}`;
  const lists =
    `SELECT minIf(toUInt32(time), ${is('Sign Up')}) AS b, groupArrayIf(toUInt32(time), event != 'Sign Up'${some}) AS others, ` +
    `${event ? '[]' : `groupArrayIf(toUInt32(time), ${is('Sign Up')})`} AS again FROM events GROUP BY uid HAVING b > 0`;
  return {
    clickhouse: [
      `SELECT toString(toDate(b)) AS d, toString(k) AS i, count() FROM (SELECT DISTINCT uid, b, k FROM (${clickhouseRows})) GROUP BY d, i`,
      `SELECT toString(toDate(b)) AS d, toString(k) AS i, count() FROM (SELECT b, arrayJoin(bitPositionsToArray(m)) AS k FROM ` +
        `(SELECT any(b) AS b, groupBitOr(bitShiftLeft(toUInt32(1), k)) AS m FROM (${clickhouseRows}) GROUP BY uid)) GROUP BY d, i`,
      `SELECT toString(toDate(toDateTime(b, 'UTC'))) AS d, toString(k) AS i, count() FROM (SELECT b, arrayJoin(arrayDistinct(` +
        `arrayConcat(arrayMap(t -> intDiv(t - b, 86400), arrayFilter(t -> t >= b AND t < b + ${seconds}, others)), ` +
        `arrayMap(t -> intDiv(t - b, 86400), arrayFilter(t -> t > b AND t < b + ${seconds}, again))))) AS k FROM (${lists})) GROUP BY d, i`,
    ],
    duckdb: [
      `SELECT b::DATE::VARCHAR, k::VARCHAR, count(*) FROM (SELECT DISTINCT uid, b, k FROM (${duckdbRows})) GROUP BY b::DATE, k`,
      `SELECT b::DATE::VARCHAR, i::VARCHAR, count(*) FROM (SELECT any_value(b) AS b, bit_or(1::UINTEGER << k::UINTEGER) AS m ` +
        `FROM (${duckdbRows}) GROUP BY uid), range(${intervals}) AS n(i) WHERE (m >> i::UINTEGER) & 1 = 1 GROUP BY b::DATE, i`,
    ],
  };
}
// The same of the second table, sorted by user: aggregating by user can go along it. Births are still found by event.
function byUserToo({ clickhouse, duckdb }) {
  const other = (sql) => sql.replaceAll(/FROM events (?!WHERE event = 'Sign Up')/g, 'FROM events_by_user ');
  const inOrder = (sql) => other(sql).replaceAll(/GROUP BY (uid HAVING b > 0|uid\)|w, uid\))/g, (text) =>
    text.replace(/\)?$/, (end) => `${inOrderSetting}${end}`),
  );
  return { clickhouse: [...clickhouse, ...clickhouse.map(inOrder)], duckdb: [...duckdb, ...duckdb.map(other)] };
}

function frequency(condition) {
  const duckdbWeek = week.duckdb[1];
  return {
    clickhouse: ['uniqExact(toDate(time))', 'bitCount(groupBitOr(bitShiftLeft(toUInt8(1), toDayOfWeek(time) - 1)))'].map(
      (days) =>
        `SELECT toString(w) AS l, toString(i) AS at_least, sum(c) FROM (SELECT w, n, count() AS c FROM (SELECT toMonday(time) AS w, ` +
        `${days} AS n FROM events WHERE ${condition} GROUP BY w, uid) GROUP BY w, n) ARRAY JOIN range(1, n + 1) AS i GROUP BY l, at_least`,
    ),
    duckdb: ['count(DISTINCT day)', 'bit_count(bit_or(1::UTINYINT << (isodow(day) - 1)::UTINYINT))'].map(
      (days) =>
        `SELECT w::VARCHAR, i::VARCHAR, sum(c)::BIGINT FROM (SELECT w, unnest(range(1, n + 1)) AS i, c FROM (SELECT w, n, count(*) ` +
        `AS c FROM (SELECT ${duckdbWeek} AS w, ${days} AS n FROM events WHERE ${condition} GROUP BY 1, uid) GROUP BY w, n)) GROUP BY w, i`,
    ),
  };
}

const zone = 'America/New_York';
const local = (time) => `(${time} AT TIME ZONE 'UTC' AT TIME ZONE '${zone}')`;
const topUrls = (condition) => ({
  clickhouse: `SELECT toString(url), count() AS c FROM events WHERE ${condition} GROUP BY url ORDER BY c DESC, url LIMIT 100`,
  duckdb: `SELECT url, count(*) AS c FROM events WHERE ${condition} GROUP BY url ORDER BY c DESC, url LIMIT 100`,
});
const cities = `SELECT city FROM events WHERE ${is(frequent)} GROUP BY city ORDER BY count(*) DESC, city::VARCHAR LIMIT 60`;

// Prices go from 1 to 990: 12 ranges are 10 of 100. The databases are told so; Cairn finds it out.
function ranges(clickhouseValue, duckdbValue) {
  const hundred = 'floor(price / 100)::INTEGER';
  return {
    clickhouse:
      `SELECT toString(d) AS day, concat(toString(b * 100), ' - ', if(b = 9, '1,000', toString(b * 100 + 100))), v FROM ` +
      `(SELECT toDate(time) AS d, toUInt32(floor(price / 100)) AS b, ${clickhouseValue} AS v FROM events ` +
      `WHERE ${is(frequent)} AND price IS NOT NULL GROUP BY d, b)`,
    duckdb:
      `SELECT day::VARCHAR, (b * 100)::VARCHAR || ' - ' || CASE b WHEN 9 THEN '1,000' ELSE (b * 100 + 100)::VARCHAR END, v ` +
      `FROM (SELECT day, ${hundred} AS b, ${duckdbValue} AS v FROM events WHERE ${is(frequent)} AND price IS NOT NULL ` +
      `GROUP BY day, b)`,
  };
}
const top10 = {
  clickhouse: 'SELECT event FROM events GROUP BY event ORDER BY count() DESC, toString(event) LIMIT 10',
  duckdb: 'SELECT event FROM events GROUP BY event ORDER BY count(*) DESC, event::VARCHAR LIMIT 10',
};

// Funnels. What has reached a step, for each step: rows of [bucket, step, number]. Times are whole seconds, so steps of
// the same second count in their order; without the two seconds of grace, which SQL could say but nobody would.
const steps = ['View Item', 'Add to Cart', 'Start Checkout', 'Purchase'];
const funnel = { ...range, kind: 'funnel', steps, no_grace: true };
const windowSeconds = 7 * 86400;
const isOneOf = (events) => `event IN (${events.map((event) => `'${event}'`).join(', ')})`;
const ofSteps = isOneOf(steps);
// [bucket, level] of each person, or person and day -> the rows.
const reached = {
  clickhouse: (levels) =>
    `SELECT b, toString(k), countIf(l >= k) AS c FROM (${levels}) ARRAY JOIN [1, 2, 3, 4] AS k WHERE l > 0 GROUP BY b, k`,
  duckdb: (levels) =>
    `SELECT b::VARCHAR, k::VARCHAR, count(*) FROM (${levels}) JOIN (VALUES (1), (2), (3), (4)) AS n(k) ON l >= k GROUP BY b, k`,
};
// ClickHouse: from arrays of times, what an entry at t1 reaches.
const times = (step) => `arraySort(groupArrayIf(toUInt32(time), event = '${steps[step - 1]}'))`;
const lists = (entries, table, settings) =>
  `SELECT uid AS u, ${entries} AS a1, ${times(2)} AS a2, ${times(3)} AS a3, ${times(4)} AS a4 FROM ${table} WHERE ${ofSteps} GROUP BY uid${settings}`;
const levelOf = (bucket, entries, table, settings) =>
  `SELECT ${bucket} AS b, max(if(t2 = 0 OR t2 > w, 1, if(t3 = 0 OR t3 > w, 2, if(t4 = 0 OR t4 > w, 3, 4)))) AS l FROM ` +
  `(SELECT u, t1, t1 + ${windowSeconds} AS w, t2, t3, if(t3 = 0, 0, arrayFirst(x -> x >= t3, a4)) AS t4 FROM ` +
  `(SELECT u, t1, a4, t2, if(t2 = 0, 0, arrayFirst(x -> x >= t2, a3)) AS t3 FROM ` +
  `(SELECT u, t1, a3, a4, arrayFirst(x -> x >= t1, a2) AS t2 FROM (${lists(entries, table, settings)}) ARRAY JOIN a1 AS t1))) GROUP BY u, b`;
const levelsFrom = (bucket, entries) =>
  [
    ['events', ''],
    ['events_by_user', inOrderSetting],
  ].map(([table, settings]) => reached.clickhouse(levelOf(bucket, entries, table, settings)));
const windowFunnel = [
  ['events', ''],
  ['events_by_user', inOrderSetting],
].map(([table, settings]) =>
  reached.clickhouse(
    `SELECT '${from}' AS b, windowFunnel(${windowSeconds})(time, ${steps.map((step) => `event = '${step}'`).join(', ')}) AS l ` +
      `FROM ${table} WHERE ${ofSteps} GROUP BY uid${settings}`,
  ),
);
// DuckDB: a chain of joins to the next event, or windows that carry the next events along.
const chain = (bucket, entries) =>
  `WITH e AS (SELECT uid AS u, event, epoch(time)::UINTEGER AS t FROM events WHERE ${ofSteps}), s1 AS (${entries}), ` +
  [2, 3, 4].map((k) => `s${k} AS (SELECT u, t AS t${k} FROM e WHERE event = '${steps[k - 1]}')`).join(', ') +
  `, j2 AS (SELECT s1.u, t1, t2 FROM s1 ASOF JOIN s2 ON s1.u = s2.u AND s1.t1 <= s2.t2 WHERE t2 <= t1 + ${windowSeconds}), ` +
  `j3 AS (SELECT j2.u, t1, t3 FROM j2 ASOF JOIN s3 ON j2.u = s3.u AND j2.t2 <= s3.t3 WHERE t3 <= t1 + ${windowSeconds}), ` +
  `j4 AS (SELECT j3.u, t1, t4 FROM j3 ASOF JOIN s4 ON j3.u = s4.u AND j3.t3 <= s4.t4 WHERE t4 <= t1 + ${windowSeconds}), ` +
  `x AS (SELECT u, t1, 1 AS level FROM s1 UNION ALL SELECT u, t1, 2 FROM j2 UNION ALL SELECT u, t1, 3 FROM j3 UNION ALL ` +
  `SELECT u, t1, 4 FROM j4) SELECT ${bucket} AS b, max(level) AS l FROM x GROUP BY u, b`;
const carried = (bucket) => {
  const next = (step, value) => `min(CASE WHEN event = ${step} THEN ${value} END) OVER w`;
  const over =
    `WINDOW w AS (PARTITION BY u ORDER BY t, event ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)`;
  return (
    `WITH e AS (SELECT uid AS u, list_position([${steps.map((step) => `'${step}'`).join(', ')}], event::VARCHAR) AS event, ` +
    `epoch(time)::UINTEGER AS t FROM events WHERE ${ofSteps}), w1 AS (SELECT u, event, t, ${next(4, 't')} AS n4 FROM e ${over}), ` +
    `w2 AS (SELECT u, event, t, n4, ${next(3, "{'t': t, 'n': n4}")} AS n3 FROM w1 ${over}), ` +
    `w3 AS (SELECT u, event, t, ${next(2, "{'t': t, 'n': n3}")} AS n2 FROM w2 ${over}) ` +
    `SELECT ${bucket.replaceAll('t1', 't')} AS b, max(CASE WHEN n2.n.n <= t + ${windowSeconds} THEN 4 WHEN n2.n.t <= t + ${windowSeconds} THEN 3 ` +
    `WHEN n2.t <= t + ${windowSeconds} THEN 2 ELSE 1 END) AS l FROM w3 WHERE event = 1 GROUP BY u, b`
  );
};
const everyEntry = `SELECT u, t AS t1 FROM e WHERE event = '${steps[0]}'`;
const firstEntry = `SELECT u, min(t) AS t1 FROM e WHERE event = '${steps[0]}' GROUP BY u`;
const dayOf = { clickhouse: 'toString(toDate(t1))', duckdb: "(DATE '1970-01-01' + (t1 // 86400)::INTEGER)" };

// `user`: {number, id} of the person whose feed is asked for.
export function queries(user) {
  const feed = (table) => ({
    clickhouse:
      `SELECT toString(event), toUnixTimestamp(time), distinct_id, insert_id, browser, os, city, region, country, plan, ` +
      `price, items, utm_source, url FROM ${table} WHERE uid = ${user.number} ORDER BY time DESC LIMIT 1000`,
    duckdb:
      `SELECT event::VARCHAR, epoch(time)::BIGINT, distinct_id, insert_id, browser, os, city, region, country, plan, ` +
      `price, items, utm_source, url FROM ${table} WHERE uid = ${user.number} ORDER BY time DESC LIMIT 1000`,
  });
  return [
    {
      name: 'daily count, frequent event',
      cairn: { ...range, events: [frequent] },
      ...everyDay('count(*)', is(frequent)),
    },
    {
      name: 'daily count, rare event',
      cairn: { ...range, events: [rare] },
      ...everyDay('count(*)', is(rare)),
    },
    {
      name: 'events by name',
      cairn: { ...range, unit: 'range', on: property('$event_name') },
      clickhouse: `SELECT '${from}', toString(event), count() FROM events GROUP BY event`,
      duckdb: `SELECT '${from}', event::VARCHAR, count(*) FROM events GROUP BY event`,
    },
    {
      name: 'hourly count in New York',
      cairn: { ...range, events: [frequent], unit: 'hour', zone },
      // The zone is whole hours away from UTC: hours may be counted first and named afterwards.
      clickhouse: [
        `SELECT toString(toStartOfHour(time, '${zone}')), count() FROM events WHERE ${is(frequent)} AND ` +
          `time >= toDateTime('${from} 00:00:00', '${zone}') GROUP BY toStartOfHour(time, '${zone}')`,
        `SELECT toString(h, '${zone}') AS l, sum(c) FROM (SELECT toStartOfHour(time) AS h, count() AS c FROM events ` +
          `WHERE ${is(frequent)} AND time >= toDateTime('${from} 00:00:00', '${zone}') GROUP BY h) GROUP BY l`,
      ],
      duckdb: [
        `SELECT date_trunc('hour', ${local('time')})::VARCHAR, count(*) FROM events WHERE ${is(frequent)} AND ` +
          `time >= TIMESTAMP '${from} 05:00:00' GROUP BY date_trunc('hour', ${local('time')})`,
        `SELECT ${local('h')}::VARCHAR AS l, sum(c) FROM (SELECT date_trunc('hour', time) AS h, count(*) AS c FROM events ` +
          `WHERE ${is(frequent)} AND time >= TIMESTAMP '${from} 05:00:00' GROUP BY h) GROUP BY l`,
      ],
    },
    {
      name: 'daily uniques, frequent event',
      cairn: { ...range, events: [frequent], measure: 'unique' },
      ...uniquesPer('toDate(time)', 'day', is(frequent)),
    },
    {
      name: 'uniques of 90 days, frequent event',
      cairn: { ...range, events: [frequent], measure: 'unique', unit: 'range' },
      ...uniquesInAll(is(frequent)),
    },
    {
      name: 'daily uniques, rare event',
      cairn: { ...range, events: [rare], measure: 'unique' },
      ...uniquesPer('toDate(time)', 'day', is(rare)),
    },
    {
      name: 'daily active users, any event',
      cairn: { ...range, measure: 'unique' },
      ...uniquesPer('toDate(time)', 'day', ''),
    },
    {
      name: 'uniques of 90 days, any event',
      cairn: { ...range, measure: 'unique', unit: 'range' },
      ...uniquesInAll(''),
    },
    {
      name: 'weekly uniques, any event',
      cairn: { ...range, measure: 'unique', unit: 'week' },
      ...uniquesPer(week.clickhouse, week.duckdb, ''),
    },
    {
      name: 'monthly uniques, any event',
      cairn: { ...range, measure: 'unique', unit: 'month' },
      ...uniquesPer(month.clickhouse, month.duckdb, ''),
    },
    {
      name: 'day x browser where price > 50',
      cairn: { ...range, events: [frequent], where: `${property('price')} > 50`, on: property('$browser') },
      clickhouse: `SELECT ${day}, toString(browser), count() FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY toDate(time), browser`,
      duckdb: `SELECT day::VARCHAR, browser::VARCHAR, count(*) FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY day, browser`,
    },
    {
      name: 'day x top 60 cities',
      cairn: { ...range, events: [frequent], on: property('$city'), limit: 60 },
      clickhouse: `SELECT ${day}, toString(city), count() FROM events WHERE ${is(frequent)} AND city IN (${cities}) GROUP BY toDate(time), city`,
      duckdb: `SELECT day::VARCHAR, city::VARCHAR, count(*) FROM events WHERE ${is(frequent)} AND city IN (${cities}) GROUP BY day, city`,
    },
    {
      name: 'uniques by country',
      cairn: { ...range, events: [frequent], measure: 'unique', unit: 'range', on: property('mp_country_code') },
      clickhouse: ['uniqExact', 'groupBitmap'].map(
        (f) => `SELECT '${from}', toString(country), ${f}(uid) FROM events WHERE ${is(frequent)} GROUP BY country`,
      ),
      duckdb: [
        `SELECT '${from}', country::VARCHAR, count(DISTINCT uid) FROM events WHERE ${is(frequent)} GROUP BY country`,
        `SELECT '${from}', country::VARCHAR, count(*) FROM (SELECT DISTINCT country, uid FROM events WHERE ${is(frequent)}) GROUP BY country`,
      ],
    },
    {
      name: 'day x country, uniques where price > 50',
      cairn: {
        ...range,
        events: [frequent],
        measure: 'unique',
        where: `${property('price')} > 50`,
        on: property('mp_country_code'),
      },
      clickhouse: ['uniqExact', 'groupBitmap'].map(
        (f) =>
          `SELECT ${day}, toString(country), ${f}(uid) FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY toDate(time), country`,
      ),
      duckdb: [
        `SELECT day::VARCHAR, country::VARCHAR, count(DISTINCT uid) FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY day, country`,
        `SELECT day::VARCHAR, country::VARCHAR, count(*) FROM (SELECT DISTINCT day, country, uid FROM events WHERE ${is(frequent)} AND price > 50) GROUP BY day, country`,
      ],
    },
    {
      name: '200 regions, uniques where price > 50',
      cairn: {
        ...range,
        events: [frequent],
        measure: 'unique',
        unit: 'range',
        where: `${property('price')} > 50`,
        on: property('$region'),
      },
      clickhouse: ['uniqExact', 'groupBitmap'].map(
        (f) => `SELECT '${from}', toString(region), ${f}(uid) FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY region`,
      ),
      duckdb: [
        `SELECT '${from}', region::VARCHAR, count(DISTINCT uid) FROM events WHERE ${is(frequent)} AND price > 50 GROUP BY region`,
        `SELECT '${from}', region::VARCHAR, count(*) FROM (SELECT DISTINCT region, uid FROM events WHERE ${is(frequent)} AND price > 50) GROUP BY region`,
      ],
    },
    {
      name: 'top 100 of 5 k urls',
      cairn: { ...range, kind: 'top_values', events: [frequent], on: property('$current_url'), limit: 100 },
      ...topUrls(is(frequent)),
    },
    {
      name: 'top 100 of 5 k urls where price > 50',
      cairn: {
        ...range,
        kind: 'top_values',
        events: [frequent],
        where: `${property('price')} > 50`,
        on: property('$current_url'),
        limit: 100,
      },
      ...topUrls(`${is(frequent)} AND price > 50`),
    },
    {
      name: 'daily sum of price',
      cairn: { ...range, events: [frequent], measure: 'sum', of: property('price') },
      ...everyDay('sum(price)', is(frequent)),
    },
    {
      name: 'daily average of price',
      cairn: { ...range, events: [frequent], measure: 'mean', of: property('price') },
      ...everyDay('avg(price)', is(frequent)),
    },
    {
      // The smallest number that at least half of the numbers do not exceed. ClickHouse takes the one at floor(level
      // x count), counted from 0: a little below the level that is the same one.
      name: 'daily median of price',
      cairn: { ...range, events: [frequent], measure: 'percentile', percentile: 50, of: property('price') },
      clickhouse: everyDay('quantileExact(0.499999999999)(price)', is(frequent)).clickhouse,
      duckdb: everyDay('quantile_disc(price, 0.5)', is(frequent)).duckdb,
    },
    {
      name: '90th percentile of price, 90 days',
      cairn: { ...range, events: [frequent], measure: 'percentile', percentile: 90, unit: 'range', of: property('price') },
      clickhouse: `SELECT '${from}', quantileExact(0.899999999999)(price) FROM events WHERE ${is(frequent)}`,
      duckdb: `SELECT '${from}', quantile_disc(price, 0.9) FROM events WHERE ${is(frequent)}`,
    },
    {
      name: 'histogram of price',
      cairn: { ...range, events: [frequent], unit: 'range', on: `floor(${property('price')} / 10)` },
      clickhouse: `SELECT '${from}', toString(floor(price / 10)) AS b, count() FROM events WHERE ${is(frequent)} GROUP BY b`,
      duckdb: `SELECT '${from}', floor(price / 10)::BIGINT::VARCHAR AS b, count(*) FROM events WHERE ${is(frequent)} GROUP BY b`,
    },
    {
      name: 'day x ranges of price',
      cairn: { ...range, events: [frequent], on: property('price'), bins: 12 },
      ...ranges('count()', 'count(*)'),
    },
    {
      name: 'day x ranges of price, uniques',
      cairn: { ...range, events: [frequent], measure: 'unique', on: property('price'), bins: 12 },
      ...ranges('uniqExact(uid)', 'count(DISTINCT uid)'),
    },
    {
      name: 'day x plan x browser',
      cairn: { ...range, events: [frequent], on: property('plan'), by: property('$browser'), limit: 60 },
      clickhouse: `SELECT ${day}, concat(toString(plan), ' / ', toString(browser)), count() FROM events WHERE ${is(frequent)} GROUP BY toDate(time), plan, browser`,
      duckdb: `SELECT day::VARCHAR, plan::VARCHAR || ' / ' || browser::VARCHAR, count(*) FROM events WHERE ${is(frequent)} GROUP BY day, plan, browser`,
    },
    {
      name: 'daily count of the top 10 events',
      cairn: { ...range, on: property('$event_name'), limit: 10 },
      clickhouse: `SELECT ${day}, toString(event), count() FROM events WHERE event IN (${top10.clickhouse}) GROUP BY toDate(time), event`,
      duckdb: `SELECT day::VARCHAR, event::VARCHAR, count(*) FROM events WHERE event IN (${top10.duckdb}) GROUP BY day, event`,
    },
    {
      name: 'daily uniques of the top 10 events',
      cairn: { ...range, measure: 'unique', on: property('$event_name'), limit: 10 },
      clickhouse: `SELECT ${day}, toString(event), uniqExact(uid) FROM events WHERE event IN (${top10.clickhouse}) GROUP BY toDate(time), event`,
      duckdb: `SELECT day::VARCHAR, event::VARCHAR, count(DISTINCT uid) FROM events WHERE event IN (${top10.duckdb}) GROUP BY day, event`,
    },
    {
      name: 'events by name, 31 days',
      cairn: { from: lastMonth, to, unit: 'range', on: property('$event_name') },
      clickhouse: `SELECT '${lastMonth}', toString(event), count() FROM events WHERE toDate(time) >= '${lastMonth}' GROUP BY event`,
      duckdb: `SELECT '${lastMonth}', event::VARCHAR, count(*) FROM events WHERE day >= DATE '${lastMonth}' GROUP BY event`,
    },
    {
      name: 'daily count of 3 events',
      cairn: { ...range, events: steps.slice(0, 3), on: property('$event_name'), labels: steps.slice(0, 3) },
      clickhouse: `SELECT ${day}, toString(event), count() FROM events WHERE ${isOneOf(steps.slice(0, 3))} GROUP BY toDate(time), event`,
      duckdb: `SELECT day::VARCHAR, event::VARCHAR, count(*) FROM events WHERE ${isOneOf(steps.slice(0, 3))} GROUP BY day, event`,
    },
    {
      name: 'daily uniques of 3 events',
      cairn: { ...range, events: steps.slice(0, 3), measure: 'unique', on: property('$event_name'), labels: steps.slice(0, 3) },
      clickhouse: ['uniqExact', 'groupBitmap'].map(
        (f) => `SELECT ${day}, toString(event), ${f}(uid) FROM events WHERE ${isOneOf(steps.slice(0, 3))} GROUP BY toDate(time), event`,
      ),
      duckdb: [
        `SELECT day::VARCHAR, event::VARCHAR, count(DISTINCT uid) FROM events WHERE ${isOneOf(steps.slice(0, 3))} GROUP BY day, event`,
        `SELECT day::VARCHAR, event::VARCHAR, count(*) FROM (SELECT DISTINCT day, event, uid FROM events WHERE ` +
          `${isOneOf(steps.slice(0, 3))}) GROUP BY day, event`,
      ],
    },
    {
      name: 'daily events for each person',
      cairn: { ...range, events: [frequent], measure: 'average' },
      clickhouse: ['uniqExact', 'groupBitmap'].map((f) => everyDay(`count() / ${f}(uid)`, is(frequent)).clickhouse),
      duckdb: everyDay('count(*) / count(DISTINCT uid)', is(frequent)).duckdb,
    },
    {
      name: 'day x screen width',
      cairn: { ...range, events: [frequent], on: property('screen_w') },
      clickhouse: `SELECT ${day}, toString(screen_w), count() FROM events WHERE ${is(frequent)} GROUP BY toDate(time), screen_w`,
      duckdb: `SELECT day::VARCHAR, screen_w::VARCHAR, count(*) FROM events WHERE ${is(frequent)} GROUP BY day, screen_w`,
    },
    {
      name: 'day x screen width, not a column',
      cairn: { ...range, events: [frequent], on: property('screen_w') },
      clickhouse: `SELECT ${day}, more['screen_w'] AS w, count() FROM events_more WHERE ${is(frequent)} GROUP BY toDate(time), w`,
      duckdb: `SELECT day::VARCHAR, more['screen_w'] AS w, count(*) FROM events_more WHERE ${is(frequent)} GROUP BY day, w`,
    },
    {
      name: 'daily count where url contains',
      cairn: { ...range, events: [frequent], where: `"product/12" in ${property('$current_url')}` },
      clickhouse: everyDay('count(*)', `${is(frequent)} AND position(url, 'product/12') > 0`).clickhouse,
      duckdb: everyDay('count(*)', `${is(frequent)} AND contains(url, 'product/12')`).duckdb,
    },
    {
      // Who signs up on a day, and comes back k times 24 hours later, to the second; the sign-up itself is no return.
      name: 'retention, 30 days',
      cairn: { ...range, kind: 'retention', born_events: ['Sign Up'], intervals: 30 },
      ...byUserToo(retention(30)),
    },
    {
      name: 'retention, 30 days, frequent event',
      cairn: { ...range, kind: 'retention', born_events: ['Sign Up'], events: [frequent], intervals: 30 },
      ...byUserToo(retention(30, frequent)),
    },
    {
      // On how many days of a week: at least so many.
      name: 'days a week, frequent event',
      cairn: { ...range, kind: 'frequency', events: [frequent], unit: 'week', active_unit: 'day' },
      ...byUserToo(frequency(is(frequent))),
    },
    {
      name: 'days a week, any event',
      cairn: { ...range, kind: 'frequency', unit: 'week', active_unit: 'day' },
      ...byUserToo(frequency('true')),
    },
    {
      // Whoever gets furthest from any entry.
      name: '4-step funnel within 7 days',
      cairn: { ...funnel, reentry: 'optimized' },
      clickhouse: windowFunnel,
      duckdb: [chain(`'${from}'`, everyEntry), carried(`'${from}'`)].map(reached.duckdb),
    },
    {
      name: '4-step funnel from the first entry',
      cairn: funnel,
      clickhouse: levelsFrom(`'${from}'`, `[minIf(toUInt32(time), event = '${steps[0]}')]`).map((sql) =>
        sql.replaceAll('GROUP BY uid', `GROUP BY uid HAVING countIf(event = '${steps[0]}') > 0`),
      ),
      duckdb: reached.duckdb(chain(`'${from}'`, firstEntry)),
    },
    {
      name: 'funnel as daily cohorts',
      cairn: { ...funnel, reentry: 'optimized', unit: 'day', trend: true },
      clickhouse: levelsFrom(dayOf.clickhouse, `groupArrayIf(toUInt32(time), event = '${steps[0]}')`),
      duckdb: [chain(dayOf.duckdb, everyEntry), carried(dayOf.duckdb)].map(reached.duckdb),
    },
    {
      name: "one user's feed",
      feed: true,
      cairn: { ...range, kind: 'feed', distinct_ids: [user.id], limit: 1000 },
      ...feed('events'),
    },
    {
      name: "one user's feed, second table by user",
      feed: true,
      cairn: { ...range, kind: 'feed', distinct_ids: [user.id], limit: 1000 },
      ...feed('events_by_user'),
    },
    {
      name: 'export of one day as JSON lines',
      cairn: { from: exportDay, to: exportDay, kind: 'export' },
      clickhouse:
        `SELECT * FROM events WHERE toDate(time) = '${exportDay}' ` + "INTO OUTFILE '/dev/null' TRUNCATE FORMAT JSONEachRow",
      duckdb: `COPY (SELECT * FROM events WHERE day = DATE '${exportDay}') TO '/dev/null' (FORMAT JSON)`,
      check: {
        clickhouse: `SELECT count(), sum(toUnixTimestamp(time)) FROM events WHERE toDate(time) = '${exportDay}'`,
        duckdb: `SELECT count(*), sum(epoch(time)::BIGINT)::BIGINT FROM events WHERE day = DATE '${exportDay}'`,
      },
    },
  ];
}

// A person with about a hundred events, some of them from before the sign-up: [number, id].
export const personSql = {
  clickhouse:
    "SELECT uid, anyIf(distinct_id, NOT startsWith(distinct_id, '$device:')) FROM events GROUP BY uid " +
    "HAVING countIf(startsWith(distinct_id, '$device:')) > 0 AND countIf(NOT startsWith(distinct_id, '$device:')) > 0 " +
    'ORDER BY abs(toInt64(count()) - 100), uid LIMIT 1',
};

// Users, and those of them who were anonymous first, so that ids had to be merged.
export const mergedSql = {
  clickhouse:
    "SELECT count(), countIf(a AND b) FROM (SELECT countIf(startsWith(distinct_id, '$device:')) > 0 AS a, " +
    "countIf(NOT startsWith(distinct_id, '$device:')) > 0 AS b FROM events GROUP BY uid)",
};

// What --only knows besides names.
export const groups = {
  behavioural: (query) => ['funnel', 'retention', 'frequency'].includes(query.cairn.kind),
};

export const plan = { days, from, to };
