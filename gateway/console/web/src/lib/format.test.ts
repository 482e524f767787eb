import { expect, test } from 'vitest';
import { cut, duration, plain } from './format';

test('what is not seen is spelt out', () => {
  expect(plain('a\u202eb\u200b')).toBe('a\\u{202e}b\\u{200b}');
  expect(plain('tag \u{e0041} and \u{fe0f} and \u0007')).toBe('tag \\u{e0041} and \\u{fe0f} and \\u{7}');
  expect(plain('lines\n\tstay, and 日本語 too')).toBe('lines\n\tstay, and 日本語 too');
});

test('what is long is bounded, and says so', () => {
  expect(cut('x'.repeat(12), 20)).toBe('x'.repeat(12));
  expect(cut('x'.repeat(30), 20)).toMatch(/^x{20}… \(10 more characters\)$/);
});

test('times have the unit that reads best', () => {
  expect([0.25, 3.21, 42.4, 1_500, 90_000].map(duration)).toEqual(['0.25 ms', '3.2 ms', '42 ms', '1.50 s', '1.5 min']);
});
