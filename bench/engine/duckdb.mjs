// DuckDB inside this process (npm @duckdb/node-api), as an expert would set it up for these questions: typed columns,
// enumerations where the values are known beforehand, rows sorted by event, day, user and time.

import fs from 'node:fs';
import path from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const structure =
  '\'STRUCT(time UINTEGER, distinct_id VARCHAR, "$insert_id" VARCHAR, "$browser" VARCHAR, "$os" VARCHAR, ' +
  '"$city" VARCHAR, "$region" VARCHAR, mp_country_code VARCHAR, plan VARCHAR, price DOUBLE, items UTINYINT, ' +
  'utm_source VARCHAR, "$current_url" VARCHAR, screen_w USMALLINT, is_trial BOOLEAN)\'';

const enumerations = {
  event_t: 'event',
  browser_t: 'p."$browser"',
  os_t: 'p."$os"',
  city_t: 'p."$city"',
  region_t: 'p."$region"',
  country_t: 'p.mp_country_code',
  plan_t: 'p.plan',
  utm_t: 'p.utm_source',
};

const source = (file) =>
  `(SELECT event, "user", properties AS p FROM read_json('${file}', format = 'newline_delimited', ` +
  `columns = {'event': 'VARCHAR', 'user': 'UINTEGER', 'properties': ${structure}}))`;

const selected = `event::event_t AS event, make_timestamp(p.time::BIGINT * 1000000) AS time,
  make_timestamp(p.time::BIGINT * 1000000)::DATE AS day, "user" AS uid, p.distinct_id AS distinct_id,
  p."$insert_id" AS insert_id, p."$browser"::browser_t AS browser, p."$os"::os_t AS os, p."$city"::city_t AS city,
  p."$region"::region_t AS region, p.mp_country_code::country_t AS country, p.plan::plan_t AS plan, p.price AS price,
  p.items AS items, p.utm_source::utm_t AS utm_source, p."$current_url" AS url, p.screen_w AS screen_w,
  p.is_trial AS is_trial`;

export default class DuckDB {
  constructor(directory, threads) {
    fs.mkdirSync(directory, { recursive: true });
    this.directory = directory;
    this.file = path.join(directory, 'events.duckdb');
    this.threads = threads;
  }

  async open() {
    const instance = await DuckDBInstance.create(this.file, { threads: String(this.threads) });
    this.connection = await instance.connect();
    await this.connection.run(`SET temp_directory = '${path.join(this.directory, 'temporary')}'`);
    await this.connection.run("SET TimeZone = 'UTC'");
  }

  async version() {
    return (await this.rows('SELECT version()'))[0][0];
  }

  run(sql) {
    return this.connection.runAndReadAll(sql);
  }

  parse(result) {
    return result.getRowsJson();
  }

  async rows(sql) {
    return this.parse(await this.run(sql));
  }

  // The enumerations come from a first look at the data, which an expert has had: it is not counted.
  async create(file) {
    await this.connection.run('DROP TABLE IF EXISTS events');
    for (const [type, column] of Object.entries(enumerations)) {
      await this.connection.run(`DROP TYPE IF EXISTS ${type}`);
      const values = await this.rows(
        `SELECT DISTINCT ${column} AS v FROM ${source(file)} WHERE ${column} IS NOT NULL ORDER BY v`,
      );
      const list = values.map(([value]) => `'${value.replaceAll("'", "''")}'`).join(', ');
      await this.connection.run(`CREATE TYPE ${type} AS ENUM (${list})`);
    }
    await this.connection.run(`CREATE TABLE events AS SELECT ${selected} FROM ${source(file)} LIMIT 0`);
  }

  async load(file) {
    await this.connection.run(
      `INSERT INTO events SELECT ${selected} FROM ${source(file)} ORDER BY event, day, uid, time`,
    );
    await this.connection.run('CHECKPOINT');
  }

  // A statement is a transaction, and on the disk when it returns.
  durable() {}

  // A small batch, as it comes.
  async append(file) {
    await this.connection.run(`INSERT INTO events SELECT ${selected} FROM ${source(file)}`);
  }

  async settle() {
    await this.connection.run('CHECKPOINT');
  }

  async extras() {
    await this.connection.run('CREATE OR REPLACE TABLE events_by_user AS SELECT * FROM events ORDER BY uid, time');
    await this.connection.run(
      "CREATE OR REPLACE TABLE events_more AS SELECT event, day, uid, MAP {'plan': plan::VARCHAR, " +
        "'screen_w': screen_w::VARCHAR, 'is_trial': is_trial::VARCHAR} AS more FROM events",
    );
    await this.connection.run('CHECKPOINT');
  }

  // Blocks of the table; a block may hold the ends of several columns, so columns are counted by segments.
  async sizes() {
    const [block] = await this.rows('SELECT block_size FROM pragma_database_size()');
    const total = await this.rows(
      "SELECT count(DISTINCT block_id) FROM (SELECT block_id FROM pragma_storage_info('events') WHERE persistent " +
        "UNION ALL SELECT unnest(additional_block_ids) FROM pragma_storage_info('events') WHERE persistent) " +
        'WHERE block_id >= 0',
    );
    const rows = await this.rows(
      "SELECT column_name, count(DISTINCT block_id) FROM pragma_storage_info('events') WHERE persistent AND " +
        'block_id >= 0 GROUP BY column_name ORDER BY column_name',
    );
    const size = Number(block[0]);
    return {
      total: Number(total[0][0]) * size,
      columns: Object.fromEntries(rows.map(([name, blocks]) => [name, Number(blocks) * size])),
    };
  }

  close() {
    this.connection.closeSync();
  }
}
