import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A service of a test's own, on a port that the kernel picks. */
export type Upstream = { url: string; stop: () => Promise<void> };

export async function serve(
  handle: (req: IncomingMessage, res: ServerResponse, body: string) => void,
): Promise<Upstream> {
  const server: Server = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part: Buffer) => parts.push(part));
    req.on('end', () => handle(req, res, Buffer.concat(parts).toString()));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** Answers with JSON. */
export function answer(res: ServerResponse, value: unknown, status = 200) {
  res.writeHead(status, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify(value));
}

/** A definition of a tool, as tools/list has it. */
export type Tool = { name: string; description: string; inputSchema: object };

/**
 * An MCP server over streamable HTTP, with answers in JSON. `tools` is what it offers now; clients that listen are told
 * when `changed` is called.
 */
export async function serveMCP(tools: () => Tool[]): Promise<Upstream & { changed: () => void }> {
  const listeners = new Set<ServerResponse>();
  const results: Record<string, (params: { protocolVersion?: string; name?: string }) => unknown> = {
    initialize: (params) => ({
      protocolVersion: params.protocolVersion === '2025-03-26' ? '2025-03-26' : '2025-06-18',
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: 'weather', version: '1' },
    }),
    ping: () => ({}),
    'tools/list': () => ({ tools: tools() }),
    'tools/call': (params) => ({ content: [{ type: 'text', text: `${params.name}: sunny` }] }),
  };
  const upstream = await serve((req, res, body) => {
    if (req.method === 'GET') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.flushHeaders();
      listeners.add(res);
      res.on('close', () => listeners.delete(res));
      return;
    }
    if (req.method !== 'POST') return void res.writeHead(405).end();
    const message = JSON.parse(body);
    if (message.id === undefined) return void res.writeHead(202).end();
    const result = results[message.method];
    if (message.method === 'initialize') res.setHeader('Mcp-Session-Id', 'one');
    answer(res, {
      jsonrpc: '2.0',
      id: message.id,
      ...(result ? { result: result(message.params ?? {}) } : { error: { code: -32601, message: 'no such method' } }),
    });
  });
  return {
    ...upstream,
    changed() {
      const message = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
      for (const res of listeners) res.write(`event: message\ndata: ${message}\n\n`);
    },
  };
}
