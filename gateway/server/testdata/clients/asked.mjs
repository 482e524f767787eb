// Both majors of the TypeScript SDK, over every transport that each has, use a
// source that asks: elicitation, sampling and roots are answered through the
// gateway, whichever era either side is of. mcp-remote and gateway stdio are the
// ways to it over a pipe.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as Stdio1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as HTTP1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client as Client2, StreamableHTTPClientTransport as HTTP2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as Stdio2 } from '@modelcontextprotocol/client/stdio';

const { URL: base, TOKEN: token, GATEWAY: gateway, SOURCES: sources } = process.env;
const headers = { Authorization: `Bearer ${token}` };
const env = { ...process.env, GATEWAY_TOKEN: token };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {} };

const elicited = (r) => ({ action: 'accept', content: { a: `to ${r.params.message}` } });
const sampled = (r) => ({ role: 'assistant', model: 'm', content: { type: 'text', text: `thought of ${[r.params.messages[0].content].flat()[0].text}` } });
const roots = () => ({ roots: [{ uri: 'file:///home' }] });

function one() {
  const c = new Client1({ name: 'asked1', version: '1' }, { capabilities });
  c.setRequestHandler(ElicitRequestSchema, elicited);
  c.setRequestHandler(CreateMessageRequestSchema, sampled);
  c.setRequestHandler(ListRootsRequestSchema, roots);
  return c;
}

const two = (mode) => () => {
  const c = new Client2({ name: 'asked2', version: '1' }, { capabilities, ...(mode && { versionNegotiation: { mode } }) });
  c.setRequestHandler('elicitation/create', elicited);
  c.setRequestHandler('sampling/createMessage', sampled);
  c.setRequestHandler('roots/list', roots);
  return c;
};

const http = (T) => () => new T(new URL('/mcp', base), { requestInit: { headers } });
const bridge = (T) => () => new T({ command: gateway, args: ['stdio', '--connect', `${base}/mcp`], env, stderr: 'inherit' });
const proxy = createRequire(import.meta.url).resolve('mcp-remote/dist/proxy.js');
const remote = (T) => () => new T({
  command: process.execPath, args: [proxy, `${base}/mcp`, '--transport', 'http-only', '--allow-http', '--header', `Authorization: Bearer ${token}`], env, stderr: 'inherit',
});
const sse = () => new SSEClientTransport(new URL('/sse', base), {
  requestInit: { headers }, eventSourceInit: { fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }) },
});

const modern = { pin: '2026-07-28' };
const ways = {
  '1.x, HTTP': [one, http(HTTP1)],
  '1.x, HTTP+SSE': [one, sse],
  '1.x, gateway stdio': [one, bridge(Stdio1)],
  '1.x, mcp-remote': [one, remote(Stdio1)],
  '2.x, HTTP': [two(), http(HTTP2)],
  '2.x, HTTP, modern': [two(modern), http(HTTP2)],
  '2.x, gateway stdio': [two(), bridge(Stdio2)],
  '2.x, gateway stdio, modern': [two(modern), bridge(Stdio2)],
  '2.x, mcp-remote': [two(), remote(Stdio2)],
};
const want = { elicit: 'accept to w', sample: 'thought of w', roots: 'file:///home' };
const failures = [];
for (const [way, [client, transport]] of Object.entries(ways)) {
  const c = client();
  try {
    await c.connect(transport());
    for (const source of sources.split(',')) {
      for (const [tool, text] of Object.entries(want)) {
        const r = await c.callTool({ name: `${source}.${tool}`, arguments: { word: 'w' } });
        assert.equal(r.content[0].text, text, `${source}.${tool}`);
      }
    }
  } catch (e) {
    failures.push(`${way}: ${e.message}`);
  } finally {
    await c.close();
  }
}
assert.deepEqual(failures, []);
