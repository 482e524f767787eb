import { expect, test } from 'vitest';
import { type Exact, parse, stringify } from '../../../lib/exact';
import { field, type Schema } from './schema';
import { fits, initial, notNumbers, typedNumber } from './values';

const read = (s: Schema) => field(s, s);

test('types become fields', () => {
  const kinds = (['string', 'number', 'integer', 'boolean', 'array', 'object'] as const).map(
    (type) => read({ type }).kind,
  );
  expect(kinds).toEqual(['string', 'number', 'integer', 'boolean', 'array', 'object']);
  expect(read({ type: ['string', 'null'] })).toMatchObject({ kind: 'string', nullable: true });
  expect(read({ type: ['string', 'integer'] })).toMatchObject({
    kind: 'choice',
    of: [{ label: 'string' }, { label: 'integer' }],
  });
  expect(read({ enum: ['a', 1, null] })).toMatchObject({ kind: 'enum', values: ['a', 1], nullable: true });
  expect(read({ const: { a: 1 } })).toMatchObject({ kind: 'const' });
  expect(read({})).toMatchObject({ kind: 'json' });
  expect(read({ type: 'string', minLength: 2, format: 'date' }).hints).toEqual(['date', 'at least 2 characters']);
  expect(read({ type: 'array', items: {}, minItems: 1 }).hints).toEqual(['at least 1 item']);
});

test('references are followed, and circles end', () => {
  const root: Schema = {
    type: 'object',
    properties: {
      tree: { $ref: '#/$defs/node' },
      self: { $ref: '#/$defs/loop' },
      far: { $ref: 'http://elsewhere/x' },
      'a/b': { type: 'string' },
    },
    required: ['tree'],
    $defs: {
      node: {
        type: 'object',
        properties: { child: { $ref: '#/$defs/node' }, n: { type: 'integer' } },
        required: ['child'],
      },
      loop: { $ref: '#/$defs/loop' },
    },
  };
  const f = field(root, root);
  if (f.kind !== 'object') throw new Error(f.kind);
  expect(f.properties.map(([name, s]) => [name, field(s, root).kind])).toEqual([
    ['tree', 'object'],
    ['self', 'json'],
    ['far', 'json'],
    ['a/b', 'string'],
  ]);
  expect(stringify(initial(root, root, true) ?? null).length).toBeLessThan(200);
});

test('a choice is known by its type, its members and its constants', () => {
  const of: { schema: Schema }[] = [
    { schema: { type: 'object', properties: { kind: { const: 'card' }, no: { type: 'string' } } } },
    { schema: { type: 'object', properties: { kind: { const: 'cash' } } } },
    { schema: { type: 'string' } },
    { schema: { type: 'integer' } },
  ];
  const best = (v: Exact) => fits(v, of, {});
  expect([{ kind: 'card' }, { kind: 'cash' }, 'x', parse('9007199254740993')].map(best)).toEqual([0, 1, 2, 3]);
  expect(read({ anyOf: [{ type: 'string' }, { type: 'null' }] })).toMatchObject({ kind: 'string', nullable: true });
  const shared = read({
    properties: { a: { type: 'string' } },
    type: 'object',
    oneOf: [{ title: 'A', required: ['a'] }, { title: 'B' }],
  });
  expect(shared).toMatchObject({ kind: 'choice', of: [{ label: 'A', schema: { type: 'object' } }, { label: 'B' }] });
});

test('numbers are kept as they are typed', () => {
  expect(typedNumber('')).toBeUndefined();
  expect(typedNumber(' 007 ')).toBe(7);
  expect(stringify(typedNumber('9007199254740993') ?? null)).toBe('9007199254740993');
  const bad = typedNumber('12a');
  expect(notNumbers({ 'a/b': [1, bad ?? null] })).toEqual(['/a~1b/1']);
  expect(JSON.stringify({ bad })).toBe('{"bad":"12a"}');
});

test('what must be there begins there, with defaults and constants', () => {
  const s: Schema = {
    type: 'object',
    required: ['v', 'o', 'list', 'text'],
    properties: {
      v: { const: 2 },
      o: { type: 'object', properties: { d: { type: 'integer', default: 5 } } },
      list: { type: 'array' },
      text: { type: 'string' },
      free: { type: 'string' },
    },
  };
  expect(initial(s, s, true)).toEqual({ v: 2, o: { d: 5 }, list: [] });
});

test('a hostile schema makes no form that cannot be shown', () => {
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`p${i}`, { type: 'string' }]));
  const f = read({ type: 'object', properties: many });
  expect(f.kind === 'object' && f.properties.length).toBe(500);
  for (const s of [
    { type: 5 },
    { properties: [] },
    { enum: 'x' },
    { $ref: '#/%E0%A4%A' },
    { oneOf: [1] },
    { items: 3, type: 'array' },
  ]) {
    expect(() => read(s as unknown as Schema)).not.toThrow();
  }
});

test('constants with titles are one choice', () => {
  const titled = read({
    type: 'string',
    oneOf: [{ const: 'GREEN', title: 'Green tea' }, { const: 'BLACK' }, { type: 'null' }],
  });
  expect(titled).toMatchObject({
    kind: 'enum',
    values: ['GREEN', 'BLACK'],
    labels: ['Green tea', 'BLACK'],
    nullable: true,
  });
  expect(read({ enum: ['g', 'b'], enumNames: ['Green'] })).toMatchObject({ kind: 'enum', labels: ['Green', 'b'] });
  expect(read({ oneOf: [{ const: 1 }, { type: 'string' }] })).toMatchObject({ kind: 'choice' });
});
