// Whether two answers are the same. Rows come in any order. Whole numbers must be equal; others may differ in the last
// digits, because databases add doubles up in an order of their own.

// [text, …, number], cells without a number left out, in one order.
export function normal(query, rows) {
  const list = query.feed
    ? rows.map((row) => [String(row[0]), String(row[1]), String(row[2]), String(row[3]), 1])
    : rows
        .map((row) => [...row.slice(0, -1).map(String), row.at(-1) === null ? 0 : Number(row.at(-1))])
        .filter((row) => row.at(-1) !== 0);
  const keys = new Map(list.map((row) => [row, JSON.stringify(row)]));
  return list.sort((a, b) => (keys.get(a) < keys.get(b) ? -1 : keys.get(a) > keys.get(b) ? 1 : 0));
}

function sameNumber(a, b) {
  if (a === b) return true;
  if (Number.isInteger(a) && Number.isInteger(b) && Math.max(a, b) < 1e6) return false;
  return Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b));
}

// What is different, or null. Both normal. Sorted by texts first, so that numbers that differ a little do not change
// the order.
export function sameAnswer(a, b) {
  if (a.length !== b.length) return `${b.length} rows instead of ${a.length}`;
  const byText = (rows) => {
    const text = (row) => JSON.stringify(row.slice(0, -1));
    return rows.map((row) => [text(row), row]).sort((x, y) => (x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : x[1].at(-1) - y[1].at(-1)));
  };
  const left = byText(a);
  const right = byText(b);
  for (let i = 0; i < left.length; i++) {
    if (left[i][0] !== right[i][0] || !sameNumber(left[i][1].at(-1), right[i][1].at(-1)))
      return `${JSON.stringify(right[i][1])} instead of ${JSON.stringify(left[i][1])}`;
  }
  return null;
}
