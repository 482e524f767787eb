// What a JSON Schema asks for, as a form shows it. A schema comes from a source: it may be of any size, refer to itself,
// or make no sense. So it is read one level at a time, as the form is opened; what no form can show is edited as JSON,
// and what is right is for the gateway to say.
import { type Exact, isObject, stringify } from '../../../lib/exact';

export type Schema = { [key: string]: Exact };

/** A place in a form. */
export type Field = {
  title: string;
  description: string;
  /** What else the schema says, in words: bounds, formats, defaults. */
  hints: string[];
  nullable: boolean;
} & (
  | { kind: 'string' }
  | { kind: 'number' }
  | { kind: 'integer' }
  | { kind: 'boolean' }
  | { kind: 'enum'; values: Exact[]; labels: string[] }
  | { kind: 'const'; value: Exact }
  | { kind: 'array'; items: Schema; prefix: Schema[] }
  | { kind: 'object'; properties: [name: string, schema: Schema, required: boolean][]; rest: Schema | null }
  | { kind: 'choice'; of: { label: string; schema: Schema }[] }
  | { kind: 'json' }
);

const most = 500; // Properties, choices and values that a form shows.
const types = ['string', 'number', 'integer', 'boolean', 'array', 'object'];

const text = (v: Exact | undefined) => (typeof v === 'string' ? v : '');
const list = (v: Exact | undefined) => (Array.isArray(v) ? v : []);
const schemas = (v: Exact | undefined) => list(v).filter(isObject);

/** Follows `$ref` within the document and joins `allOf`; what leads elsewhere or in a circle is no schema of a form. */
export function resolve(schema: Schema, root: Schema, depth = 0): Schema | null {
  if (depth > 20) return null;
  const parts = schemas(schema.allOf);
  if (typeof schema.$ref === 'string') {
    const target = at(root, schema.$ref);
    if (!target) return null;
    parts.unshift(target);
  }
  if (parts.length === 0) return schema;
  let out: Schema = {};
  for (const part of parts) {
    const one = resolve(part, root, depth + 1);
    if (!one) return null;
    out = join(out, one);
  }
  const { $ref: _, allOf: __, ...own } = schema;
  return join(out, own);
}

function join(a: Schema, b: Schema): Schema {
  const out = { ...a, ...b };
  if (isObject(a.properties) && isObject(b.properties)) out.properties = { ...a.properties, ...b.properties };
  if (Array.isArray(a.required) && Array.isArray(b.required)) out.required = [...a.required, ...b.required];
  return out;
}

function at(root: Schema, ref: string): Schema | null {
  if (ref !== '#' && !ref.startsWith('#/')) return null;
  let here: Exact | undefined = root;
  for (const step of ref.split('/').slice(1)) {
    const key = unescaped(step);
    if (Array.isArray(here)) here = here[Number(key)];
    else here = isObject(here) && Object.hasOwn(here, key) ? here[key] : undefined;
  }
  return isObject(here) ? here : null;
}

function unescaped(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return step;
  }
}

/** Reads one level of a schema. `name` is the title of what has none. */
export function field(schema: Schema, root: Schema, name = ''): Field {
  const s = resolve(schema, root);
  if (!s) return { title: name, description: '', hints: [], nullable: false, kind: 'json' };
  const named = (Array.isArray(s.type) ? s.type : [s.type]).filter((t): t is string => typeof t === 'string');
  const base = {
    title: text(s.title) || name,
    description: text(s.description),
    hints: hints(s),
    nullable: named.includes('null') || list(s.enum).includes(null),
  };
  if (s.const !== undefined) return { ...base, kind: 'const', value: s.const };
  const values = list(s.enum).filter((v) => v !== null);
  if (values.length > 0 && values.length <= most) {
    const names = list(s.enumNames); // MCP's own, by place.
    return {
      ...base,
      kind: 'enum',
      values,
      labels: values.map((v) => text(names[list(s.enum).indexOf(v)]) || short(v)),
    };
  }
  const wanted = named.filter((t) => t !== 'null');
  const of = choices(s, root);
  if (of) {
    const full = of.filter((c) => c.schema.type !== 'null' && c.schema.const !== null);
    const nullable = base.nullable || full.length < of.length;
    const only = full.length === 1 ? full[0] : undefined;
    if (only)
      return {
        ...field(only.schema, root, base.title),
        nullable,
        ...(base.description && { description: base.description }),
      };
    const values = full.flatMap((c) => (c.schema.const === undefined ? [] : [c.schema.const]));
    if (full.length > 0 && values.length === full.length)
      return { ...base, nullable, kind: 'enum', values, labels: full.map((c) => c.label) };
    if (full.length > 0) return { ...base, nullable, kind: 'choice', of: full };
  }
  if (wanted.length > 1) {
    return { ...base, kind: 'choice', of: wanted.map((type) => ({ label: type, schema: { ...s, type } })) };
  }
  return { ...base, ...shape(s, wanted[0]) };
}

