// Values for the parameters of reports that are wrong, or strange but right, by what kind of parameter it is:
// query-bad-input.test.mjs goes through them. A value is a text, bytes that are no UTF-8 (Escaped), or a function of another
// project.

export const date = (n) => new Date(Math.floor(Date.now() / 86_400_000 + n) * 86_400_000).toISOString().slice(0, 10);

// Bytes that are not UTF-8, as they are written in a URL. `query` would escape the percent signs.
export class Escaped {
  constructor(text) {
    this.text = text;
  }
}
const broken = new Escaped('%ff%fe%c3%28%ed%a0%80');
export const long = 'a'.repeat(1_000_000);
export const deep = (n) => '['.repeat(n) + ']'.repeat(n);
const strange = { json: '{"a":{"b":[1,2]}}', list: '[1]', deep: deep(10_000), long, nul: '\u0000', broken };

// [what it is, value]; a third member says what the answer may be: 'refused' (400 that names the parameter), 'answered'
// (200), 'either', 'denied' (403) or 'late' (504, or answered in time).
const wrong = (values) => Object.entries(values).map(([what, value]) => [what, value, 'refused']);
const odd = (values) => Object.entries(values).map(([what, value]) => [what, value, 'either']);
const right = (values) => Object.entries(values).map(([what, value]) => [what, value, 'answered']);

