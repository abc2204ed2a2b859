// Every operator and function of the expression language, asked over HTTP: each condition is tried as `where` and as
// `on` of an event that has all kinds of properties, and must hold. The list of functions is the server's own, so a
// function that is added without a condition here fails.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { day, freshName, query, World } from './harness.mjs';

const name = freshName('expression');
const properties = {
  text: 'Hello, Wörld',
  email: 'dwight@dm.com',
  url: 'https://www.shop.example.co.uk/cart?x=1',
  price: 12.5,
  whole: -7,
  digits: '42',
  yes: true,
  nothing: null,
  tags: ['new', 'sale', 3],
  cart: [
    { brand: 'acme', price: 5 },
    { brand: 'other', price: 7.5 },
  ],
  item: { sku: 'A-1', sizes: [36, 38] },
  day: '2024-01-31',
  later: '2024-03-01T10:00:00',
};
// By the function or operator that it is about.
const conditions = {
  if: ['if(properties["price"] > 10, "dear", "cheap") == "dear"', 'IF(properties["missing"] > 1, 1, 2) == 2'],
  ifs: ['ifs(properties["price"] < 5, "s", properties["price"] < 20, "m") == "m"', 'not defined(ifs(false, 1))'],
  not: ['not properties["missing"]', '!(properties["yes"] == false)'],
  and: ['properties["yes"] and not properties["missing"]', 'true && TRUE'],
  or: ['properties["nothing"] or properties["yes"]', 'false || true'],
  in: ['"sale" in properties["tags"]', '"wight" in properties["email"]', 'properties["whole"] not in [1, 2]'],
  defined: ['defined(properties["text"])', 'not defined(properties["nothing"])', 'not defined (properties["missing"])'],
  string: ['string(properties["price"]) == "12.5"', 'string(properties["missing"], "none") == "none"'],
  number: ['number(properties["digits"]) + 1 == 43', 'number(properties["text"], -1) == -1'],
  boolean: ['boolean(properties["digits"])', 'boolean(properties["nothing"]) == false'],
  arithmetic: ['properties["price"] * 2 - 5 == 20', 'properties["whole"] % 4 == -3', 'not defined(1 / 0)'],
  min: ['min(properties["price"], properties["whole"]) == -7'],
  max: ['max(properties["price"], properties["whole"], 100) == 100'],
  floor: ['floor(properties["price"]) == 12'],
  ceil: ['ceil(properties["price"]) == 13'],
  round: ['round(properties["price"]) == 13', 'round(-properties["price"]) == -13'],
  len: ['len(properties["text"]) == 12', 'len(properties["tags"]) == 3', 'len(properties["item"]) == 2'],
  left: ['left(properties["text"], 5) == "Hello"'],
  right: ['right(properties["text"], 5) == "Wörld"'],
  mid: ['mid(properties["text"], 8, 2) == "Wö"'],
  split: ['split(properties["email"], "@", 2) == "dm.com"', 'split(properties["email"], "@")[0] == "dwight"'],
  upper: ['upper(properties["text"]) == "HELLO, WÖRLD"'],
  lower: ['lower(properties["text"]) == "hello, wörld"'],
  has_prefix: ['has_prefix(properties["text"], "hELLO")'],
  has_suffix: ['has_suffix(properties["email"], ".COM")'],
  regex_extract: ['regex_extract(properties["email"], "(\\w+)@(\\w+)", 2) == "dm"'],
  regex_match: ['regex_match(properties["text"], "^hello")', 'not regex_match(properties["text"], "(?-i)^hello")'],
  regex_replace: ['regex_replace(properties["email"], "(.*)@(.*)", "$2 $1") == "dm.com dwight"'],
  parse_url: [
    'parse_url(properties["url"], "domain") == "example.co.uk"',
    'parse_url(properties["url"], "full_domain") == "www.shop.example.co.uk"',
  ],
  datetime: ['datetime(properties["day"]) == 1706659200', 'event["$time"] > datetime("2024-01-01T00:00:00")'],
  datedif: [
    'datedif(properties["day"], properties["later"], "D") == 30',
    'datedif(properties["day"], properties["later"], "M") == 1',
  ],
  TODAY: ['TODAY() <= event["$time"] + 86400 and TODAY() > datetime("2024-01-01")'],
  sum: ['sum(properties["tags"]) == 3', 'sum(map(X, properties["cart"], X["price"])) == 12.5'],
  map: ['map(X, properties["item"]["sizes"], X + 2) == [38, 40]'],
  filter: ['len(filter(X, properties["cart"], X["price"] > 6)) == 1'],
  any: ['any(X, properties["cart"], X["brand"] = "acme")'],
  all: ['all(X, properties["cart"], X["price"] >= 5)'],
  let: ['let(x, properties["price"], y, x * 2, y - x) == 12.5', 'let(x, 1, let(x, x + 1, x)) == 2'],
  index: ['properties["item"]["sku"] == "A-1"', 'properties["tags"][1] == "sale"', 'not defined(properties["tags"][9])'],
  'unknown names': ['not defined(plan)', 'plan != "pro"', '(plan == "pro") == false'],
};

let world;
before(async () => {
  world = await World.start();
  await world.send(world.event(name, { ...properties, distinct_id: 'u' }));
});
after(() => world?.end());

async function values(params) {
  const whole = query({
    project_id: world.project.project_id,
    event: name,
    from_date: day(-1),
    to_date: day(1),
    ...params,
  });
  const answer = await world.server.request(`/api/2.0/segmentation?${whole}`, {
    headers: { Authorization: world.authorization },
  });
  assert.equal(answer.status, 200, `${JSON.stringify(params)}: ${answer.text}`);
  const { data } = answer.json();
  return Object.fromEntries(
    Object.entries(data.values).map(([label, buckets]) => [label, Object.values(buckets).reduce((a, b) => a + b, 0)]),
  );
}

test('every function there is has a condition here', () => {
  const operators = readFileSync(new URL('../../src/expr/operators.h', import.meta.url), 'utf8');
  const functions = [...operators.matchAll(/ROW\(\w+, "(\w+)", FUNCTION/g)].map(([, spelling]) => spelling);
  assert.ok(functions.length > 30);
  assert.deepEqual(
    functions.filter((spelling) => !conditions[spelling]),
    [],
  );
});

for (const [about, list] of Object.entries(conditions))
  test(`expressions: ${about}`, async () => {
    for (const condition of list) {
      assert.deepEqual(await values({ where: condition }), { [name]: 1 }, condition);
      assert.deepEqual(await values({ where: `not (${condition})` }), { [name]: 0 }, condition);
      assert.deepEqual(await values({ on: condition }), { true: 1 }, condition);
    }
  });