function shape(s: Schema, type: string | undefined) {
  if (type === 'object' || (!type && isObject(s.properties))) {
    const needed = new Set(list(s.required));
    const all = Object.entries(isObject(s.properties) ? s.properties : {});
    const properties = all
      .slice(0, most)
      .map(([n, p]): [string, Schema, boolean] => [n, isObject(p) ? p : {}, needed.has(n)]);
    const more = s.additionalProperties;
    // Without a word of the schema any member is allowed; a form offers that only where it knows of no others.
    const rest = isObject(more) ? more : more === true || (more === undefined && all.length === 0) ? {} : null;
    return { kind: 'object', properties, rest } as const;
  }
  if (type === 'array') {
    return {
      kind: 'array',
      items: isObject(s.items) ? s.items : {},
      prefix: schemas(s.prefixItems).slice(0, most),
    } as const;
  }
  if (type === 'string' || type === 'number' || type === 'integer' || type === 'boolean')
    return { kind: type } as const;
  return { kind: 'json' } as const;
}

function choices(s: Schema, root: Schema) {
  const all = schemas(s.oneOf ?? s.anyOf);
  if (all.length === 0 || all.length > most) return null;
  const { oneOf: _, anyOf: __, title: ___, description: ____, ...own } = s;
  return all.map((one, i) => {
    const full = resolve(one, root) ?? one;
    const label = text(full.title) || (full.const !== undefined ? short(full.const) : '') || typeName(full);
    return { label: label || `choice ${i + 1}`, schema: resolve({ allOf: [own, full] }, root) ?? full };
  });
}

/** The type that a schema names, in words. */
export function typeName(s: Schema): string {
  if (s.const !== undefined) return 'constant';
  const named = (Array.isArray(s.type) ? s.type : [s.type]).filter((t): t is string => typeof t === 'string');
  const own = named.filter((t) => types.includes(t) || t === 'null').join(' or ');
  if (own) return own;
  if (Array.isArray(s.enum)) return 'one of a few';
  if (s.oneOf || s.anyOf) return 'one of several';
  return isObject(s.properties) ? 'object' : 'anything';
}

/** A value in a few characters. */
export function short(value: Exact): string {
  const all = typeof value === 'string' ? value : stringify(value);
  return all.length > 100 ? `${all.slice(0, 100)}…` : all;
}

const counted = (v: string, word: string) => `${v} ${word}${v === '1' ? '' : 's'}`;

const words: [key: string, say: (v: string) => string][] = [
  ['format', (v) => v],
  ['contentEncoding', (v) => v],
  ['minimum', (v) => `at least ${v}`],
  ['exclusiveMinimum', (v) => `more than ${v}`],
  ['maximum', (v) => `at most ${v}`],
  ['exclusiveMaximum', (v) => `less than ${v}`],
  ['multipleOf', (v) => `a multiple of ${v}`],
  ['minLength', (v) => `at least ${counted(v, 'character')}`],
  ['maxLength', (v) => `at most ${counted(v, 'character')}`],
  ['pattern', (v) => `matches ${v}`],
  ['minItems', (v) => `at least ${counted(v, 'item')}`],
  ['maxItems', (v) => `at most ${counted(v, 'item')}`],
  ['default', (v) => `${v} by default`],
];

/** What a schema says of its values beside their type. */
export function hints(s: Schema): string[] {
  const out = words
    .filter(([key]) => s[key] !== undefined && s[key] !== '')
    .map(([key, say]) => say(short(s[key] ?? null)));
  if (s.uniqueItems === true) out.push('no item twice');
  if (s.deprecated === true) out.push('deprecated');
  return out;
}
