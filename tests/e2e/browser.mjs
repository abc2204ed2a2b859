// Debian's Chromium with a page that carries Mixpanel's browser SDK, unmodified, from an origin of its own, and a door in
// front of the server that can misbehave as networks do. Needs what script/bootstrap --tests installs.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { repository, sleep } from './harness.mjs';

const modules = path.join(repository, 'tests/clients/node_modules');
const sdk = path.join(modules, 'mixpanel-browser/dist/mixpanel.umd.js');
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);

// Why the tests that need a browser are left out; false: they are not. CI=true takes no excuse.
export const skip =
  process.env.CI === 'true' || (chromium && existsSync(sdk))
    ? false
    : 'Chromium or the packages of tests/clients are not installed: script/bootstrap --tests installs them';

// A page at http://localhost:PORT/, another origin (and another site) than the server's http://127.0.0.1:PORT. `lib` is the
// SDK as a script that makes window.mixpanel.
export async function startSite() {
  const library = readFileSync(sdk);
  const server = http.createServer((request, response) => {
    if (request.url.startsWith('/sdk.js')) {
      response.writeHead(200, { 'Content-Type': 'text/javascript' });
      response.end(library);
    } else if (request.url.startsWith('/favicon')) {
      response.writeHead(204).end();
    } else {
      response.writeHead(200, { 'Content-Type': 'text/html' });
      response.end('<!doctype html><title>shop</title><script src="/sdk.js"></script><a href="/elsewhere">on</a>');
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://localhost:${server.address().port}`,
    end: () => new Promise((resolve) => server.close(resolve).closeAllConnections?.()),
  };
}

export async function startBrowser() {
  const { chromium: driver } = createRequire(path.join(modules, 'x.js'))('playwright-core');
  return driver.launch({
    executablePath: chromium,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

// Passes requests on to the server as they are, except as `misbehave(request, number)` says: nothing: pass it on; an
// object {status, headers, body}: that is the answer, and the server hears nothing; 'lose': the server takes it, and the
// connection breaks before its answer gets back. door.target may be changed: a server that came back on another port.
export async function startDoor(url) {
  const door = { misbehave: () => undefined, requests: [], target: new URL(url) };
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const what = request.method === 'OPTIONS' ? undefined : door.misbehave(request, door.requests.length);
      if (request.method !== 'OPTIONS') door.requests.push(request.url);
      if (what && what !== 'lose') {
        const origin = request.headers.origin;
        const cors = origin
          ? { 'Access-Control-Allow-Origin': origin, 'Access-Control-Allow-Credentials': 'true' }
          : {};
        response.writeHead(what.status, { ...cors, ...what.headers });
        response.end(what.body ?? '');
        return;
      }
      const { hostname: host, port } = door.target;
      const options = { host, port, path: request.url, method: request.method };
      const outgoing = http.request({ ...options, headers: request.headers }, (answer) => {
        if (what === 'lose') {
          answer.resume().on('end', () => request.socket.destroy());
          return;
        }
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      outgoing.on('error', () => request.socket.destroy());
      outgoing.end(Buffer.concat(parts));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  door.url = `http://127.0.0.1:${server.address().port}`;
  door.end = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections?.();
    });
  return door;
}

export async function until(holds, what, patience = 60_000) {
  const end = Date.now() + patience;
  while (!(await holds())) {
    assert.ok(Date.now() < end, what);
    await sleep(50);
  }
}

// Runs `work(page, complaints)` on a new page of a new profile where the SDK is initialised with `options`, and resolves
// with what the page has complained about.
export async function visit({ world, site, browser }, { token = world.token, ...options }, work) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !/favicon/.test(message.text()))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(site.url);
  await page.evaluate(([id, config]) => window.mixpanel.init(id, config), [
    token,
    { api_host: world.url, track_pageview: false, ...options },
  ]);
  try {
    await work(page, complaints);
  } finally {
    await context.close();
  }
  return complaints;
}
