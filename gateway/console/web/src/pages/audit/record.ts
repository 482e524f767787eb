import type { Json } from '../../lib/graphql';

/** A record of the audit log; docs/audit.md says what its members mean. */
export type Record = {
  seq: number;
  time: string;
  type: string;
  node?: string;
  id?: string;
  parent?: string;
  via?: string;
  op?: string;
  kind?: string;
  name?: string;
  object?: string;
  principal?: {
    id?: string;
    name?: string;
    kind?: string;
    groups?: string[];
    roles?: string[];
    scopes?: string[];
    tenant?: string;
    cut?: boolean;
  };
  policy?: string;
  rule?: string;
  code?: string;
  by?: string;
  cause?: string;
  count?: number;
  served?: string;
  endpoint?: string;
  mirrored?: string;
  tool_error?: boolean;
  duration_us?: number;
  bytes_in?: number;
  bytes_out?: number;
  args_hmac?: string;
  args?: Json;
  result?: Json;
  trace?: string;
  actor?: string;
  detail?: string;
  prev?: string;
};

/** A record of an answer; undefined where it is none. */
export function recordOf(value: Json): Record | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  return typeof value.seq === 'number' ? (value as unknown as Record) : undefined;
}

/** Who asked, for people to read. */
export const who = (r: Record) =>
  r.principal?.name || r.principal?.id || r.actor || (r.type === 'call' ? 'nobody' : '');

/** What it is about. */
export const what = (r: Record) => r.object || r.name || r.detail || '';

/** What somebody did, in a word. */
export const did = (r: Record) => (r.type === 'call' || r.type === 'intent' ? r.op || r.type : r.type);

/** Whether it went well, in the tones of the kit. */
export function tone(r: Record): 'good' | 'warn' | 'bad' | 'none' {
  if (r.code === 'OK') return r.tool_error ? 'warn' : 'good';
  if (!r.code) return 'none';
  return r.code === 'CANCELLED' ? 'warn' : 'bad';
}

/** How it ended, as a badge says it. */
export const outcome = (r: Record) => (r.code === 'OK' && r.tool_error ? 'TOOL FAILED' : (r.code ?? '–'));

const acts = new Map<string | undefined, string>(
  Object.entries({
    call: 'called',
    read: 'read',
    get: 'filled in',
    complete: 'asked for completions of',
    subscribe: 'followed',
    list: 'listed',
    admin: 'administered',
  }),
);

const doors = new Map(
  Object.entries({ mcp: 'MCP', graphql: 'GraphQL', grpc: 'gRPC', rest: 'REST', http: 'the browser' }),
);

/** The door's name, for people to read. */
export const door = (via: string | undefined) => (via ? (doors.get(via) ?? via) : '');

const own = new Map<string, string>(
  Object.entries({
    'log.open': 'The gateway opened the log.',
    'log.close': 'The gateway closed the log.',
    'log.repair': 'A crash left an incomplete record, which was cut off.',
    'log.retention': 'Old segments were about to be removed.',
    'log.gap': 'Records are missing here: they were only counted while the log could not be written, or found no room.',
  }),
);

/** What happened, in one sentence. */
export function story(r: Record): string {
  const mine = own.get(r.type);
  if (mine) return r.count ? `${mine} Count: ${r.count}.` : mine;
  const by = r.principal || r.type === 'call' ? who(r) : r.actor || 'Somebody';
  const at = r.via ? ` through ${door(r.via)}` : '';
  switch (r.type) {
    case 'call':
      return `${by} ${acts.get(r.op) ?? 'sent a request for'} ${what(r) || 'something unknown'}${at}.`;
    case 'intent':
      return `${by} was about to ${r.op || 'call'} ${what(r)}${at}: admitted, and written down before the source was asked.`;
    case 'list':
      return `${by} was told ${r.count ?? 'what'} ${r.kind || 'entries'}${at}.`;
    case 'door':
      return `A request was refused at the door${r.detail ? ` (${r.detail})` : ''}.`;
  }
  return `${r.type}${r.object ? ` of ${r.object}` : ''}${by ? `, by ${by}` : ''}.`;
}

/** Who decided, and how. */
export function decision(r: Record): string {
  if (r.type === 'intent') return 'It was admitted.';
  if (!r.code) return '';
  if (r.code === 'OK') {
    const ran = r.tool_error
      ? 'It was admitted; the tool ran and reported a failure.'
      : 'It was admitted and went well.';
    return served(r) ? `${ran} ${served(r)}` : ran;
  }
  switch (r.by) {
    case 'policy':
      return 'The policy refused it.';
    case 'arguments':
      return 'Its arguments do not fit what the capability takes.';
    case 'registry':
      return 'There is nothing of that name that this caller may use.';
    case undefined:
    case '':
      return `It ended with ${r.code}.`;
  }
  if (r.by.startsWith('upstream/')) return `The source ${r.by.slice('upstream/'.length)} failed or refused it.`;
  if (r.by === r.via) return 'The door refused it: the request is malformed, too large, or asks for what is not there.';
  return `Refused by ${r.by}.`;
}

function served(r: Record): string {
  switch (r.served) {
    case 'cache':
      return 'The answer came from the cache; the source was not asked.';
    case 'stale':
      return 'The answer was an old one, as the source failed.';
    case 'fallback':
      return 'The answer was the configured fallback, as the source failed.';
  }
  return '';
}

/** Where the console shows what the record is about; undefined where it has no such page. */
export function capabilityPath(r: Record): string | undefined {
  const has = ['tool', 'resource', 'template', 'prompt'].includes(r.kind ?? '');
  return has && r.object && r.name ? `/capabilities/${r.kind}/${encodeURIComponent(r.name)}` : undefined;
}
