// The values that a form holds: what they begin as, which choice they are of, and the numbers among them.
import { type Exact, isObject, isRaw, number, stringify, Typing } from '../../../lib/exact';
import { field, resolve, type Schema } from './schema';

/** Which choice a value fits best, by its type and the members that it has; the first where nothing speaks for one. */
export function fits(value: Exact | undefined, of: { schema: Schema }[], root: Schema): number {
  if (value === undefined) return 0;
  const points = of.map(({ schema }) => {
    const f = field(schema, root);
    switch (f.kind) {
      case 'object': {
        if (!isObject(value)) return -1;
        const marks = f.properties.map(([name, p, required]) => {
          const inner = field(p, root);
          if (inner.kind === 'const' && Object.hasOwn(value, name)) {
            return stringify(inner.value) === stringify(value[name] ?? null) ? 100 : -1_000;
          }
          return Object.hasOwn(value, name) ? 1 : required ? -1 : 0;
        });
        return marks.reduce((a: number, b) => a + b, 1);
      }
      case 'array':
        return Array.isArray(value) ? 1 : -1;
      case 'const':
        return stringify(f.value) === stringify(value) ? 100 : -1;
      case 'enum':
        return f.values.some((v) => stringify(v) === stringify(value)) ? 50 : -1;
      case 'number':
      case 'integer':
        return typeof value === 'number' || isRaw(value) || value instanceof Typing ? 1 : -1;
      default:
        return typeof value === f.kind ? 1 : f.kind === 'json' ? 0 : -1;
    }
  });
  return points.indexOf(Math.max(...points));
}

const numeral = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A number as it is typed: undefined for nothing, and what was typed where it is no number. */
export function typedNumber(typed: string): Exact | undefined {
  const tidy = typed
    .trim()
    .replace(/^\+/, '')
    .replace(/^(-?)0+(?=\d)/, '$1');
  if (tidy === '') return undefined;
  return numeral.test(tidy) ? number(tidy) : new Typing(typed);
}

/** What a field holds before anything is typed: nothing where it may be left out. */
export function initial(schema: Schema, root: Schema, required: boolean, depth = 0): Exact | undefined {
  const s = resolve(schema, root);
  if (!s || depth > 5) return undefined;
  if (s.default !== undefined) return s.default;
  if (!required) return undefined;
  const f = field(s, root);
  if (f.kind === 'const') return f.value;
  if (f.kind === 'array') return [];
  if (f.kind === 'choice') return f.of[0] ? initial(f.of[0].schema, root, true, depth + 1) : undefined;
  if (f.kind !== 'object') return undefined;
  const members: [string, Exact][] = [];
  for (const [name, p, needed] of f.properties) {
    const value = initial(p, root, needed, depth + 1);
    if (value !== undefined) members.push([name, value]);
  }
  return Object.fromEntries(members);
}

/** The places of a value where what was typed is no number, as JSON Pointers. */
export function notNumbers(value: Exact | undefined, pointer = ''): string[] {
  if (value instanceof Typing) return [pointer];
  if (typeof value !== 'object' || value === null || isRaw(value)) return [];
  return Object.entries(value).flatMap(([key, v]) => notNumbers(v, `${pointer}/${step(key)}`));
}

/** A key as a step of a JSON Pointer (RFC 6901). */
export const step = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1');
