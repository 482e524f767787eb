import { expect, test } from 'vitest';
import { indent, spelt } from './definition';

test('a definition is indented, and nothing else about it changes', () => {
  expect(indent('{"a":[1,2],"b":{},"c":[],"d":{"e":12345678901234567890.10}}')).toBe(
    '{\n  "a": [\n    1,\n    2\n  ],\n  "b": {},\n  "c": [],\n  "d": {\n    "e": 12345678901234567890.10\n  }\n}',
  );
  expect(indent('{"a":"x, {\\"y\\": [1]}","a":"\\u200b"}')).toBe('{\n  "a": "x, {\\"y\\": [1]}",\n  "a": "\\u200b"\n}');
});

test('text that is no JSON loses nothing but space', () => {
  expect(indent('"open').trim()).toBe('"open');
  expect(indent(']]}')).toContain('}');
  expect(indent('')).toBe('');
});

test('what is spelt out stands apart', () => {
  expect(spelt('a\\u{200b}b<!-- c -->')).toEqual(['a', '\\u{200b}', 'b', '<!-- c -->', '']);
});
