// What documents, sources and servers can do to `cairn workflow`: each row ends in time, in little memory, with a
// reason in words and the right exit code. 2: nothing was sent; 1: a step failed.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { binary, temporaryDirectory } from './harness.mjs';

const patience_ms = 30_000; // far more than any row should take, far less than a hang
const memory_kb_max = 400_000;
const instrumented = readFileSync(binary).includes('__asan_init'); // its memory says nothing about ours

const root = temporaryDirectory('badinput');
const api = JSON.stringify({
  openapi: '3.1.0',
  info: { title: 'A', version: '1' },
  paths: { '/a': { get: { operationId: 'a', security: [{ key: [] }] } } },
  components: { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'X-Key' } } },
});
writeFileSync(path.join(root, 'api.json'), api);
const document = (change = {}) =>
  JSON.stringify({
    arazzo: '1.0.1',
    info: { title: 'T', version: '1' },
    sourceDescriptions: [{ name: 'api', url: 'api.json' }],
    workflows: [
      { workflowId: 'w', steps: [{ stepId: 's', operationId: 'a', outputs: { n: '$response.body#/n' } }] },
    ],
    ...change,
  });

// Runs it and watches its memory.
function run(args, { env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, ['workflow', ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '',
      memory_kb = 0;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => {
        if (output.length < 1 << 20) output += text;
      });
    const look = () => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        memory_kb = Math.max(memory_kb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
      } catch {} // it is over
    };
    const watch = setInterval(look, 5);
    const timer = setTimeout(() => child.kill('SIGKILL'), patience_ms);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      clearTimeout(timer);
      resolve({ code, signal, output, memory_kb });
    });
  });
}

async function ends(args, code, says, options) {
  const result = await run(args, options);
  const shown = `${args.join(' ')}: ${result.code ?? result.signal}\n${result.output.slice(0, 3000)}`;
  assert.equal(result.signal, null, shown);
  assert.equal(result.code, code, shown);
  assert.match(result.output, says, shown);
  assert.doesNotMatch(result.output, /Sanitizer|runtime error/);
  assert.ok(result.output.length < 1 << 20, `${args}: ${result.output.length} characters of output`);
  if (!instrumented) assert.ok(result.memory_kb < memory_kb_max, `${args}: ${result.memory_kb} kB`);
  return result;
}

// ---- documents ----------------------------------------------------------------------------------------------

const nest = (open, close, count = 100_000) => open.repeat(count) + close.repeat(count);
const blockMaps = () => {
  let text = '';
  for (let depth = 0; text.length < 7 << 20; depth++) text += `${' '.repeat(Math.min(depth, 3000))}a:\n`;
  return text;
};
const aliases = (names) =>
  names.map((name, i) => `${name}: &${name} [${Array(10).fill(i ? `*${names[i - 1]}` : 'x')}]`).join('\n');
const wide = (line, bytes) => line.repeat(Math.ceil(bytes / line.length));

