import { expect, test } from 'vitest';
import { busiest, columns, lines, remember, type Sample, type Share, span, steps, type Traffic } from './history';

const share = (name: string, calls: number, p99Ms = 1): Share => ({
  name,
  calls,
  toolErrors: 0,
  refused: 0,
  failed: 0,
  canceled: 0,
  p50Ms: p99Ms,
  p99Ms,
});
const second = (at: number, doors: Share[] = []): Traffic => ({
  time: new Date(at * 1000).toISOString(),
  seconds: 1,
  total: share('', 0),
  doors,
  sources: [],
});
const after = (...all: Traffic[]) => all.reduce<Sample[]>(remember, []);

test('what is kept is bounded, by number and by age', () => {
  const all = after(...Array.from({ length: 2 * span }, (_, i) => second(1_000 + i)));
  expect(all).toHaveLength(span);
  expect(all[0]?.at).toBe(1_000 + span);
  expect(remember(all, second(10_000))).toHaveLength(1);
});

test('a second that comes twice counts once, and a clock that goes back begins anew', () => {
  expect(after(second(5), second(5))).toHaveLength(1);
  expect(after(second(5), second(6), second(2)).map((s) => s.at)).toEqual([2]);
});

test('lines are those with the most calls, in the order of their names', () => {
  const many = Array.from({ length: lines + 3 }, (_, i) => share(`s${String(i).padStart(2, '0')}`, i));
  const { names, others } = busiest(after(second(1, many)), 'doors');
  expect(names).toHaveLength(lines);
  expect(names[0]).toBe('s03');
  expect(others).toBe(3);
});

test('missing seconds are a gap, and seconds without calls took no time', () => {
  const history = after(second(1, [share('mcp', 2, 7)]), second(2), second(9, [share('mcp', 4, 9)]));
  expect(columns(history, 'doors', ['mcp'], 'calls')).toEqual([
    [1, 2, 3, 9],
    [2, 0, null, 4],
  ]);
  expect(columns(history, 'doors', ['mcp'], 'p99')[1]).toEqual([7, null, null, 9]);
});

test('the table has the mean of counts and the longest of times', () => {
  const data: [number[], (number | null)[]] = [
    [10, 11, 12, 20],
    [2, 4, null, 8],
  ];
  expect(steps(data, true)).toEqual([
    { at: 20, values: [8] },
    { at: 10, values: [3] },
  ]);
  expect(steps(data, false)[1]).toEqual({ at: 10, values: [4] });
});
