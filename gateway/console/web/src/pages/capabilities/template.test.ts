import { expect, test } from 'vitest';
import { expand, variablesOf } from './template';

test('templates expand as RFC 6570 says', () => {
  const values = { var: 'value', hello: 'Hello World!', path: '/foo/bar', x: '1024', y: '768', empty: '' };
  for (const [template, uri] of [
    ['{var}', 'value'],
    ['{hello}', 'Hello%20World%21'],
    ['{+hello}', 'Hello%20World!'],
    ['{+path}/here', '/foo/bar/here'],
    ['X{#var}', 'X#value'],
    ['map?{x,y}', 'map?1024,768'],
    ['X{.x,y}', 'X.1024.768'],
    ['{/var,x}/here', '/value/1024/here'],
    ['{;x,y}', ';x=1024;y=768'],
    ['{?x,y,none}', '?x=1024&y=768'],
    ['?fixed=yes{&x}', '?fixed=yes&x=1024'],
    ['{var:3}', 'val'],
    ['{none}', ''],
  ] as const) {
    expect(expand(template, values), template).toBe(uri);
  }
  expect(variablesOf('a://{x}/{+y*}{?x,z:3}')).toEqual(['x', 'y', 'z']);
  expect(expand('a://{__proto__}{', {})).toBe('a://{');
});
