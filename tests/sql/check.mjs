// The SQL that the operator table (src/expr/operators.h) gives for ClickHouse, tried in ClickHouse: for every template and
// all combinations of sample values of all types its answer must be that of the native function.
//
//   node tests/sql/check.mjs build/test/tests/sql/sql_templates
//
// ClickHouse comes as a library in the process (npm chdb), which bench/engine installs: `npm install` there.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const { Session } = createRequire(path.join(here, '../../bench/engine/package.json'))('chdb');

const [values, ...templates] = execFileSync(process.argv[2], { encoding: 'utf8', maxBuffer: 1 << 30 })
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line));

const text = (hex) => `unhex('${hex}')`;
const optional = (value, how) => (value === null ? 'NULL' : how(value));
const row = (v, i) =>
  `SELECT ${i} AS i, CAST(${optional(v.b, (b) => b)} AS Nullable(Bool)) AS b, ` +
  `CAST(${optional(v.n, (n) => `reinterpretAsFloat64(${text(n)})`)} AS Nullable(Float64)) AS n, ` +
  `CAST(${optional(v.s, text)} AS Nullable(String)) AS s, CAST(${v.t} AS UInt8) AS t, ${text(v.c)} AS c, ` +
  `CAST([${v.l.map(text).join(', ')}] AS Array(String)) AS l`;

const printed = {
  b: (sql) => `toString(CAST(${sql} AS Nullable(UInt8)))`,
  n: (sql) => `hex(CAST(${sql} AS Nullable(Float64)))`,
  s: (sql) => `hex(CAST(${sql} AS Nullable(String)))`,
};

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'cairn-sql-'));
let wrong = 0,
  tried = 0;
try {
  const session = new Session(directory);
  const ask = (sql) =>
    String(session.query(sql, 'JSONCompactEachRow'))
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const version = ask('SELECT version()')[0][0];
  session.query(
    'CREATE TABLE v (i UInt32, b Nullable(Bool), n Nullable(Float64), s Nullable(String), t UInt8, c String, ' +
      'l Array(String)) ENGINE = MergeTree ORDER BY i',
  );
  session.query(`INSERT INTO v ${values.map(row).join(' UNION ALL ')}`);
  for (const { name, asked, arguments: count, values: of, sql, expected } of templates) {
    const tables = Array.from({ length: count }, (_, i) => `(SELECT * FROM v WHERE i < ${of}) AS x${i}`);
    const order = tables.map((_, i) => `x${i}.i`).join(', ');
    const answers = ask(`SELECT ${printed[asked](sql)} FROM ${tables.join(' CROSS JOIN ')} ORDER BY ${order}`);
    if (answers.length !== expected.length) throw new Error(`${name}: ${answers.length} rows, not ${expected.length}`);
    let shown = 0;
    answers.forEach(([answer], n) => {
      if (expected[n] === '-') return;
      tried++;
      if (answer === expected[n]) return;
      wrong++;
      if (shown++ >= 5) return;
      const chosen = [];
      for (let i = count, rest = n; i > 0; i--, rest = Math.floor(rest / of))
        chosen.unshift(Buffer.from(values[rest % of].c, 'hex').toString());
      console.error(`${name} (${asked}) of ${chosen.join(' and ')}: ClickHouse says ${answer}, Cairn ${expected[n]}`);
    });
  }
  session.close?.();
  session.cleanup?.();
  console.log(`ClickHouse ${version}: ${templates.length} templates, ${tried} combinations, ${wrong} wrong`);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
process.exit(wrong || !tried ? 1 : 0);