const documents = {
  'fifty million bytes of YAML': () => [`arazzo: 1.0.1\nx-a: |\n${wide('  0123456789abcdef\n', 50e6)}`, /larger than/],
  'fifty million bytes of JSON': () => [`{"arazzo":"1.0.1","x-a":"${'x'.repeat(50e6)}"}`, /larger than/],
  'a million small values': () => [`x-a: [${wide('1,', 4e6)}1]\narazzo: 1.0.1`, /too many values/],
  'an alias bomb': () => [aliases([...'abcdefghijk']), /too many values/],
  'an alias bomb of maps': () => [
    `a: &a {x: 1}\n${[...'bcdefghijkl'].map((c, i) => `${c}: &${c} {${[...'0123456789'].map((n) => `k${n}: *${'abcdefghijk'[i]}`)}}`).join('\n')}`,
    /too many values/,
  ],
  'an alias that holds itself': () => ['a: &a [*a]', /alias|anchor/],
  'an alias of nothing': () => ['a: *nothing', /alias|anchor/],
  'nested flow maps': () => [nest('{a: ', '}'), /deep|nest/],
  'nested flow lists': () => [nest('[', ']'), /deep|nest/],
  'nested block lists on a line': () => ['- '.repeat(100_000), /deep|nest/],
  'nested keys': () => ['? '.repeat(100_000), /deep|nest|key/],
  'nested block maps': () => [blockMaps(), /deep|nest/],
  'nested JSON': () => [nest('{"a":', '}').replace('}', '1}'), /deep|nest/],
  'nothing': () => ['', /empty|map/],
  'zeros': () => ['\0'.repeat(1000), /./],
  'not UTF-8': () => [Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe, 0x0a]), /UTF-8/],
  'half a surrogate': () => ['{"arazzo": "\\ud800"}', /./],
  'two documents': () => ['a: 1\n---\nb: 2\n', /document/],
  'a key twice': () => ['arazzo: 1.0.1\narazzo: 1.0.1\n', /twice|duplicate/],
  'a tag': () => ['arazzo: !!python/object:os.system x\n', /tag/],
  'a name of a million characters': () => [document({ workflows: [{ workflowId: 'w'.repeat(1e6), steps: [] }] }), /error/],
  'a condition of a million brackets': () => [
    document({
      workflows: [
        { workflowId: 'w', steps: [{ stepId: 's', operationId: 'a', successCriteria: [{ condition: '('.repeat(1e6) }] }] },
      ],
    }),
    /too deeply|too long/,
  ],
  'a query of a million brackets': () => [
    document({
      workflows: [
        {
          workflowId: 'w',
          steps: [
            {
              stepId: 's',
              operationId: 'a',
              successCriteria: [{ context: '$response.body', type: 'jsonpath', condition: `$${'[?('.repeat(3e5)}` }],
            },
          ],
        },
      ],
    }),
    /more than 65536 bytes/,
  ],
  'inputs that refer to themselves': () => [
    document({
      components: { inputs: { a: { $ref: '#/components/inputs/b' }, b: { $ref: '#/components/inputs/a' } } },
      workflows: [{ workflowId: 'w', inputs: { $ref: '#/components/inputs/a' }, steps: [{ stepId: 's', operationId: 'a' }] }],
    }),
    /leads in circles/,
  ],
  'calls in a circle': () => [
    document({
      workflows: [
        { workflowId: 'a', steps: [{ stepId: 's', workflowId: 'b' }] },
        { workflowId: 'b', steps: [{ stepId: 's', workflowId: 'a' }] },
      ],
    }),
    /workflow-cycle|leads back/,
  ],
  'an operation that is not there': () => [
    document({ workflows: [{ workflowId: 'w', steps: [{ stepId: 's', operationId: 'b' }] }] }),
    /unknown operationId "b"/,
  ],
};

for (const [name, make] of Object.entries(documents))
  test(`document: ${name}`, async () => {
    const [text, says] = make();
    const file = path.join(root, 'bad.yml');
    writeFileSync(file, text);
    for (const verb of ['check', 'run', 'list', 'graph']) {
      if (text.includes?.('"workflows"') && !['check', 'run'].includes(verb)) continue; // list and graph look at less
      await ends([verb, file, ...(verb === 'run' ? ['--server', 'api=http://127.0.0.1:1'] : [])], 2, says);
    }
  });

test('document: what is no file', async () => {
  const locked = path.join(root, 'locked.yml');
  writeFileSync(locked, document());
  chmodSync(locked, 0);
  for (const [file, says] of [
    [root, /regular file|directory/i],
    [path.join(root, 'nowhere.yml'), /No such file/],
    ['/dev/zero', /regular file/],
    ...(process.getuid() === 0 ? [] : [[locked, /Permission/]]),
  ])
    for (const verb of ['check', 'run']) await ends([verb, file], 2, says);
  chmodSync(locked, 0o600);
});

// ---- sources that are files ---------------------------------------------------------------------------------

const sources = {
  'path items in a circle': [{ paths: { '/a': { $ref: '#/paths/~1b' }, '/b': { $ref: '#/paths/~1a' } } }, /circles/],
  'a path item of itself': [{ paths: { '/a': { $ref: '#/paths/~1a' } } }, /circles/],
  'a file that refers back': [{ paths: { '/a': { $ref: 'other.json#/paths/~1a' } } }, /circles/],
  'parameters in a circle': [
    {
      paths: { '/a': { get: { operationId: 'a', parameters: [{ $ref: '#/components/parameters/p' }] } } },
      components: { parameters: { p: { $ref: '#/components/parameters/q' }, q: { $ref: '#/components/parameters/p' } } },
    },
    /circles/,
  ],
  'a chain of ten thousand references': [
    {
      paths: Object.fromEntries(
        Array.from({ length: 10_000 }, (_, i) => [`/p${i}`, { $ref: `#/paths/~1p${i + 1}` }]),
      ),
    },
    /circles|deep|nowhere|too many/,
  ],
};

