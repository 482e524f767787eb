import { expect, test } from 'vitest';
import { hasRaw, isRaw, number, parse, stringify } from './exact';

test('every digit stays, both ways', () => {
  for (const text of [
    '9007199254740993',
    '-123456789012345678901234567890',
    '0.1000000000000000055511151231257827',
    '1e400',
    '[1,2.5,"a\\nb",null,true,{"x":18446744073709551615}]',
    '{}',
    '[]',
  ]) {
    expect(stringify(parse(text))).toBe(text);
  }
  expect(number('12')).toBe(12);
  expect(number('1.50')).toBe(1.5);
  expect(isRaw(number('9007199254740993'))).toBe(true);
  expect(hasRaw(parse('{"a":[9007199254740993]}'))).toBe(true);
  expect(hasRaw(parse('{"a":[1]}'))).toBe(false);
});

test('a member of any name is a member', () => {
  expect(stringify(parse('{"__proto__":{"a":1},"constructor":2}'))).toBe('{"__proto__":{"a":1},"constructor":2}');
  expect(({} as { a?: number }).a).toBeUndefined();
});

test('what is no JSON says where', () => {
  for (const text of [
    '',
    '{',
    '{"a":1,}',
    '[1 2]',
    '{a:1}',
    '01',
    '1 2',
    '"a',
    '"\n"',
    '"\\x"',
    'nul',
    ':',
    '[,1]',
    '{"a"}',
  ]) {
    expect(() => parse(text), text).toThrow(SyntaxError);
  }
  expect(() => parse('{\n  "a": ?')).toThrow('line 2');
  expect(() => parse('['.repeat(10_000))).toThrow('deep');
});

test('it is laid out for people', () => {
  expect(stringify(parse('{"a":[1,{"b":[]}]}'), '  ')).toBe('{\n  "a": [\n    1,\n    {\n      "b": []\n    }\n  ]\n}');
});
