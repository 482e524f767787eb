// The TypeScript SDK 1.x over HTTP+SSE of 2024-11-05.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';

const { URL: base, TOKEN: token } = process.env;
const headers = { Authorization: `Bearer ${token}` };
const client = new Client({ name: 'sse', version: '1' }, { capabilities: {} });
await client.connect(new SSEClientTransport(new URL('/sse', base), {
  requestInit: { headers },
  eventSourceInit: { fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...headers } }) },
}));
const { tools } = await client.listTools();
assert.ok(tools.some((t) => t.name === 'demo.add'));
const sum = await client.callTool({ name: 'demo.add', arguments: { a: 1, b: 2 } });
assert.deepEqual(sum.structuredContent, { sum: 3 });
const steps = [];
await client.callTool({ name: 'demo.count', arguments: { to: 3, delayMs: 100 } }, undefined, { onprogress: (p) => steps.push(p.progress) });
// The SDK forgets a call's listener at its response, before it has told it of a
// report in the same chunk.
assert.deepEqual(steps.slice(0, 2), [1, 2]);
await client.close();
