// Lookup tables: made, filled, joined with properties, replaced and deleted, over HTTP and by command, with queries in
// between that see each change at once and about old events; and everything that is refused, which changes nothing.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { basic, cairn, createAccount, createProject, freshName, query, temporaryDirectory, World } from './harness.mjs';

let world, project;
before(async () => {
  world = await World.start();
  project = world.project.project_id;
});
after(() => world?.end());

async function call(method, target, { body, headers = {}, params = {}, authorization = world.authorization } = {}) {
  return world.server.request(`${target}?${query({ project_id: project, ...params })}`, {
    method,
    headers: { ...(authorization ? { Authorization: authorization } : {}), ...headers },
    body,
  });
}
const csv = { 'Content-Type': 'text/csv' };
const done = async (...args) => {
  const answer = await call(...args);
  assert.equal(answer.status, 200, answer.text);
  const { code, status, results } = answer.json();
  assert.equal(code, 200);
  assert.equal(status, 'OK');
  return results;
};
const refused = async (wanted, ...args) => {
  const answer = await call(...args);
  assert.equal(answer.status, wanted, answer.text);
  const body = answer.json();
  assert.equal(body.code, wanted);
  return body;
};
const create = (name, properties = [], body) =>
  body === undefined
    ? done('POST', '/lookup-tables', {
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ name, properties }),
      })
    : done('POST', '/lookup-tables', { headers: csv, body, params: { name, property: properties[0] } });
const put = (id, body, headers = {}) => call('PUT', `/lookup-tables/${id}`, { body, headers: { ...csv, ...headers } });
const lookupFiles = () => readdirSync(path.join(world.data, 'lookup'));

const products = 'sku,name,category,price,active,launched,tags\n' +
  '5,Bolt,tools,1.5,true,2024-01-31,"[""m5"",""steel""]"\n' +
  'A-1,"Nut, large",tools,0.25,false,,\n' +
  'A-2,"Say ""hi""",toys,,TRUE,2023-06-01,[]\n';

