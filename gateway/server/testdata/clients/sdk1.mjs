// The TypeScript SDK 1.x, a legacy session over streamable HTTP.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { URL: base, TOKEN: token } = process.env;
const client = new Client({ name: 'sdk1', version: '1' }, { capabilities: {} });
const transport = new StreamableHTTPClientTransport(new URL('/mcp', base), {
  requestInit: { headers: { Authorization: `Bearer ${token}` } },
});
await client.connect(transport);
assert.equal(client.getServerVersion().name, 'trilith');

const { tools } = await client.listTools();
assert.ok(tools.some((t) => t.name === 'demo.add'));
const sum = await client.callTool({ name: 'demo.add', arguments: { a: 1, b: 2 } });
assert.deepEqual(sum.structuredContent, { sum: 3 });
const failed = await client.callTool({ name: 'demo.count', arguments: { to: 0 } });
assert.equal(failed.isError, true);
await assert.rejects(client.callTool({ name: 'demo.nothing', arguments: {} }), /no tool named/);

const steps = [];
await client.callTool({ name: 'demo.count', arguments: { to: 3, delayMs: 100 } }, undefined, { onprogress: (p) => steps.push(p.progress) });
assert.deepEqual(steps, [1, 2, 3]);

const abort = new AbortController();
const long = client.callTool({ name: 'demo.count', arguments: { to: 1000, delayMs: 1000 } }, undefined, { signal: abort.signal });
setTimeout(() => abort.abort('enough'), 50);
await assert.rejects(long);

const { resources } = await client.listResources();
const { contents } = await client.readResource({ uri: resources[0].uri });
assert.match(contents[0].text, /Trilith/);
const { prompts } = await client.listPrompts();
const { messages } = await client.getPrompt({ name: prompts[0].name, arguments: { name: 'Ada' } });
assert.match(messages[0].content.text, /Ada/);
await transport.terminateSession();
await client.close();