for (const [name, [change, says]] of Object.entries(sources))
  test(`source: ${name}`, async () => {
    const folder = temporaryDirectory('badsource');
    const head = { openapi: '3.1.0', info: { title: 'A', version: '1' } };
    writeFileSync(path.join(folder, 'api.json'), JSON.stringify({ ...head, ...change }));
    writeFileSync(path.join(folder, 'other.json'), JSON.stringify({ paths: { '/a': { $ref: 'api.json#/paths/~1a' } } }));
    writeFileSync(path.join(folder, 'w.json'), document());
    for (const verb of ['check', 'run']) await ends([verb, path.join(folder, 'w.json')], 2, says);
  });

test('source: a circle of schemas is no error', async () => {
  const folder = temporaryDirectory('goodsource');
  const tree = { type: 'object', properties: { child: { $ref: '#/components/schemas/tree' } } };
  const good = { ...JSON.parse(api), components: { ...JSON.parse(api).components, schemas: { tree } } };
  writeFileSync(path.join(folder, 'api.json'), JSON.stringify(good));
  writeFileSync(path.join(folder, 'w.json'), document());
  await ends(['check', path.join(folder, 'w.json')], 0, /good/);
});

// ---- servers ------------------------------------------------------------------------------------------------

const billion = 1 << 30;
const block = Buffer.alloc(1 << 20, 'x');
const servers = [];
after(() => {
  for (const server of servers) server.close();
});

// A server on a socket, which may say whatever it wants. `answer(socket, request, record)`.
async function listen(answer) {
  const record = { requests: [], sent: 0, sockets: new Set() };
  const server = net.createServer((socket) => {
    let text = '';
    record.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => record.sockets.delete(socket));
    socket.on('data', (part) => {
      text += part.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      record.requests.push(text);
      answer(socket, text, record);
      text = '';
    });
  });
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  servers.push(server);
  record.url = `http://127.0.0.1:${server.address().port}`;
  record.close = () => {
    for (const socket of record.sockets) socket.destroy();
    server.close();
  };
  return record;
}