test('from nothing to a join, replaced and deleted', async () => {
  const event = freshName();
  const property = `sku of ${event}`;
  const sent = [5, '5', 'A-1', 'A-1', 'A-2', 'gone', null, ['A-1', 'A-2'], { name: 'its own' }];
  await world.send(...sent.map((sku) => world.event(event, { distinct_id: 'u', [property]: sku })));
  const on = (column) => `properties["${property}"]["${column}"]`;
  const split = (column) => world.totals({ event, on: on(column) });
  assert.equal((await split('name'))['its own'], 1);
  assert.equal((await split('name')).Bolt, undefined);

  const table = await create(event, [property]);
  assert.match(table.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual([table.name, table.rowCount, table.columnCount, table.properties], [event, 0, 0, [property]]);
  assert.equal((await split('name')).Bolt, undefined);

  assert.equal((await put(table.id, products)).status, 200);
  // A list counts once under each of its items.
  assert.deepEqual(await split('name'), { Bolt: 2, 'Nut, large': 3, 'Say "hi"': 2, undefined: 2, 'its own': 1 });
  assert.deepEqual(await split('price'), { 1.5: 2, 0.25: 3, undefined: 5 });
  assert.deepEqual(await split('sku'), { 5: 2, 'A-1': 3, 'A-2': 2, undefined: 3 });
  assert.equal(await world.count(event, { where: `${on('category')} == "tools"` }), 4);
  assert.equal(await world.count(event, { where: `${on('price')} > 1` }), 2);
  assert.equal(await world.count(event, { where: `${on('active')}` }), 3);
  assert.equal(await world.count(event, { where: `"steel" in ${on('tags')}` }), 2);
  assert.equal(await world.count(event, { where: `datetime(${on('launched')}) >= datetime("2024-01-01")` }), 2);
  assert.equal(await world.count(event, { where: `"toys" in ${on('category')}` }), 2);
  assert.equal(await world.count(event, { where: `group["${property}"]["name"] == "Bolt"` }), 2);
  assert.equal(await world.count(event, { where: `not defined(${on('nothing')})` }), 8); // a list of nothing is a list

  const listed = (await done('GET', '/lookup-tables')).find(({ id }) => id === table.id);
  assert.deepEqual([listed.rowCount, listed.columnCount], [3, 7]);
  assert.match(listed.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.ok(listed.lastModified >= listed.createdAt);

  // Replaced, over gzip, with other columns: all of it is gone, for old events too.
  const packed = await put(table.id, gzipSync('sku,title\r\n5,Schraube\r\n'), { 'Content-Encoding': 'gzip' });
  assert.equal(packed.status, 200, packed.text);
  assert.deepEqual(await split('name'), { 'its own': 1, undefined: 8 });
  assert.equal((await split('title')).Schraube, 2);

  await world.restart();
  assert.equal((await split('title')).Schraube, 2);
  await done('DELETE', `/lookup-tables/${table.id}/properties/${encodeURIComponent(property)}`);
  assert.equal((await split('title')).Schraube, undefined);
  await done('PUT', `/lookup-tables/${table.id}/properties/${encodeURIComponent(property)}`);
  assert.equal((await split('title')).Schraube, 2);
  await done('DELETE', `/lookup-tables/${table.id}`);
  assert.equal((await split('title')).Schraube, undefined);
  await refused(404, 'DELETE', `/lookup-tables/${table.id}`);
  assert.ok(!(await done('GET', '/lookup-tables')).some(({ id }) => id === table.id));
});

test('one table for many properties, one property with one table', async () => {
  const event = freshName();
  const a = await create(`${event} a`, [`p ${event}`], 'k,v\n1,from a\n');
  const b = await create(`${event} b`, [`q ${event}`], 'k,v\n1,from b\n');
  await world.send(world.event(event, { distinct_id: 'u', [`p ${event}`]: 1, [`q ${event}`]: 1 }));
  const value = async (p) => Object.keys(await world.totals({ event, on: `properties["${p} ${event}"]["v"]` }))[0];
  assert.deepEqual([await value('p'), await value('q')], ['from a', 'from b']);
  await done('PUT', `/lookup-tables/${a.id}/properties/${encodeURIComponent(`q ${event}`)}`);
  assert.deepEqual([await value('p'), await value('q')], ['from a', 'from a']);
  await done('DELETE', `/lookup-tables/${a.id}`);
  assert.deepEqual([await value('p'), await value('q')], ['undefined', 'undefined']);
  await refused(404, 'DELETE', `/lookup-tables/${b.id}/properties/${encodeURIComponent(`q ${event}`)}`);
  await refused(404, 'PUT', `/lookup-tables/${a.id}/properties/x`);
  const body = await refused(400, 'PUT', `/lookup-tables/${b.id}/properties/$distinct_id`);
  assert.match(body.error, /distinct_id/);
});

test('CSV that is refused, in the words of Mixpanel, and nothing is changed', async () => {
  const name = freshName();
  const table = await create(name, [name], 'k,v\n1,one\n');
  await world.send(world.event(name, { distinct_id: 'u', [name]: 1 }));
  const cases = [
    ['k,v\n,x\n', [1, 'primary key is required and cannot be blank']],
    ['k,v\n1,a,b\n2\n', [1, 'invalid row: wrong number of fields'], [2, 'invalid row: wrong number of fields']],
    ['k,v\n1,a\n1,b\n', [2, 'invalid row: row indexes 1 and 2 have the same primary key']],
    ['k,v\n1,"a\n', [1, 'invalid row: a quote that begins here is not closed (line 2)']],
    ['k\n1\n', [0, 'invalid header: a key and at least one more column are needed']],
    ['k,v,v\n1,a,b\n', [0, 'invalid header: columns 2 and 3 have the same name']],
    ['k,\n1,a\n', [0, 'invalid header: column 2 has no name']],
    ['', [0, 'invalid header: the file is empty']],
    [Buffer.from('6b2c760a312cff0a', 'hex'), [1, 'invalid row: not valid UTF-8']],
  ];
  for (const [body, ...failures] of cases) {
    const answer = await put(table.id, body);
    assert.equal(answer.status, 400, answer.text);
    assert.deepEqual(answer.json(), {
      code: 400,
      error: 'Some data points in the request failed validation.',
      status: 'Bad Request',
      failed_records: failures.map(([index, message]) => ({ index, message })),
    });
  }
  const many = await put(table.id, `k,v\n${',x\n'.repeat(50)}`);
  assert.equal(many.json().failed_records.length, 10);
  const broken = await put(table.id, gzipSync('k,v\n1,a\n').subarray(0, 20), { 'Content-Encoding': 'gzip' });
  assert.equal(broken.status, 400, broken.text);
  const missing = await put('00000000-0000-4000-8000-000000000000', 'k,v\n1,a\n');
  assert.equal(missing.status, 404);
  assert.deepEqual(missing.json(), {
    code: 404,
    error: "Lookup table with id '00000000-0000-4000-8000-000000000000' was not found.",
    status: 'Not Found',
  });
  assert.equal((await put('no-uuid', 'k,v\n1,a\n')).status, 404);
  await refused(409, 'POST', '/lookup-tables', { headers: csv, body: 'k,v\n1,a\n', params: { name } });
  await refused(400, 'POST', '/lookup-tables', { headers: csv, body: 'k,v\n1,a\n' });
  await refused(400, 'POST', '/lookup-tables', { headers: { 'Content-Type': 'application/json' }, body: '{"name":5}' });
  await refused(400, 'POST', '/lookup-tables', { headers: { 'Content-Type': 'application/json' }, body: '{"name":' });
  // A table whose property may not be joined is not made either.
  await refused(400, 'POST', '/lookup-tables', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: `${name} 2`, properties: ['fine', '$distinct_id'] }),
  });
  assert.ok(!(await done('GET', '/lookup-tables')).some((found) => found.name === `${name} 2`));
  assert.deepEqual(await world.totals({ event: name, on: `properties["${name}"]["v"]` }), { one: 1 });
  assert.ok(lookupFiles().every((file) => file.endsWith('.lut')), 'nothing is left behind');
  await done('DELETE', `/lookup-tables/${table.id}`);
});

