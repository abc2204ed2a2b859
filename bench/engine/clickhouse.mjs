// ClickHouse inside this process (npm chdb), as an expert would set it up for these questions: typed columns,
// dictionary encoding, rows sorted by event, day, user and time, months as partitions.

import fs from 'node:fs';
import path from 'node:path';
import { Session } from 'chdb';

const columns = `
  event LowCardinality(String),
  time DateTime('UTC') CODEC(Delta, ZSTD(1)),
  uid UInt32,
  distinct_id String CODEC(ZSTD(1)),
  insert_id String CODEC(ZSTD(1)),
  browser LowCardinality(String),
  os LowCardinality(String),
  city LowCardinality(String),
  region LowCardinality(String),
  country LowCardinality(String),
  plan LowCardinality(String),
  price Nullable(Float64),
  items Nullable(UInt8),
  utm_source LowCardinality(Nullable(String)),
  url LowCardinality(String),
  screen_w UInt16,
  is_trial Bool`;

// Reading into plain strings is faster than reading into LowCardinality: the table's columns do that once a block.
const properties =
  'time UInt32, distinct_id String, `$insert_id` String, `$browser` String, `$os` String, `$city` String, ' +
  '`$region` String, mp_country_code String, plan String, price Nullable(Float64), items Nullable(UInt8), ' +
  'utm_source Nullable(String), `$current_url` String, screen_w UInt16, is_trial Bool';

const selected =
  'event, p.time, user, p.distinct_id, p.`$insert_id`, p.`$browser`, p.`$os`, p.`$city`, p.`$region`, ' +
  'p.mp_country_code, p.plan, p.price, p.items, p.utm_source, p.`$current_url`, p.screen_w, p.is_trial';

export default class ClickHouse {
  constructor(directory, threads) {
    fs.mkdirSync(directory, { recursive: true });
    this.threads = threads;
    this.session = new Session(path.join(directory, 'data'));
  }

  // A condition that was asked before must be looked at again: what is measured is the work, not the memory of it.
  settings() {
    return `max_threads = ${this.threads}, max_insert_threads = ${this.threads}, use_query_condition_cache = 0`;
  }

  version() {
    return this.rows('SELECT version()')[0][0];
  }

  // Only the database's own work, without turning its text into objects.
  run(sql) {
    return this.session.query(`${sql} SETTINGS ${this.settings()}`, 'JSONCompactEachRow');
  }

  parse(result) {
    return String(result)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  rows(sql) {
    return this.parse(this.run(sql));
  }

  create() {
    this.session.query('DROP TABLE IF EXISTS events');
    this.session.query(
      `CREATE TABLE events (${columns}) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ` +
        'ORDER BY (event, toDate(time), uid, time)',
    );
  }

  load(file) {
    this.session.query(
      `INSERT INTO events SELECT ${selected} FROM (SELECT event, user, properties AS p FROM file('${file}', JSONEachRow, ` +
        `'event String, user UInt32, properties Tuple(${properties})')) SETTINGS ${this.settings()}, ` +
        'input_format_json_ignore_unknown_keys_in_named_tuple = 1, ' +
        'input_format_json_defaults_for_missing_elements_in_named_tuple = 1',
    );
  }

  // From now on an INSERT is on the disk when it returns.
  durable() {
    this.session.query('ALTER TABLE events MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1');
  }

  // A small batch, as it comes.
  append(file) {
    this.load(file);
  }

  settle() {
    this.session.query('OPTIMIZE TABLE events FINAL');
  }

  // What some questions need besides the table, and what is not counted: the same rows by user, and a column that
  // holds a property which nobody thought of when the table was made.
  extras() {
    this.session.query('DROP TABLE IF EXISTS events_by_user');
    this.session.query(`CREATE TABLE events_by_user (${columns}) ENGINE = MergeTree ORDER BY (uid, time)`);
    this.session.query('INSERT INTO events_by_user SELECT * FROM events');
    this.session.query('OPTIMIZE TABLE events_by_user FINAL');
    this.session.query('DROP TABLE IF EXISTS events_more');
    this.session.query(
      "CREATE TABLE events_more (event LowCardinality(String), time DateTime('UTC') CODEC(Delta, ZSTD(1)), uid UInt32, " +
        'more Map(LowCardinality(String), String)) ENGINE = MergeTree PARTITION BY toYYYYMM(time) ' +
        'ORDER BY (event, toDate(time), uid, time)',
    );
    this.session.query(
      "INSERT INTO events_more SELECT event, time, uid, map('plan', toString(plan), 'screen_w', toString(screen_w), " +
        "'is_trial', if(is_trial, 'true', 'false')) FROM events",
    );
    this.session.query('OPTIMIZE TABLE events_more FINAL');
  }

  sizes() {
    const rows = this.rows(
      "SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns WHERE active AND table = 'events' " +
        'AND database = currentDatabase() GROUP BY column ORDER BY column',
    );
    const total = this.rows(
      "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'events' AND database = currentDatabase()",
    );
    return { total: Number(total[0][0]), columns: Object.fromEntries(rows.map(([name, bytes]) => [name, Number(bytes)])) };
  }

  close() {
    this.session.close?.();
  }
}
