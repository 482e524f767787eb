import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { asPattern, briefly, clock, cut, dayUnlessToday, duration, plain, plural } from './format';

test('what is not seen is spelt out', () => {
  expect(plain('a\u202eb\u200b')).toBe('a\\u{202e}b\\u{200b}');
  expect(plain('tag \u{e0041} and \u{fe01} and \u0007')).toBe('tag \\u{e0041} and \\u{fe01} and \\u{7}');
  expect(plain('lines\n\tstay, and 日本語 too')).toBe('lines\n\tstay, and 日本語 too');
});

test('emoji stay whole, and a joiner anywhere else is seen', () => {
  expect(plain('❤\ufe0f 👩\u200d💻')).toBe('❤\ufe0f 👩\u200d💻');
  expect(plain('a\u200db 👩\u200d')).toBe('a\\u{200d}b 👩\\u{200d}');
});

test('what is not seen here is what the gateway reports as hidden', () => {
  const spans: [number, number][] = JSON.parse(readFileSync('../../pin/testdata/invisible.json', 'utf8'));
  const hidden = new Set(spans.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)));
  const differ: string[] = [];
  for (let c = 0; c <= 0x10ffff; c++) {
    if (c === 10 || c === 9 || c === 13 || (c >= 0xd800 && c <= 0xdfff)) continue; // Lines, and halves of characters.
    const text = String.fromCodePoint(c);
    if ((plain(text) !== text) !== hidden.has(c)) differ.push(c.toString(16));
  }
  expect(differ).toEqual([]);
});

test('what is long is bounded, and says so', () => {
  expect(cut('x'.repeat(12), 20)).toBe('x'.repeat(12));
  expect(cut('x'.repeat(30), 20)).toMatch(/^x{20}… \(10 more characters\)$/);
});

test('times have the unit that reads best', () => {
  expect([0.25, 3.21, 42.4, 1_500, 90_000].map(duration)).toEqual(['0.25 ms', '3.2 ms', '42 ms', '1.50 s', '1.5 min']);
});

test('a moment of another day has its day, and every moment its milliseconds', () => {
  const at = new Date(2026, 10, 23, 4, 5, 6, 78);
  expect(clock(at)).toBe('04:05:06.078');
  expect(dayUnlessToday(at, new Date(2026, 10, 23, 23, 59, 59))).toBe('');
  expect(dayUnlessToday(at, new Date(2026, 10, 24))).toMatch(/23/);
  expect(dayUnlessToday(at, new Date(2026, 10, 24))).not.toMatch(/26/);
  expect(dayUnlessToday(at, new Date(2027, 10, 23))).toMatch(/26/);
});

test('what is short says no more than it must', () => {
  const at = new Date(2026, 10, 23, 4, 5, 6, 78).toISOString();
  expect(briefly(at, new Date(2026, 10, 23, 23, 59, 59))).toBe('04:05:06');
  expect(briefly(at, new Date(2026, 10, 24))).toMatch(/23, 04:05:06$/);
  expect([0, 1, 2].map((n) => plural(n, 'call'))).toEqual(['0 calls', '1 call', '2 calls']);
});

test('a value is a pattern that it matches', () => {
  expect(asPattern('tool/a*b?c/[d]')).toBe('tool/a?b?c/[d]');
});
