// The results as Markdown.

const titles = { cairn: 'Cairn', clickhouse: 'ClickHouse', duckdb: 'DuckDB' };

const count = (value) => Math.round(value).toString().replaceAll(/\B(?=(\d{3})+$)/g, ' ');
const ms = (value) => (value === undefined ? '–' : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
const seconds = (value) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
const factor = (value) => (Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ×` : '–');

function table(rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(rows[0]), line(rows[0].map((_, i) => (i ? '---:' : '---'))), ...rows.slice(1).map(line)].join('\n');
}

const sum = (list, name) => list.reduce((total, item) => total + (item[name] ?? 0), 0);

function loading({ state, engines, events }) {
  const rows = [['loading', ...engines.map((engine) => titles[engine])]];
  const loads = engines.map((engine) => {
    const { pieces, settle, sizes } = state.loads[engine];
    // Cairn writes its files with each piece.
    const settled = { wall_s: settle.wall_s + sum(pieces, 'settle_wall_s'), cpu_s: settle.cpu_s + sum(pieces, 'settle_cpu_s') };
    const wall = sum(pieces, 'wall_s') + settle.wall_s;
    const cpu = sum(pieces, 'cpu_s') + settle.cpu_s;
    return { wall, cpu, settled, sizes, taken: wall - settled.wall_s, pieces };
  });
  const row = (title, value) => rows.push([title, ...loads.map(value)]);
  row('events taken in, s', (load) => seconds(load.taken));
  row('merged, s', (load) => seconds(load.settled.wall_s));
  row('events/s taken in', (load) => count(events / load.taken));
  row('events/s, merging included', (load) => count(events / load.wall));
  row('CPU, µs an event, merging included', (load) => ((load.cpu / events) * 1e6).toFixed(2));
  row('bytes on disk, an event', (load) => (load.sizes.total / events).toFixed(1));
  if (state.opening)
    rows.push([
      'opening until the first answer, ms (cold; warm)',
      ...engines.map((engine) =>
        engine === 'cairn' ? `${ms(state.opening.cold?.first_answer_ms)}; ${ms(state.opening.warm.first_answer_ms)}` : '–',
      ),
    ]);
  return table(rows);
}

function questions({ state, list, engines, threadCounts }, kind, unit) {
  const peers = engines.filter((engine) => engine !== 'cairn');
  const head = [`question, ${unit}`];
  for (const threads of threadCounts) {
    const named = `${threads} thread${threads > 1 ? 's' : ''}`;
    head.push(...engines.map((engine) => `${titles[engine]}, ${named}`), `factor, ${named}`);
  }
  const rows = [head];
  for (const query of list) {
    const row = [query.name];
    for (const threads of threadCounts) {
      const result = state.results[query.name]?.[threads] ?? {};
      const value = (engine) => result[engine]?.[kind]?.median;
      row.push(...engines.map((engine) => ms(value(engine))));
      row.push(factor(Math.min(...peers.map(value).filter((x) => x !== undefined)) / value('cairn')));
    }
    rows.push(row);
  }
  return table(rows);
}

// The factors of the table in one number each.
function summary({ state, list, engines, threadCounts }) {
  const peers = engines.filter((engine) => engine !== 'cairn');
  return threadCounts
    .map((threads) => {
      const factors = list
        .map((query) => {
          const value = (engine) => state.results[query.name]?.[threads]?.[engine]?.wall_ms?.median;
          return [Math.min(...peers.map(value).filter((x) => x !== undefined)) / value('cairn'), query.name];
        })
        .filter(([x]) => Number.isFinite(x))
        .sort(([a], [b]) => a - b);
      if (factors.length === 0) return '';
      const mean = Math.exp(factors.reduce((total, [x]) => total + Math.log(x), 0) / factors.length);
      return (
        `${threads} thread${threads > 1 ? 's' : ''}: geometric mean of the ${factors.length} factors ${mean.toFixed(1)}; ` +
        `least ${factors[0][0].toFixed(1)} (${factors[0][1]}).`
      );
    })
    .filter(Boolean)
    .join(' ');
}

function spread({ state, list, engines, threadCounts }) {
  const threads = Math.max(...threadCounts);
  const rows = [[`wall ms with ${threads} threads: least to most`, ...engines.map((engine) => titles[engine]), ...engines.map((engine) => `${titles[engine]}, cold`)]];
  for (const query of list) {
    const result = state.results[query.name]?.[threads] ?? {};
    rows.push([
      query.name,
      ...engines.map((engine) => {
        const wall = result[engine]?.wall_ms;
        return wall ? `${ms(wall.min)} to ${ms(wall.max)}` : '–';
      }),
      ...engines.map((engine) => ms(state.cold[query.name]?.[engine]?.wall_ms)),
    ]);
  }
  return table(rows);
}

export function report(run) {
  const { state, engines, events } = run;
  const { machine } = state;
  const versions = engines.map((engine) => `${titles[engine]} ${state.loads[engine].version}`).join(', ');
  const users = state.users ? ` of ${count(state.users.all)} users, of whom ${Math.round((state.users.merged / state.users.all) * 100)} % were merged` : '';
  const parts = [
    `${count(events)} events${users}, ${machine.date}, commit ${machine.commit}. ${versions}. ${machine.cores} cores of ${machine.cpu}, ` +
      `${Math.round(machine.memory_bytes / 2 ** 30)} GiB, ${machine.kernel}.`,
    loading(run),
    'Wall time, median of warm runs. The factor is that of the faster of the two databases to Cairn.',
    questions(run, 'wall_ms', 'wall ms'),
    summary(run),
    'CPU time of the same runs, all threads together.',
    questions(run, 'cpu_ms', 'CPU ms'),
    'Fastest and slowest warm run, and one run with empty caches.',
    spread(run),
  ];
  if (state.differences?.length) parts.push('Answers that differ:', state.differences.map((text) => `* ${text}`).join('\n'));
  return `${parts.join('\n\n')}\n`;
}
