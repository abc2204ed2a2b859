// The server speaks TLS by itself: SDKs that insist on https need no proxy. A certificate is replaced while it runs.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { cairn, repository, temporaryDirectory, World } from './harness.mjs';

const fixtures = path.join(repository, 'tests', 'e2e', 'tls');
const authorities = [1, 2].map((n) => readFileSync(path.join(fixtures, `chain${n}.pem`)));
const worlds = [];
after(async () => {
  for (const world of worlds) await world.end();
});

// A server with an http and an https address, whose certificate lies in a folder of its own.
async function start() {
  const files = temporaryDirectory();
  const put = (n) => {
    copyFileSync(path.join(fixtures, `chain${n}.pem`), path.join(files, 'chain.pem'));
    copyFileSync(path.join(fixtures, `key${n}.pem`), path.join(files, 'key.pem'));
  };
  put(1);
  const args = ['--listen', 'https://127.0.0.1:0', '--tls-certificate', path.join(files, 'chain.pem')];
  const world = await World.start({ server: { args: [...args, '--tls-key', path.join(files, 'key.pem')] } });
  worlds.push(world);
  await until(() => world.server.output.includes('https://'), 'the https address is printed');
  const secure = /^listening on (https:\/\/127\.0\.0\.1:\d+)$/m.exec(world.server.output);
  assert.ok(secure, world.server.output);
  return { world, secure: secure[1], put, files };
}

async function until(holds, what) {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 1500, what);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function send(url, ca, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const request = https.request(url, { method, headers, ca, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

// The name in the certificate that the server shows.
function shown(url) {
  return new Promise((resolve, reject) => {
    const { port } = new URL(url);
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().subject.CN);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

test('events over https are events like others', async () => {
  const { world, secure } = await start();
  const answer = await send(`${secure}/track?verbose=1`, authorities[0], {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify([world.event('Secret'), world.event('Secret')]),
  });
  assert.deepEqual(answer, { status: 200, text: '{"error":null,"status":1}' });
  assert.equal(await world.count('Secret'), 2);
  const health = await send(`${secure}/health`, authorities[0]);
  assert.equal(health.status, 200);
  await assert.rejects(send(`${secure}/health`, authorities[1]), /self-signed certificate/);
});

test('a bare http request to the https port is told what to do', async () => {
  const { world, secure } = await start();
  const answer = await world.server.request.call({ url: secure.replace('https:', 'http:') }, '/health');
  assert.equal(answer.status, 400);
  assert.match(answer.json().error, /https/);
});

test('SIGHUP reads the certificate again, and keeps the old one when that is no good', async () => {
  const { world, secure, put, files } = await start();
  assert.equal(await shown(secure), 'Cairn test certificate 1');
  put(2);
  world.server.child.kill('SIGHUP');
  await until(async () => (await shown(secure)) === 'Cairn test certificate 2', 'the new certificate is shown');
  copyFileSync(path.join(fixtures, 'key1.pem'), path.join(files, 'key.pem'));
  world.server.child.kill('SIGHUP');
  await until(() => world.server.log.includes('cannot_reload_certificate'), 'the log says that it was refused');
  assert.equal(await shown(secure), 'Cairn test certificate 2');
  assert.ok(world.server.running);
  assert.deepEqual(await world.server.stop(), { code: 0, signal: null });
});

test('SIGHUP does nothing to a server without a certificate', async () => {
  const world = await World.start();
  worlds.push(world);
  world.server.child.kill('SIGHUP');
  await until(() => world.server.log.includes('nothing_to_reload'), 'the log says so');
  assert.equal((await world.server.request('/health')).status, 200);
});

test('what cannot work is refused at the start', () => {
  const data = temporaryDirectory();
  const serve = (...args) => cairn(['serve', '--data', data, ...args]);
  const chain = path.join(fixtures, 'chain1.pem');
  const rows = [
    [['--listen', 'https://127.0.0.1:0'], 2, /--tls-certificate FILE/],
    [['--tls-certificate', chain], 2, /http\.tls_certificate is set without http\.tls_key/],
    [['--tls-key', chain], 2, /http\.tls_key is set without http\.tls_certificate/],
    [['--listen', 'https://127.0.0.1:0', '--tls-certificate', '/nowhere', '--tls-key', chain], 1, /cannot read \/nowhere/],
    [['--listen', 'https://127.0.0.1:0', '--tls-certificate', chain, '--tls-key', chain], 2, /is not the private key/],
  ];
  for (const [args, code, message] of rows) {
    const result = serve(...args);
    assert.match(result.stderr, message);
    assert.equal(result.code, code, result.stderr);
  }
});
