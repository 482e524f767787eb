import { expect, test } from 'vitest';
import { cell, csvHead, csvLine } from './csv';
import { filterOf } from './filter';
import { decision, recordOf, story } from './record';
import { Ring } from './ring';

test('a ring keeps the last items, the newest first', () => {
  const ring = new Ring<number>(3);
  expect(ring.at(0)).toBeUndefined();
  for (let i = 1; i <= 7; i++) ring.push(i);
  expect([ring.size, ring.newestFirst(), ring.at(3)]).toEqual([3, [7, 6, 5], undefined]);
});

test('no cell of CSV is a formula or breaks its line', () => {
  expect(['=1+1', '+1', '-1', '@x', ' =1', '\t=1', '\u200b=1', '\uff1d1'].map(cell)).toEqual([
    "'=1+1",
    "'+1",
    "'-1",
    "'@x",
    "' =1",
    "'\t=1",
    "'\u200b=1",
    "'\uff1d1",
  ]);
  expect(['plain', 'a,b', 'say "x"', '=a\r\nb', -5, undefined].map(cell)).toEqual([
    'plain',
    '"a,b"',
    '"say ""x"""',
    '"\'=a\r\nb"',
    '-5',
    '',
  ]);
  const line = csvLine({ seq: 1, time: '2026-01-01T00:00:00Z', type: 'call', principal: { id: 'a,b' } });
  expect(line.split(',')).toHaveLength(csvHead.split(',').length + 1);
});

test('the URL is the filter', () => {
  const now = Date.parse('2026-01-02T00:00:00Z');
  expect(filterOf(new URLSearchParams('code=OK&principal=*alice*&live=1&x=1'), now)).toEqual({
    code: 'OK',
    principal: '*alice*',
  });
  expect(filterOf(new URLSearchParams('range=24h&from=2020-01-01'), now)).toEqual({ from: '2026-01-01T00:00:00.000Z' });
  expect(filterOf(new URLSearchParams('from=nonsense&to=2026-01-01T00:00:00Z&range=constructor'), now)).toEqual({
    to: '2026-01-01T00:00:00.000Z',
  });
});

test('a record is told in words', () => {
  expect([null, 'x', [], { seq: '1' }].map((v) => recordOf(v))).toEqual([undefined, undefined, undefined, undefined]);
  const call = { seq: 1, time: '', type: 'call', op: 'call', via: 'mcp', object: 'tool/demo/add' };
  const refused = { ...call, principal: { id: 'i|user|dev', name: 'Dev' }, code: 'PERMISSION_DENIED', by: 'policy' };
  expect(story(refused)).toBe('Dev called tool/demo/add through MCP.');
  expect(decision(refused)).toBe('The policy refused it.');
  expect(decision({ ...call, code: 'UNAVAILABLE', by: 'upstream/crm' })).toContain('source crm');
  expect(decision({ ...call, code: 'OK', served: 'stale' })).toContain('old one');
  expect(story({ seq: 1, time: '', type: 'log.gap', count: 3 })).toContain('3');
});