// Says how large the body is, waits for the answer, and sends it only if there is none.
function announce(target, size, chunked) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(world.url + target, {
      method: 'PUT',
      headers: {
        Authorization: world.authorization,
        'Content-Type': 'text/csv',
        ...(chunked ? { 'Transfer-Encoding': 'chunked' } : { 'Content-Length': size }),
      },
    });
    let answered = false;
    outgoing.on('response', (incoming) => {
      answered = true;
      incoming.resume();
      incoming.on('end', () => {
        outgoing.destroy();
        resolve(incoming.statusCode);
      });
    });
    outgoing.on('error', (error) => answered || reject(error));
    if (!chunked) {
      outgoing.flushHeaders();
      return;
    }
    const piece = Buffer.alloc(1 << 20, 'x,y\n');
    let left = size;
    const more = () => {
      while (left > 0 && !answered) {
        left -= piece.length;
        if (!outgoing.write(piece)) return outgoing.once('drain', more);
      }
      if (!answered) outgoing.end();
    };
    more();
  });
}

test('101 MB are refused, 100 MB are not; nor are they held in memory', async () => {
  const table = await create(freshName());
  const target = `/lookup-tables/${table.id}?project_id=${project}`;
  assert.equal(await announce(target, 101_000_000, false), 413);
  assert.equal(await announce(target, 101_000_000, true), 413);
  // A bomb: small on the wire.
  const bomb = await put(table.id, gzipSync(Buffer.concat([Buffer.from('k,v'), Buffer.alloc(101_000_000, '\n')])), {
    'Content-Encoding': 'gzip',
  });
  assert.equal(bomb.status, 413, bomb.text);
  const header = 'key,text\n';
  const rows = [];
  let size = header.length;
  for (let n = 0; size < 99_900_000; n++) {
    const row = `${n},${'abcdefghij'.repeat(12)}\n`;
    rows.push(row);
    size += row.length;
  }
  // The most that the server ever used, in bytes.
  const peak = () =>
    1024 * Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${world.server.child.pid}/status`, 'utf8'))[1]);
  const before = peak();
  const answer = await put(table.id, header + rows.join(''));
  assert.equal(answer.status, 200, answer.text);
  assert.ok(peak() - before < 64 << 20, `${peak() - before} bytes more`);
  const listed = (await done('GET', '/lookup-tables')).find(({ id }) => id === table.id);
  assert.equal(listed.rowCount, rows.length);
  await done('DELETE', `/lookup-tables/${table.id}`);
});

test('limits of rows, columns and tables', async () => {
  const limited = await World.start({
    server: {
      args: ['rows_max=10', 'columns_max=3', 'tables_max=2', 'project_rows_max=15', 'file_bytes_max=2k'].flatMap(
        (setting) => ['--set', `lookup.${setting}`],
      ),
    },
  });
  try {
    const headers = { Authorization: limited.authorization, ...csv };
    const make = (name, body) =>
      limited.server.request(`/lookup-tables?project_id=${limited.project.project_id}&name=${name}`, {
        method: 'POST',
        headers,
        body,
      });
    const csvOf = (rows) => `k,v\n${Array.from({ length: rows }, (_, n) => `${n},x\n`).join('')}`;
    const tooMany = await make('a', csvOf(11));
    assert.equal(tooMany.status, 413);
    assert.match(tooMany.json().error, /more than 10 rows/);
    assert.match((await make('a', 'a,b,c,d\n')).json().error, /4 columns, 3 are allowed/);
    assert.equal((await make('a', `k,v\n1,${'x'.repeat(2048)}\n`)).status, 413);
    assert.equal((await make('a', csvOf(10))).status, 200);
    assert.match((await make('b', csvOf(6))).json().error, /15 rows together/);
    assert.equal((await make('b', csvOf(5))).status, 200);
    assert.match((await make('c', 'k,v\n')).json().error, /2 lookup tables already/);
  } finally {
    await limited.end();
  }
});

test('who may: admins and the project secret, of their own project', async () => {
  const table = await create(freshName(), [], 'k,v\n1,one\n');
  const target = `/lookup-tables/${table.id}`;
  const body = 'k,v\n1,two\n';
  const as = (authorization, params) => ({ authorization, params, body, headers: csv });
  const other = createProject(world.data, { name: 'Other' });
  const stranger = createAccount(world.data, other.project_id, { role: 'owner' });
  const analyst = createAccount(world.data, project, { role: 'analyst' });
  const login = ({ username, secret }) => basic(`${username}:${secret}`);
  assert.match((await refused(401, 'PUT', target, as(null))).error, /credentials are missing/);
  assert.match((await refused(401, 'PUT', target, as(login(stranger)))).error, /not a project member/);
  await refused(404, 'PUT', target, as(login(stranger), { project_id: other.project_id }));
  await refused(403, 'PUT', target, as(login(analyst)));
  assert.match(
    (await refused(401, 'PUT', target, as(basic('nobody:secret')))).error,
    /Not a valid service account username/,
  );
  assert.match(
    (await refused(401, 'PUT', target, as(basic(`${world.account.username}:wrong secret`)))).error,
    /Invalid service account credentials/,
  );
  assert.match((await refused(401, 'PUT', target, as(basic(`${world.token}:`)))).error, /token is public/);
  const asToken = { authorization: basic(`${world.token}:`) };
  assert.match((await refused(401, 'GET', '/lookup-tables', asToken)).error, /token is public/);
  assert.match(
    (await refused(401, 'PUT', target, as(basic(`${world.project.secret}:`), { project_id: other.project_id }))).error,
    /did not match project_id/,
  );
  await refused(400, 'PUT', target, as(world.authorization, { project_id: undefined }));
  await done('PUT', target, as(basic(`${world.project.secret}:`), { project_id: undefined }));
  await done('PUT', target, as(basic(world.project.secret)));
  assert.deepEqual(await done('GET', '/lookup-tables', as(login(stranger), { project_id: other.project_id })), []);
  await done('DELETE', target);
});

test('the command, beside the server and without it', async () => {
  const event = freshName();
  const data = world.data;
  const run = (action, ...args) => cairn(['lookup', action, '--data', data, '--project', project, ...args]);
  const file = path.join(temporaryDirectory('csv'), 'products.csv');
  writeFileSync(file, products);
  await world.send(world.event(event, { distinct_id: 'u', [`s ${event}`]: 'A-1' }));
  const made = run('create', '--name', event, '--property', `s ${event}`, '--json', file);
  assert.equal(made.code, 0, made.stderr);
  const table = JSON.parse(made.stdout);
  assert.deepEqual([table.rows, table.columns, table.properties], [3, 7, [`s ${event}`]]);
  const on = `properties["s ${event}"]["name"]`;
  assert.deepEqual(await world.totals({ event, on }), { 'Nut, large': 1 });
  // By name, from standard input, packed.
  writeFileSync(`${file}.gz`, gzipSync('sku,name\nA-1,Mutter\n'));
  assert.equal(run('replace', event, `${file}.gz`).code, 0);
  assert.deepEqual(await world.totals({ event, on }), { Mutter: 1 });
  const piped = cairn(['lookup', 'replace', '--data', data, '--project', project, table.id, '-'], {
    input: 'sku,name\nA-1,Ecrou\n',
  });
  assert.equal(piped.code, 0, piped.stderr);
  assert.deepEqual(await world.totals({ event, on }), { Ecrou: 1 });

  const bad = cairn(['lookup', 'replace', '--data', data, '--project', project, table.id, '-'], {
    input: 'sku,name\nA-1,a\nA-1,b\n',
  });
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /row 2: invalid row: row indexes 1 and 2 have the same primary key/);
  assert.match(bad.stderr, /nothing was changed/);
  assert.equal(run('map', event, '$distinct_id').code, 2);
  assert.notEqual(run('map', 'no such table', 'x').code, 0);
  assert.equal(run('map', event, `other ${event}`).code, 0);
  assert.equal(run('unmap', event, `s ${event}`).code, 0);
  assert.deepEqual(await world.totals({ event, on }), { undefined: 1 });
  assert.equal(run('map', event, `s ${event}`).code, 0);
  const listed = JSON.parse(run('list', '--json').stdout).lookup_tables.find(({ id }) => id === table.id);
  assert.deepEqual(listed.properties, [`other ${event}`, `s ${event}`]);
  assert.match(run('list').stdout, new RegExp(`${table.id} +1 +2 `));
  assert.notEqual(cairn(['lookup', 'list', '--data', data, '--project', 999]).code, 0);
  assert.equal(run('delete', event).code, 2, '--yes is missing');

  await world.server.stop();
  assert.equal(run('replace', event, file).code, 0);
  await world.restart({ kill: true });
  assert.deepEqual(await world.totals({ event, on }), { 'Nut, large': 1 });
  assert.equal(run('delete', event, '--yes').code, 0);
  assert.deepEqual(await world.totals({ event, on }), { undefined: 1 });
});

test('verify knows the files; a damaged one fails the queries that need it, and no other', async () => {
  const event = freshName();
  const before = lookupFiles();
  const table = await create(event, [event], 'k,v\n1,one\n');
  await world.send(world.event(event, { distinct_id: 'u', [event]: 1 }));
  const on = `properties["${event}"]["v"]`;
  const verify = () => JSON.parse(cairn(['verify', '--data', world.data, '--json']).stdout);
  assert.equal(verify().ok, true);
  const [name] = lookupFiles().filter((found) => !before.includes(found));
  const file = path.join(world.data, 'lookup', name);
  const bytes = readFileSync(file);
  bytes[bytes.length - 2] ^= 1;
  writeFileSync(file, bytes);
  const verdict = verify();
  assert.equal(verdict.ok, false);
  assert.match(verdict.findings[0].file, /^lookup\//);
  assert.match(verdict.findings[0].what, /checksum/);
  const answer = await world.segmentation({ event, on });
  assert.equal(answer.status, 500, answer.text);
  assert.equal(await world.count(event), 1);
  assert.deepEqual(await world.totals({ event, on: `properties["${event}"]` }), { 1: 1 });
  await put(table.id, 'k,v\n1,two\n');
  assert.deepEqual(await world.totals({ event, on }), { two: 1 });
  // What a crash left behind goes with the next start; nothing else does.
  writeFileSync(path.join(world.data, 'lookup', `${'0'.repeat(32)}.lut`), 'x');
  writeFileSync(path.join(world.data, 'lookup', `${'1'.repeat(32)}.lut.new`), 'x');
  assert.equal(verify().notes.length, 2);
  await world.restart({ kill: true });
  assert.equal(lookupFiles().length, before.length + 1);
  assert.deepEqual(await world.totals({ event, on }), { two: 1 });
  await done('DELETE', `/lookup-tables/${table.id}`);
});

test('replaced again and again while queries run: each sees one version', async () => {
  const event = freshName();
  const versions = 12;
  const before = lookupFiles().length;
  const table = await create(event, [event], 'k,a,b\n1,0,0\n');
  await world.send(world.event(event, { distinct_id: 'u', [event]: 1 }));
  let replacing = true;
  const asking = (async () => {
    let asked = 0;
    const on = `string(properties["${event}"]["a"]) + "/" + string(properties["${event}"]["b"])`;
    while (replacing || asked < 5) {
      const [label] = Object.keys(await world.totals({ event, on }));
      const [a, b] = label.split('/');
      assert.equal(a, b);
      asked++;
    }
  })();
  for (let n = 1; n <= versions; n++) assert.equal((await put(table.id, `k,a,b\n1,${n},${n}\n`)).status, 200);
  replacing = false;
  await asking;
  assert.equal(lookupFiles().length, before + 1);
  await done('DELETE', `/lookup-tables/${table.id}`);
});

test('a deleted project takes its tables along', async () => {
  const owner = createProject(world.data, { name: 'Short-lived' });
  const account = createAccount(world.data, owner.project_id, { role: 'owner' });
  const before = lookupFiles().length;
  await done('POST', '/lookup-tables', {
    authorization: basic(`${account.username}:${account.secret}`),
    params: { project_id: owner.project_id, name: 'T' },
    headers: csv,
    body: 'k,v\n1,one\n',
  });
  assert.equal(lookupFiles().length, before + 1);
  assert.equal(cairn(['project', 'delete', '--data', world.data, owner.project_id, '--yes']).code, 0);
  await world.restart({ kill: true });
  for (let waited = 0; lookupFiles().length > before && waited < 10_000; waited += 100)
    await new Promise((go) => setTimeout(go, 100));
  assert.equal(lookupFiles().length, before);
});
