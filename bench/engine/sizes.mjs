// How many bytes an event takes on the disk: the same events in Cairn and in ClickHouse, for events of 12 and of about 25
// properties. ClickHouse gets typed columns, dictionaries and several layouts: first the one whose speed is measured, last
// those of somebody who wants the least bytes and can wait: sorted by user alone, a question about one event reads all
// events.

import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Session } from 'chdb';
import { Cairn, cairnBinary } from './engines.mjs';

const help = `bench/engine/run sizes measures bytes on disk an event, in Cairn and in several layouts of ClickHouse.

  --events N       how many events of each kind; default 2000000
  --dir DIR        where the data goes; removed at the end; default build/bench/sizes
  --document FILE  also put the table into FILE, between its lines <!-- sizes --> and <!-- end -->
`;

const { values: args } = parseArgs({
  options: {
    events: { type: 'string', default: '2000000' },
    dir: { type: 'string' },
    document: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (args.help) {
  process.stdout.write(help);
  process.exit(0);
}
const events = Number(args.events);
if (!Number.isInteger(events) || events < 1) {
  console.error(`bench/engine/run sizes: --events ${args.events} is no number above 0`);
  process.exit(2);
}
const here = path.dirname(fileURLToPath(import.meta.url));
const directory = path.resolve(args.dir ?? path.join(here, '../../build/bench/sizes'));
const say = (text) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);

// ---- the columns: name, name in the JSON, type, kind ----

const dictionary = 'LowCardinality(String)';
const maybe = 'LowCardinality(Nullable(String))';
const shared = [
  ['distinct_id', 'distinct_id', 'String', 'text'],
  ['insert_id', '$insert_id', 'String', 'text'],
  ['browser', '$browser', dictionary, 'code'],
  ['os', '$os', dictionary, 'code'],
  ['city', '$city', dictionary, 'code'],
  ['region', '$region', dictionary, 'code'],
  ['country', 'mp_country_code', dictionary, 'code'],
  ['plan', 'plan', dictionary, 'code'],
  ['price', 'price', 'Nullable(Float64)', 'double'],
  ['items', 'items', 'Nullable(UInt8)', 'number'],
  ['utm_source', 'utm_source', maybe, 'code'],
  ['url', '$current_url', dictionary, 'code'],
  ['is_trial', 'is_trial', 'Bool', 'number'],
];
const profiles = {
  shop: { title: '12 properties', time: 'DateTime', columns: [...shared, ['screen_w', 'screen_w', 'UInt16', 'number']] },
  web: {
    title: '25 properties',
    time: 'DateTime64(3)',
    columns: [
      ...shared,
      ['device_id', '$device_id', 'UUID', 'text'],
      ['user_id', '$user_id', 'Nullable(String)', 'text'],
      ['browser_version', '$browser_version', 'UInt16', 'number'],
      ['screen_width', '$screen_width', 'UInt16', 'number'],
      ['screen_height', '$screen_height', 'UInt16', 'number'],
      ['lib', 'mp_lib', dictionary, 'code'],
      ['lib_version', '$lib_version', dictionary, 'code'],
      ['initial_referrer', '$initial_referrer', dictionary, 'code'],
      ['initial_referring_domain', '$initial_referring_domain', dictionary, 'code'],
      ['page_title', 'current_page_title', dictionary, 'code'],
      ['referrer', '$referrer', maybe, 'code'],
      ['referring_domain', '$referring_domain', maybe, 'code'],
      ['utm_medium', 'utm_medium', maybe, 'code'],
      ['utm_campaign', 'utm_campaign', maybe, 'code'],
    ],
  },
};

// ---- the layouts ----

// The codec of a kind of column; undefined: ClickHouse's default, which is LZ4.
const mixed = { text: 'ZSTD(1)', time: 'Delta, ZSTD(1)' };
const dense = {
  text: 'ZSTD(9)',
  code: 'ZSTD(9)',
  number: 'ZSTD(9)',
  double: 'ZSTD(9)',
  time: 'Delta, ZSTD(9)',
  user: 'Delta, ZSTD(9)',
};
const layouts = [
  { name: 'by event, day and user, as for speed', order: 'event, toDate(time), uid, time', codecs: mixed },
  { name: 'by event, day and user, ZSTD(9)', order: 'event, toDate(time), uid, time', codecs: dense },
  { name: 'by event and user, ZSTD(9)', order: 'event, uid, time', codecs: dense },
  { name: 'by user, ZSTD(9)', order: 'uid, time', codecs: dense },
];

function codec(codecs, kind) {
  return codecs[kind] ? ` CODEC(${codecs[kind]})` : '';
}

function table({ time, columns }, { order, codecs }) {
  const list = [
    `event LowCardinality(String)${codec(codecs, 'code')}`,
    `time ${time === 'DateTime' ? "DateTime('UTC')" : "DateTime64(3, 'UTC')"}${codec(codecs, 'time')}`,
    `uid UInt32${codec(codecs, 'user')}`,
    ...columns.map(([name, , type, kind]) => `${name} ${type}${codec(codecs, kind)}`),
  ];
  return `CREATE TABLE events (${list.join(', ')}) ENGINE = MergeTree ORDER BY (${order})`;
}

function measureClickHouse(profile, file) {
  const { time, columns } = profile;
  const tuple = ['time Float64', ...columns.map(([, json, type]) => `\`${json}\` ${type.replace(/LowCardinality\((.*)\)/, '$1')}`)];
  const stored = time === 'DateTime' ? 'toDateTime(p.time)' : "toDateTime64(p.time, 3, 'UTC')";
  const selected = ['event', stored, 'user', ...columns.map(([, json]) => `p.\`${json}\``)];
  return layouts.map((layout) => {
    const data = path.join(directory, 'clickhouse');
    fs.rmSync(data, { recursive: true, force: true });
    const session = new Session(data);
    session.query(table(profile, layout));
    session.query(
      `INSERT INTO events SELECT ${selected.join(', ')} FROM (SELECT event, user, properties AS p FROM ` +
        `file('${file}', JSONEachRow, 'event String, user UInt32, properties Tuple(${tuple.join(', ')})')) SETTINGS ` +
        'input_format_json_ignore_unknown_keys_in_named_tuple = 1, ' +
        'input_format_json_defaults_for_missing_elements_in_named_tuple = 1',
    );
    session.query('OPTIMIZE TABLE events FINAL');
    const [rows, bytes] = JSON.parse(
      session.query("SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'events'", 'JSONCompactEachRow'),
    ).map(Number);
    session.close?.();
    fs.rmSync(data, { recursive: true, force: true });
    if (rows !== events) throw new Error(`ClickHouse has ${rows} events instead of ${events}`);
    say(`ClickHouse, ${layout.name}: ${(bytes / events).toFixed(1)} bytes an event`);
    return bytes / events;
  });
}

async function measureCairn(file) {
  const data = path.join(directory, 'cairn');
  fs.rmSync(data, { recursive: true, force: true });
  const cairn = new Cairn(data, 2);
  cairn.load(file);
  const rows = await cairn.count();
  await cairn.close();
  if (rows !== events) throw new Error(`Cairn has ${rows} events instead of ${events}`);
  const bytes = cairn.sizes().total / events;
  fs.rmSync(data, { recursive: true, force: true });
  say(`Cairn: ${bytes.toFixed(1)} bytes an event`);
  return bytes;
}

function generate(profile) {
  const file = path.join(directory, `${profile}.ndjson`);
  const options = ['--events', events, '--profile', profile, '--user-numbers', '--out', file];
  const result = spawnSync(cairnBinary, ['bench', 'generate', ...options.map(String)], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status !== 0) throw new Error('cairn bench generate failed');
  return file;
}

fs.mkdirSync(directory, { recursive: true });
const lines = [
  `| bytes on disk an event, ${events.toLocaleString('en').replaceAll(',', ' ')} events | ${Object.values(profiles).map((p) => p.title).join(' | ')} |`,
  `| --- |${' ---: |'.repeat(Object.keys(profiles).length)}`,
];
const results = [];
for (const [name, profile] of Object.entries(profiles)) {
  const file = generate(name);
  const json = fs.statSync(file).size / events;
  const cairn = await measureCairn(file);
  results.push({ json, cairn, clickhouse: measureClickHouse(profile, file) });
  fs.rmSync(file);
}
fs.rmSync(directory, { recursive: true, force: true });
const row = (title, value) => lines.push(`| ${title} | ${results.map(value).join(' | ')} |`);
row('as JSON', (r) => r.json.toFixed(0));
row('Cairn', (r) => r.cairn.toFixed(1));
layouts.forEach((layout, i) => row(`ClickHouse, ${layout.name}`, (r) => r.clickhouse[i].toFixed(1)));
layouts.forEach((layout, i) => row(`Cairn beside ClickHouse ${layout.name}`, (r) => (r.cairn / r.clickhouse[i]).toFixed(2)));
const text = `${lines.join('\n')}\n`;
process.stdout.write(text);
if (args.document) {
  const document = fs.readFileSync(args.document, 'utf8');
  const begin = '<!-- sizes -->\n';
  const [before, rest] = document.split(begin);
  const end = rest?.indexOf('<!-- end -->');
  if (rest === undefined || end < 0) throw new Error(`${args.document} has no lines <!-- sizes --> and <!-- end -->`);
  fs.writeFileSync(args.document, `${before}${begin}${text}${rest.slice(end)}`);
}
