/** A tool or prompt as rules name it: by its source's own name, without the prefix that the registry may have put before it. */
export function objectOf(kind: 'tool' | 'prompt', source: string, name: string): string {
  const own = name.startsWith(`${source}.`) ? name.slice(source.length + 1) : name;
  return `${kind}/${source}/${own}`;
}

/** The areas of administration. */
export const areas = ['policy', 'keys', 'sessions', 'sources', 'audit', 'limits', 'traffic'];

const actionsByKind: Record<string, string[]> = {
  tool: ['call', 'list'],
  resource: ['read', 'subscribe', 'complete', 'list'],
  prompt: ['get', 'complete', 'list'],
  admin: ['read', 'admin'],
};

/** The actions that apply to an object, as far as its beginning tells. */
export const actionsFor = (object: string): string[] =>
  actionsByKind[object.split('/', 1)[0] ?? ''] ?? ['call', 'read', 'subscribe', 'complete', 'get', 'list', 'admin'];