const head = (status, fields = {}) =>
  `HTTP/1.1 ${status} X\r\nConnection: close\r\n${Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
const json = { 'Content-Type': 'application/json' };

async function pour(socket, record, bytes, wrap = (part) => part) {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= block.length) {
    record.sent += block.length;
    if (!socket.write(wrap(block)) && !socket.destroyed)
      await new Promise((go) => {
        socket.once('drain', go);
        socket.once('close', go);
      });
  }
  socket.end();
}

const chunk = (part) => Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')]);
const tricks = {
  'never answers': { answer: () => {}, says: /500 ms|time/ },
  'answers a byte at a time': {
    answer: async (socket) => {
      for (const byte of head(200, json) + ' '.repeat(10_000)) {
        if (socket.destroyed) return;
        socket.write(byte);
        await sleep(20);
      }
    },
    says: /500 ms|time/,
  },
  'closes without a word': { answer: (socket) => socket.end(), says: /empty|closed|reset|broke|reply/i },
  'resets': { answer: (socket) => socket.resetAndDestroy(), says: /reset|recv|broke/i },
  'breaks off in the middle': {
    answer: (socket) => socket.end(`${head(200, { ...json, 'Content-Length': 100 })}{"n":`),
    says: /closed|partial|end|outstanding/i,
  },
  'sends what is no HTTP': { answer: (socket) => socket.end('220 mail.test ESMTP\r\n\r\n'), says: /HTTP/ },
  'sends headers without end': {
    answer: async (socket, request, record) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      while (!socket.destroyed && record.sent < 1 << 26) {
        record.sent += 1 << 16;
        socket.write(`X-A: ${'x'.repeat(1 << 16)}\r\n`);
        await sleep(1);
      }
    },
    says: /header|large|limit/i,
  },
  'sends a gigabyte': {
    answer: (socket, request, record) => {
      socket.write(head(200, { ...json, 'Content-Length': billion }));
      return pour(socket, record, billion);
    },
    says: /larger|limit|10485760/i,
  },
  'sends a gigabyte without saying so': {
    answer: (socket, request, record) => {
      socket.write(head(200, json));
      return pour(socket, record, billion);
    },
    says: /larger|limit|10485760/i,
  },
  'sends a gigabyte in chunks': {
    answer: (socket, request, record) => {
      socket.write(head(200, { ...json, 'Transfer-Encoding': 'chunked' }));
      return pour(socket, record, billion, chunk);
    },
    says: /larger|limit|10485760/i,
  },
  'packs a gigabyte': {
    answer: (socket, request, record) => {
      let left = billion / block.length;
      const plain = new Readable({
        read() {
          this.push(left-- > 0 && !socket.destroyed ? block : null);
        },
      });
      socket.write(head(200, { ...json, 'Content-Encoding': 'gzip' }));
      plain
        .pipe(createGzip())
        .on('data', (part) => {
          record.sent += part.length;
        })
        .pipe(socket);
    },
    says: /larger|limit|10485760/i,
  },
  'sends what is no JSON': {
    answer: (socket) => socket.end(`${head(200, json)}{"n":`),
    says: /not the JSON|is no (YAML|JSON)|neither|cannot be read|expected/i,
  },
  'sends JSON too deep': {
    answer: (socket) => socket.end(head(200, json) + nest('[', ']')),
    says: /not the JSON|deep|nest/i,
  },
  'redirects in a circle': {
    answer: (socket, request, record) => socket.end(head(302, { Location: `${record.url}/again` })),
    says: /redirect/i,
  },
  'redirects to a file': {
    answer: (socket) => socket.end(head(302, { Location: 'file:///etc/passwd' })),
    says: /redirect|protocol|file/i,
  },
  'compresses what is not compressed': {
    answer: (socket) => socket.end(`${head(200, { ...json, 'Content-Encoding': 'gzip' })}{"n":1}`),
    says: /encod|decompress|gzip|compress|cannot/i,
  },
  'is sorry': { answer: (socket) => socket.end(head(500)), says: /500/ },
};

for (const [name, { answer, says }] of Object.entries(tricks)) {
  test(`a server that ${name}: the step fails, exit 1`, async () => {
    const server = await listen(answer);
    const file = path.join(root, 'good.json');
    writeFileSync(file, document());
    try {
      const args = ['run', file, '--server', `api=${server.url}`, '--auth', 'key=k3yk3yk3y', '--timeout', '5'];
      if (/never|byte at a time/.test(name)) args.splice(-1, 1, '0.5');
      const { output } = await ends(args, 1, says);
      assert.match(output, /\bs\b/, 'the step is named');
      assert.doesNotMatch(output, /k3yk3yk3y/);
      assert.ok(server.sent < 200 << 20, `${server.sent} bytes were taken`);
    } finally {
      server.close();
    }
  });

  test(`a source on a server that ${name}: nothing is sent, exit 2`, async () => {
    const server = await listen(answer);
    const file = path.join(root, 'remote.json');
    writeFileSync(file, document({ sourceDescriptions: [{ name: 'api', url: `${server.url}/api.json` }] }));
    try {
      const wait = /never|byte at a time/.test(name) ? '0.5' : '5';
      await ends(['run', file, '--timeout', wait], 2, says);
      assert.ok(server.sent < 200 << 20, `${server.sent} bytes were taken`);
    } finally {
      server.close();
    }
  });
}

test('nobody there, and a server that speaks no TLS', async () => {
  const server = net.createServer((socket) => socket.on('error', () => {}).end('what?'));
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  const file = path.join(root, 'good.json');
  writeFileSync(file, document());
  try {
    await ends(['run', file, '--server', 'api=http://127.0.0.1:1'], 1, /connect|refused/i);
    await ends(['run', file, '--server', `api=https://127.0.0.1:${server.address().port}`], 1, /TLS|SSL|wrong version/i);
    await ends(['run', file, '--server', 'api=http://nowhere.invalid'], 1, /resolve|host/i);
  } finally {
    server.close();
  }
});