export const kinds = {
  date: () => [
    ...wrong({
      word: 'yesterday',
      month: '2024-13-01',
      day: '2024-02-30',
      bare: '20240301',
      zero: '0',
      far: '99999-01-01',
    }),
    ...wrong({ negative: '-2024-01-01', behind: '2024-01-01; DROP TABLE events', slashes: '2024/01/01', ...strange }),
    ...odd({
      first: '0001-01-01',
      last: '9999-12-31',
      year: '0000-01-01',
      epoch: '1970-01-01',
      blanks: ` ${date(0)} `,
    }),
  ],
  // Without `high` there is no greatest one.
  number: ({ low, high }) => [
    ...wrong({ word: 'x', fraction: '1.5', exponent: '1e3', below: String(low - 1), minus: '-1', hex: '0x10' }),
    ...wrong({ overflow: '99999999999999999999', infinite: 'Infinity', nan: 'NaN', ...strange }),
    ...(high && high < 1e9 ? wrong({ above: String(high + 1), huge: '1000000000' }) : odd({ huge: '1000000000' })),
    ...(high ? odd({ high: String(high) }) : []),
    ...right({ low: String(low) }),
  ],
  // The least one is gone before anything can be answered: 504.
  timeout: () => [
    ...wrong({ word: 'x', fraction: '1.5', exponent: '1e3', zero: '0', minus: '-1', overflow: '99999999999999999999' }),
    ...wrong({ ...strange }),
    ['low', '1', 'late'],
    ...right({ huge: '1000000000', greatest: '9223372036854775807' }),
  ],
  choice: ({ values }) => [
    ...wrong({ word: 'x', upper: values[0].toUpperCase(), number: '1', two: `${values[0]},${values[1]}`, ...strange }),
    ...values.map((value) => [value, value, 'either']),
  ],
  flag: () => [
    ...wrong({ word: 'x', number: '2', yes: 'yes', ...strange }),
    ...right({ true: 'true', one: '1', zero: '0', python: 'False' }),
  ],
  // Any text names something; if there is no such thing there is nothing to count.
  name: () => [...odd(strange), ...right({ unknown: 'never seen', quoted: '"x"', expression: 'properties["n"]' })],
  names: () => [
    ...wrong({
      open: '["a"',
      objects: '[{}]',
      nested: '[["a"]]',
      nulls: '[null]',
      flags: '[true]',
      deep: deep(10_000),
      behind: '["a"] x',
    }),
    ...odd({
      empty: '[]',
      broken,
      long,
      nul: '\u0000',
      json: '{"a":1}',
      many: JSON.stringify(Array.from({ length: 50_000 }, (_, i) => `e${i}`)),
    }),
    ...right({ unknown: 'never seen', list: '["never seen"]', twice: '["never seen","never seen"]', number: '[1]' }),
  ],
  // An open list may be empty, and of any length.
  list: ({ open }) => [
    ...wrong({ word: 'x', open: '["a"', object: '{}', string: '"a"', number: '1', null: 'null', objects: '[{}]' }),
    ...wrong({ nested: '[["a"]]', nulls: '[null]', deep: deep(10_000), long, broken, nul: '\u0000' }),
    ...(open ? right : wrong)({ empty: '[]', many: JSON.stringify(Array.from({ length: 50_000 }, (_, i) => `e${i}`)) }),
    ...right({ unknown: '["never seen"]', numbers: '[1,2]', twice: '["x","x"]' }),
    ...odd({ texts: JSON.stringify([long]), escapes: '["\\u0000\\ud800"]', empty_text: '[""]' }),
  ],
  text: () => [...odd(strange), ...right({ quotes: '"\'\\', pattern: '(a+)+$', empty_list: '[]' })],
  expression: () => [
    ...wrong({
      cut: 'properties["a"] ==',
      open: '(',
      close: ')',
      root: 'properties[',
      string: '"a',
      function: 'frobnicate(1)',
    }),
    ...wrong({
      arguments: 'len()',
      pattern: 'regex_match(properties["text"], "(")',
      token: '1 # 2',
      root_name: 'properties[1]',
    }),
    ...wrong({
      brackets: '('.repeat(9_000) + ')'.repeat(9_000),
      nots: 'not '.repeat(4_000) + 'true',
      minus: '-'.repeat(9_000) + '1',
    }),
    ...wrong({
      long: `"${long}"`,
      sum: `1${'+1'.repeat(9_000)}`,
      escape: '"\\ud800"',
      broken,
      nul: '\u0000',
      blank: '  ',
    }),
    // A name that nothing gives a meaning to is undefined.
    ...right({
      bare: 'foo == 1',
      bare_dollar: '$foo',
      bare_and: 'foo and bar',
      bare_not: 'not foo',
      bare_call: 'defined(foo)',
    }),
    ...right({
      undefined: 'undefined',
      null: 'null',
      unknown: 'properties["never seen"] == 1',
      list: 'properties["list"] == [1]',
    }),
    ...right({ nested: 'properties["nested"]["a"][0]["b"] == "d"', object: 'properties["nested"] == 1' }),
    ...right({ zero: 'properties["n"] / 0 > 1', other_types: 'properties["n"] + properties["list"] == 1' }),
    // Patterns that take exponential time when they are tried in every way.
    ...right({
      backtracking: 'regex_match(properties["text"], "^(a+)+$")',
      alternatives: 'regex_match(properties["text"], "^(a|aa|a?)+$")',
    }),
    ...right({ back_reference: 'regex_match(properties["text"], "^(a*)*\\\\1(a*)*\\\\2!!$") == true' }),
    ...odd({
      lookbehind: 'regex_match(properties["text"], "(?<=a{1,200}){1,200}b")',
      recursion: 'regex_match(properties["text"], "(?R)*")',
    }),
    ...odd({
      growing: 'len(regex_replace(properties["text"], "a", properties["text"])) > 1',
      repeat: 'regex_match("x", "((a{1,99}){1,99}){1,99}")',
    }),
    ...odd({ many: 'properties["many"]', terms: Array(1_500).fill('properties["n"] == 1').join(' or ') }),
    ...odd({ type: 'properties["flag"] and true', items: `properties["n"] in [${'1,'.repeat(9_000)}1]` }),
  ],
  project: () => [
    ...wrong({ word: 'x', fraction: '1.5', minus: '-1', zero: '0', overflow: '99999999999999999999', ...strange }),
    ['nobody', '12345', 'denied'],
    ['of others', (other) => other.project_id, 'denied'],
  ],
  funnel: () => [
    ...wrong({
      word: 'x',
      fraction: '1.5',
      minus: '-1',
      zero: '0',
      overflow: '99999999999999999999',
      unknown: '999999',
      ...strange,
    }),
    ...wrong({ other: (other) => String(other.funnel) }),
  ],
  cohort: () => [
    ...wrong({ word: 'x', zero: '0', minus: '-1', unknown: '999999', object: '{}', text: '{"id":"x"}', ...strange }),
    ...wrong({ nested: '{"id":{"id":1}}', fraction: '1.5', overflow: '99999999999999999999' }),
    ...wrong({ other: (other) => JSON.stringify({ id: other.cohort }) }),
  ],
  group: () => wrong({ word: 'x', number: '1', overflow: '99999999999999999999', ...strange }),
  session: () => [...wrong({ word: '!', ...strange }), ...odd({ unknown: '1234567890-abcdef' })],
  action: () => [
    ...wrong({
      word: 'x',
      open: 'count(',
      number: '1',
      unknown: 'modulo(properties["n"])',
      none: 'extremes()',
      ...strange,
    }),
    ...wrong({ range: 'percentile(properties["n"], 101)', minus: 'percentile(properties["n"], -1)' }),
    ...wrong({
      expression: 'extremes(properties["n"] +)',
      nested: `extremes(${'('.repeat(9_000)}1${')'.repeat(9_000)})`,
    }),
    ...right({ count: 'count()', summary: 'numeric_summary(properties["n"])', bare: 'extremes(foo + 1)' }),
  ],
  behaviors: () => [
    ...wrong({
      word: 'x',
      object: '{}',
      numbers: '[1]',
      empty: '[{}]',
      deep: deep(10_000),
      long,
      broken,
      nul: '\u0000',
    }),
    ...wrong({
      window: '[{"name":"b","window":"1y","event_selectors":[{"event":"x"}]}]',
      overflow: '[{"name":"b","window":"99999999999999999999d","event_selectors":[{"event":"x"}]}]',
      selectors: '[{"name":"b","window":"1d","event_selectors":[]}]',
      selector: '[{"name":"b","window":"1d","event_selectors":[{"event":"x","selector":"("}]}]',
      name: '[{"name":1,"window":"1d","event_selectors":[{"event":"x"}]}]',
      many: JSON.stringify(Array(1000).fill({ name: 'b', window: '1d', event_selectors: [{ event: 'x' }] })),
    }),
    ...right({ unknown: '[{"name":"b","window":"36600d","event_selectors":[{"event":"never seen"}]}]' }),
  ],
};

// Of other types, for a JSON body.
export const others = [0, -1, 1.5, 1e300, true, false, {}, { a: { b: [] } }, [], [[]], [1], [null], null, 'x'];
