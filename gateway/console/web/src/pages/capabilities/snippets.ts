// One call, as each door takes it: text for a shell, to be copied. Names and arguments may hold anything, so that each
// is quoted for where it stands, and what nobody would see in a terminal is spelt out.
import { type Exact, isObject, stringify } from '../../lib/exact';
import { unseen } from '../../lib/format';
import type { Schema } from './form/schema';

export type Snippet = { id: string; title: string; text: string };

export type What =
  | { kind: 'tool'; name: string; arguments: Exact; schema?: Schema }
  | { kind: 'resource'; uri: string }
  | { kind: 'prompt'; name: string; arguments: Exact };

/** A word of a POSIX shell. Characters that are not seen are spelt out, as bash, zsh and ksh read them. */
export function quote(word: string): string {
  if (/^[\w./:@%+=,-]+$/.test(word) && !word.startsWith('-') && !word.startsWith('=')) return word;
  if (word.search(unseen) < 0) return `'${word.replaceAll("'", "'\\''")}'`;
  const inner = word.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  return `$'${inner.replace(unseen, (c) => (c === '\n' ? '\\n' : `\\U${(c.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`))}'`;
}

/** JSON on one line; what is not seen is spelt out. */
export const line = (value: Exact) =>
  stringify(value).replace(unseen, (c) =>
    [...Array(c.length).keys()].map((i) => `\\u${c.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''),
  );

/** What stands in a header for text: itself, or its Base64 where a header cannot hold it. */
function header(text: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith('=?')) return text;
  const bytes = new TextEncoder().encode(text);
  return `=?base64?${btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''))}?=`;
}

/** The headers of arguments that a tool's schema wants in front of the body, too (`x-mcp-header`). */
function mirrored(schema: Schema, value: Exact | undefined): string[] {
  if (!isObject(schema.properties) || !isObject(value)) return [];
  return Object.entries(schema.properties).flatMap(([name, property]) => {
    if (!isObject(property) || !Object.hasOwn(value, name)) return [];
    const inner = value[name];
    const key = property['x-mcp-header'];
    const own =
      typeof key === 'string' && token.test(key) && inner != null && !isObject(inner) && !Array.isArray(inner);
    const text = typeof inner === 'string' ? inner : stringify(inner ?? null);
    return [...(own ? [`Mcp-Param-${key}: ${header(text)}`] : []), ...mirrored(property, inner)];
  });
}

const token = /^[\w!#$%&'*+.^`|~-]+$/; // RFC 9110, section 5.6.2.

const version = '2026-07-28';
const meta = {
  'io.modelcontextprotocol/protocolVersion': version,
  'io.modelcontextprotocol/clientCapabilities': {},
};

const methods = { tool: 'tools/call', resource: 'resources/read', prompt: 'prompts/get' } as const;
const documents = {
  tool: 'mutation($name: String!, $arguments: JSON) { callTool(name: $name, arguments: $arguments) { isError structured content { type text } } }',
  resource: 'query($uri: String!) { readResource(uri: $uri) { contents { uri mimeType text blob } } }',
  prompt:
    'query($name: String!, $arguments: JSON) { getPrompt(name: $name, arguments: $arguments) { messages { role content { type text } } } }',
} as const;

/** The origins of a gateway, such as https://gateway.example.com; that of gRPC has its port, and is http for plain text. */
export type Doors = { http: string; grpc: string };

/** The call as each door takes it. */
export function snippets(what: What, doors: Doors): Snippet[] {
  const { kind } = what;
  const origin = doors.http;
  const params: { [key: string]: Exact } =
    kind === 'resource' ? { uri: what.uri } : { name: what.name, arguments: what.arguments };
  const subject = what.kind === 'resource' ? what.uri : what.name;
  const mirror = what.kind === 'tool' && what.schema ? mirrored(what.schema, what.arguments) : [];
  const post = (path: string, body: Exact, headers: string[] = []) =>
    command(
      `curl -sS ${quote(origin + path)}`,
      '-H "Authorization: Bearer $TOKEN"',
      "-H 'Content-Type: application/json'",
      ...headers.map((h) => `-H ${quote(h)}`),
      `--data-raw ${quote(line(body))}`,
    );
  const out: Snippet[] = [
    {
      id: 'mcp',
      title: 'MCP',
      text: post('/mcp', { jsonrpc: '2.0', id: 1, method: methods[kind], params: { ...params, _meta: meta } }, [
        'Accept: application/json, text/event-stream',
        `MCP-Protocol-Version: ${version}`,
        `Mcp-Method: ${methods[kind]}`,
        `Mcp-Name: ${header(subject)}`,
        ...mirror,
      ]),
    },
    { id: 'graphql', title: 'GraphQL', text: post('/graphql', { query: documents[kind], variables: params }) },
    { id: 'grpc', title: 'gRPC', text: grpc(what, doors.grpc) },
    { id: 'rest', title: 'REST', text: rest(what, origin, post) },
  ];
  if (what.kind === 'tool') {
    const call = command(
      // Through MCP the program sends no headers of arguments.
      `GATEWAY_TOKEN="$TOKEN" gateway call --addr ${quote(origin)}${mirror.length > 0 ? ' --via rest' : ''}`,
      `--json ${quote(line(what.arguments))} -- ${quote(what.name)}`,
    );
    out.push({ id: 'cli', title: 'Command line', text: call });
  }
  return out;
}

const command = (...parts: string[]) => parts.join(' \\\n  ');

function grpc(what: What, at: string): string {
  const [scheme, address = ''] = at.split('://');
  const method = { tool: 'CallTool', resource: 'ReadResource', prompt: 'GetPrompt' }[what.kind];
  const body: Exact =
    what.kind === 'tool'
      ? { name: what.name, argumentsJson: stringify(what.arguments) }
      : what.kind === 'prompt'
        ? { name: what.name, arguments: what.arguments }
        : { uri: what.uri };
  return command(
    `grpcurl${scheme === 'https' ? '' : ' -plaintext'} -H "authorization: Bearer $TOKEN"`,
    `-d ${quote(line(body))}`,
    `${quote(address)} gateway.v1.GatewayService/${method}`,
  );
}

function rest(what: What, origin: string, post: (path: string, body: Exact) => string): string {
  if (what.kind === 'resource') {
    return command(
      `curl -sS ${quote(`${origin}/v1/resources:read?uri=${inURL(what.uri)}`)}`,
      '-H "Authorization: Bearer $TOKEN"',
    );
  }
  if (what.kind === 'tool') return post(`/v1/tools/${inURL(what.name)}:call`, what.arguments);
  return post(`/v1/prompts/${inURL(what.name)}:get`, what.arguments);
}

/** A part of a URL: nothing that curl expands (brackets and braces) stays as it is. */
const inURL = (text: string) =>
  encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd')).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