test('a redirect to another host carries no credentials', async () => {
  const second = await listen((socket) => socket.end(`${head(200, json)}{"n":1}`));
  const first = await listen((socket) =>
    socket.end(head(307, { Location: second.url.replace('127.0.0.1', 'localhost') })),
  );
  const file = path.join(root, 'good.json');
  writeFileSync(file, document());
  try {
    await ends(['run', file, '--server', `api=${first.url}`, '--auth', 'key=k3yk3yk3y'], 0, /passed|✓/);
    assert.match(first.requests[0], /X-Key: k3yk3yk3y/);
    assert.equal(second.requests.length, 1);
    assert.doesNotMatch(second.requests[0], /k3yk3yk3y/);
  } finally {
    first.close();
    second.close();
  }
});

test('loops end at their limits, exit 1', async () => {
  const server = await listen((socket) => socket.end(`${head(500, json)}{}`));
  const looping = (onFailure) =>
    document({ workflows: [{ workflowId: 'w', steps: [{ stepId: 's', operationId: 'a', onFailure: [onFailure] }] }] });
  const file = path.join(root, 'loop.json');
  const args = ['run', file, '--server', `api=${server.url}`, '--max-steps', '50'];
  try {
    writeFileSync(file, looping({ name: 'round', type: 'goto', stepId: 's' }));
    await ends(args, 1, /more than 50 steps/);
    assert.equal(server.requests.length, 50);
    writeFileSync(file, looping({ name: 'again', type: 'retry', retryLimit: 1e6 }));
    await ends(args, 1, /more than 50 steps/);
    writeFileSync(file, looping({ name: 'self', type: 'goto', workflowId: 'w' }));
    await ends(args, 1, /more than 50 steps/);
    writeFileSync(file, looping({ name: 'later', type: 'retry', retryAfter: 80_000 }));
    await ends(args, 1, /total time/);
  } finally {
    server.close();
  }
});

test('answers that do not fit the memory end the run, exit 1', async () => {
  const body = JSON.stringify({ n: 'x'.repeat(1e6) });
  const server = await listen((socket) => socket.end(head(200, { ...json, 'Content-Length': body.length }) + body));
  const step = { stepId: 's', operationId: 'a', onSuccess: [{ name: 'round', type: 'goto', stepId: 's' }] };
  const file = path.join(root, 'heap.json');
  writeFileSync(file, document({ workflows: [{ workflowId: 'w', steps: [step] }] }));
  const args = ['run', file, '--server', `api=${server.url}`, '--max-steps', '60'];
  try {
    const { memory_kb } = await ends([...args, '--max-memory', '33554432'], 1, /does not fit the memory|memory budget/);
    if (!instrumented) assert.ok(memory_kb < 80_000, `${memory_kb} kB`);
    await ends(args, 1, /more than 60 steps/);
    await ends([...args, '--max-memory', '5'], 2, /from 1048576 to/);
  } finally {
    server.close();
  }
});

test('a thousand workflows that depend on each other, call each other, go to each other', async () => {
  const chain = (link) =>
    Array.from({ length: 1000 }, (_, i) => {
      const next = i < 999 ? `w${i + 1}` : null;
      const step = { stepId: 's', operationId: 'a' };
      if (!next) return { workflowId: `w${i}`, steps: [step] };
      if (link === 'dependsOn') return { workflowId: `w${i}`, dependsOn: [next], steps: [step] };
      if (link === 'calls') return { workflowId: `w${i}`, steps: [{ stepId: 's', workflowId: next }] };
      const action = { name: 'on', type: link, workflowId: next };
      return { workflowId: `w${i}`, steps: [{ ...step, onFailure: [action] }] };
    });
  const file = path.join(root, 'chain.json');
  const args = ['run', file, '--workflow', 'w0', '--server', 'api=http://127.0.0.1:1', '--max-steps', '5000', '--json'];
  for (const [link, says] of [
    ['dependsOn', /more than 200 deep/],
    ['calls', /more than 64 deep/],
    ['goto', /connect/i],
    ['retry', /connect/i],
  ]) {
    writeFileSync(file, document({ workflows: chain(link) }));
    await ends([...args, '--max-depth', '64'], 1, says);
  }
});
