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
// (200) or 'either'.
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
  number: ({ low, high }) => [
    ...wrong({
      word: 'x',
      fraction: '1.5',
      exponent: '1e3',
      below: String(low - 1),
      above: String(high + 1),
      minus: '-1',
    }),
    ...wrong({
      huge: '1000000000',
      overflow: '99999999999999999999',
      hex: '0x10',
      infinite: 'Infinity',
      nan: 'NaN',
      ...strange,
    }),
    ...right({ low: String(low) }),
    ...odd({ high: String(high) }),
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
  list: () => [
    ...wrong({
      word: 'x',
      open: '["a"',
      object: '{}',
      string: '"a"',
      number: '1',
      null: 'null',
      empty: '[]',
      objects: '[{}]',
    }),
    ...wrong({ nested: '[["a"]]', nulls: '[null]', deep: deep(10_000), long, broken, nul: '\u0000' }),
    ...wrong({ many: JSON.stringify(Array.from({ length: 50_000 }, (_, i) => `e${i}`)) }),
    ...right({ unknown: '["never seen"]', numbers: '[1,2]', twice: '["x","x"]' }),
    ...odd({ texts: JSON.stringify([long]), escapes: '["\\u0000\\ud800"]', empty_text: '[""]' }),
  ],
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
};

// Of other types, for a JSON body.
export const others = [0, -1, 1.5, 1e300, true, false, {}, { a: { b: [] } }, [], [[]], [1], [null], null, 'x'];
