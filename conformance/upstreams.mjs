// The servers that the gateway is put in front of, each started anew for every
// use: a server that one run has changed is not what the next expects.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const everything = fileURLToPath(new URL('node_modules/@modelcontextprotocol/server-everything/dist/index.js', import.meta.url));

// Servers are those that the suite is run against. What a server's modes are is
// its own matter: the one of the Go SDK speaks to one era well in each. The suite
// cannot reach a program; it ought to be like the server of that name.
export function servers(gateway, sdk, work) {
  return [
    { name: 'Go SDK, stateless', start: (port) => [sdk, '-http', `127.0.0.1:${port}`, '-stateless=true'], path: '/' },
    { name: 'Go SDK, sessions', start: (port) => [sdk, '-http', `127.0.0.1:${port}`, '-stateless=false'], path: '/' },
    { name: 'Go SDK, stdio', program: [sdk], like: 'Go SDK, stateless' },
    { name: 'Go SDK, stdio of old', program: [sdk], era: 'legacy', like: 'Go SDK, sessions' },
    { name: 'server-everything', start: () => [process.execPath, everything, 'streamableHttp'], path: '/mcp' },
    {
      name: 'Trilith', path: '/mcp',
      start: (port) => [gateway, 'dev', '--conformance', '--addr', `127.0.0.1:${port}`, '--grpc-addr', '127.0.0.1:0', '--data', mkdtempSync(join(work, 'data-'))],
    },
  ];
}

// direct starts a server and gives use its URL.
export async function direct(server, use) {
  const port = await freePort();
  const [command, ...args] = server.start(port);
  return running(command, args, { PORT: `${port}` }, async (alive) => {
    const url = `http://127.0.0.1:${port}${server.path}`;
    for (;;) {
      alive();
      try {
        await (await fetch(url, { method: 'OPTIONS' })).arrayBuffer();
        return await use(url);
      } catch (e) {
        if (e.cause?.code !== 'ECONNREFUSED') throw e;
      }
      await after(50);
    }
  });
}

// proxied starts a server and a gateway in front of it, and gives use the URL
// of that.
export function proxied(gateway, work, server, use) {
  const front = (mcp) => {
    const dir = mkdtempSync(join(work, 'gateway-'));
    const config = {
      data: join(dir, 'data'), listen: { http: '127.0.0.1:0', grpc: '127.0.0.1:0' },
      auth: { anonymous: { roles: ['conformance'] } }, policy: { file: join(dir, 'policy.csv') },
      sources: [{ name: 'upstream', prefix: false, mcp }],
    };
    writeFileSync(join(dir, 'policy.csv'), 'p, role:conformance, *, **, *, allow\n');
    writeFileSync(join(dir, 'gateway.yaml'), JSON.stringify(config)); // JSON is YAML too.
    return running(gateway, ['serve', '--config', join(dir, 'gateway.yaml')], {}, async (alive, said) => {
      for (;;) { // It says so once it knows what the server offers.
        alive();
        const url = /^Trilith serves (http\S+)/m.exec(said())?.[1];
        if (url) return use(`${url}/mcp`);
        await after(50);
      }
    });
  };
  if (server.program) return front({ command: server.program[0], args: server.program.slice(1), era: server.era ?? 'auto' });
  return direct(server, (url) => front({ url, allow_private: ['127.0.0.1/32'] }));
}

// offers returns the names of all that a server lists.
export async function offers(url) {
  const client = new Client({ name: 'offers', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  try {
    const names = new Set();
    for (const t of (await client.listTools()).tools) names.add(t.name);
    for (const r of (await client.listResources()).resources) names.add(r.uri);
    return names;
  } finally {
    await client.close();
  }
}

// running runs a program for as long as use takes. Use is given what throws
// once the program has ended, or ought to have begun, and what it has printed.
async function running(command, args, env, use) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let out = '', log = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { log += d; });
  const late = Date.now() + 30_000;
  const alive = () => {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > late) throw new Error(`${command} did not begin to serve:\n${log}`);
  };
  try {
    return await use(alive, () => out);
  } finally {
    child.kill();
    await exited;
  }
}

// freePort returns a port that nobody listens on. The servers cannot choose
// one by themselves.
async function freePort() {
  const s = createServer().listen(0, '127.0.0.1');
  await once(s, 'listening');
  const { port } = s.address();
  s.close();
  await once(s, 'close');
  return port;
}
