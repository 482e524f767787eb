import { expect, test } from 'vitest';
import {
  appendLine,
  diff,
  fieldsOf,
  linkLine,
  parse,
  type Rule,
  readLine,
  removeLine,
  replaceLine,
  rolesOf,
  ruleLine,
  tidy,
} from './csv';

const texts = (line: string) => fieldsOf(line)?.map((f) => f.text);

test.each([
  ['p, a, *, b, call, allow', ['p', 'a', '*', 'b', 'call', 'allow']],
  ['  p ,a ,, b', ['p', 'a', '', 'b']],
  ['p, "tool/*/{get,list}_*", call', ['p', 'tool/*/{get,list}_*', 'call']],
  ['p, "a ""b"" c"', ['p', 'a "b" c']],
  ['p,"now < timestamp(""x"")"', ['p', 'now < timestamp("x")']],
  ['p, ', ['p', '']],
  ['p,', ['p', '']],
  ['', ['']],
  ['p, "  spaced  "', ['p', 'spaced']],
  ['p, "open', undefined],
  ['p, "closed" x', undefined],
  ['p, a"b', undefined],
])('the fields of %j', (line, want) => {
  expect(texts(line)).toEqual(want);
});

test('fields know where they stand', () => {
  const line = 'p,  role:a , "x,y"';
  const at = fieldsOf(line)?.map((f) => line.slice(f.from, f.to));
  expect(at).toEqual(['p', 'role:a', '"x,y"']);
});

test('a policy has rules, roles, comments and what is neither', () => {
  const text = [
    '\ufeff# comment',
    'p, role:a, , tool/x/*, call, allow',
    '',
    'p, role:a, acme, tool/x/y, call, deny, "now.getHours(\'Europe/Berlin\') < 8, or so"',
    '  # another',
    'g, group:leads, role:a',
    'g, role:a, role:b, acme\r',
    'q, what',
    'p, role:a, too, few',
  ].join('\n');
  const policy = parse(text);
  expect(policy.rules).toEqual([
    { line: 2, subject: 'role:a', domain: '*', object: 'tool/x/*', action: 'call', effect: 'allow', condition: '' },
    {
      line: 4,
      subject: 'role:a',
      domain: 'acme',
      object: 'tool/x/y',
      action: 'call',
      effect: 'deny',
      condition: "now.getHours('Europe/Berlin') < 8, or so",
    },
  ]);
  expect(policy.links).toEqual([
    { line: 6, subject: 'group:leads', role: 'role:a', domain: '*' },
    { line: 7, subject: 'role:a', role: 'role:b', domain: 'acme' },
  ]);
  expect(policy.strange).toEqual([8, 9]);
  expect(rolesOf(policy).map((r) => [r.name, r.holders.length, r.roles.length, r.rules])).toEqual([
    ['role:a', 1, 1, 2],
    ['role:b', 1, 0, 0],
  ]);
});

test('what is written is read back', () => {
  const rule: Omit<Rule, 'line'> = {
    subject: 'user:https://id.example.com|a,b',
    domain: '*',
    object: 'tool/*/{a,b}',
    action: 'call',
    effect: 'allow',
    condition: 'args.name == "x, y"',
  };
  expect(readLine(ruleLine(rule), 3)).toEqual({ ...rule, line: 3 });
  const link = { subject: 'group:a "b"', role: 'role:x', domain: 'acme' };
  expect(readLine(linkLine(link), 1)).toEqual({ ...link, line: 1 });
});

test('changing a line leaves all others as they are', () => {
  const text = '\ufeff# a\r\np, b\r\n\r\n# end';
  expect(replaceLine(text, 2, 'p, c')).toBe('\ufeff# a\r\np, c\r\n\r\n# end');
  expect(replaceLine(text, 1, '# b')).toBe('\ufeff# b\r\np, b\r\n\r\n# end');
  expect(replaceLine(text, 4, '')).toBe('\ufeff# a\r\np, b\r\n\r\n');
  expect(removeLine(text, 2)).toBe('\ufeff# a\r\n\r\n# end');
  expect(removeLine('a\nb', 2)).toBe('a\n');
  expect(appendLine('a', 'b')).toBe('a\nb\n');
  expect(appendLine('a\n', 'b')).toBe('a\nb\n');
  expect(appendLine('', 'b')).toBe('b\n');
});

test('a difference is of rules, not of comments, spaces and order', () => {
  const from = parse('# a\np, role:a, *, **, *, allow\ng, group:x, role:a, *\np, role:b, , tool/x/y, call, deny\n');
  const to = parse('g,group:x,role:a\np,  role:b, *, tool/x/y, call, deny\np, role:c, *, **, *, allow');
  expect(diff(from, to)).toEqual({
    added: ['p, role:c, *, **, *, allow'],
    removed: ['p, role:a, *, **, *, allow'],
  });
});

test('what is typed into fields becomes one line', () => {
  const link = { line: 3, subject: ' group:a\n b ', role: 'role:x', domain: ' ' };
  expect(tidy(link)).toEqual({ line: 3, subject: 'group:a b', role: 'role:x', domain: '*' });
  expect(linkLine(tidy(link))).toBe('g, group:a b, role:x');
});
