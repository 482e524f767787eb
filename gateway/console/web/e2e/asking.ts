import { answer, serve, type Upstream } from './upstream';

/** A question, as the upstream puts it. */
type Asked = { method: 'elicitation/create'; params: object };

/** What an upstream asks: by the name of the tool that does so. */
export type Asking = { [tool: string]: () => object };

const cities = ['paris', 'parma', 'prague'];

/**
 * An MCP server of 2026-07-28 whose tools ask before they answer, with what was said; with a template and a prompt whose
 * arguments it completes.
 */
export const serveAsking = (asking: Asking): Promise<Upstream> =>
  serve((req, res, body) => {
    if (req.method !== 'POST') return void res.writeHead(405).end();
    const { id, method, params = {} } = JSON.parse(body);
    if (id === undefined) return void res.writeHead(202).end();
    const result = results(asking)[method as string];
    const done = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' };
    const failed = { error: { code: -32601, message: 'no such method' } };
    answer(res, { jsonrpc: '2.0', id, ...(result ? { result: { ...done, ...result(params) } } : failed) });
  });

type Params = {
  name?: string;
  uri?: string;
  arguments?: { city?: string };
  argument?: { value: string };
  inputResponses?: object;
};

const results = (asking: Asking): { [method: string]: (params: Params) => object } => ({
  'server/discover': () => ({
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {}, resources: {}, prompts: {}, completions: {} },
  }),
  'tools/list': () => ({ tools: Object.keys(asking).map((name) => ({ name, inputSchema: { type: 'object' } })) }),
  'tools/call': (params) => {
    if (params.inputResponses) return { content: [{ type: 'text', text: JSON.stringify(params.inputResponses) }] };
    const question: Asked = { method: 'elicitation/create', params: asking[params.name ?? '']?.() ?? {} };
    return { resultType: 'input_required', inputRequests: { q: question }, requestState: 'asked' };
  },
  'resources/list': () => ({ resources: [] }),
  'resources/templates/list': () => ({ resourceTemplates: [{ name: 'weather', uriTemplate: 'weather://{city}' }] }),
  'resources/read': (params) => ({ contents: [{ uri: params.uri, mimeType: 'text/plain', text: 'sunny' }] }),
  'prompts/list': () => ({ prompts: [{ name: 'visit', arguments: [{ name: 'city', required: true }] }] }),
  'prompts/get': (params) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Let us see ${params.arguments?.city}.` } }],
  }),
  'completion/complete': (params) => {
    const values = cities.filter((c) => c.startsWith(params.argument?.value ?? ''));
    return { completion: { values, total: values.length, hasMore: false } };
  },
});
