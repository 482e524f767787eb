// The TypeScript client 2.x: its default (a legacy session), negotiated, and
// pinned to revision 2026-07-28.
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const { URL: base, TOKEN: token } = process.env;
for (const mode of [undefined, 'auto', { pin: '2026-07-28' }]) {
  const versions = new Set();
  const traced = (url, init) => {
    const version = new Headers(init.headers).get('mcp-protocol-version');
    if (version) versions.add(version);
    return fetch(url, init);
  };
  const client = new Client({ name: 'sdk2', version: '1' }, mode && { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', base), {
    requestInit: { headers: { Authorization: `Bearer ${token}` } }, fetch: traced,
  }));
  const { tools } = await client.listTools();
  assert.ok(tools.some((t) => t.name === 'demo.add'));
  const sum = await client.callTool({ name: 'demo.add', arguments: { a: 1, b: 2 } });
  assert.deepEqual(sum.structuredContent, { sum: 3 });
  const steps = [];
  await client.callTool({ name: 'demo.count', arguments: { to: 3 } }, { onprogress: (p) => steps.push(p.progress) });
  assert.deepEqual(steps, [1, 2, 3]);
  const { contents } = await client.readResource({ uri: 'demo://about' });
  assert.match(contents[0].text, /Trilith/);
  const { messages } = await client.getPrompt({ name: 'demo.greet', arguments: { name: 'Ada' } });
  assert.match(messages[0].content.text, /Ada/);
  assert.deepEqual([...versions], [mode ? '2026-07-28' : '2025-11-25']);
  await client.close();
}
