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
