<<<<<<< HEAD
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
=======
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A tool of an MCP server of a test's own: its definition, and what it answers. */
export type UpstreamTool = { definition: { name: string; [key: string]: unknown }; answer: (args: string) => string };

/** An MCP server on loopback that offers what it is told to. Bodies are text, so that every digit stays. */
export async function startUpstream(tools: UpstreamTool[]): Promise<{ url: string; stop: () => void }> {
  const server: Server = createServer(async (request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end();
      return;
    }
    const body = await read(request);
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) {
      response.writeHead(202).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},${answer(method, params?.name)}}`);

    function answer(method: string, name: string): string {
      if (method === 'initialize') {
        const result = {
          protocolVersion: '2025-06-18',
          capabilities: { tools: {} },
          serverInfo: { name: 'test', version: '1' },
        };
        return `"result":${JSON.stringify(result)}`;
      }
      if (method === 'ping') return '"result":{}';
      if (method === 'tools/list') return `"result":${JSON.stringify({ tools: tools.map((t) => t.definition) })}`;
      const tool = tools.find((t) => t.definition.name === name);
      if (method === 'tools/call' && tool) return `"result":${tool.answer(body)}`;
      return '"error":{"code":-32601,"message":"no such method"}';
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const part of request) body += part;
  return body;
}
>>>>>>> c4f379a (console: stories of the area Capabilities against a hostile source)
