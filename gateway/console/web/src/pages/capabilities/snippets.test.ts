import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { parse } from '../../lib/exact';
import { line, quote, snippets } from './snippets';

const attacks = [
  "it's",
  '$(touch /nowhere/pwned)',
  '`id`',
  '"; id; "',
  "'; id; '",
  'two\nlines',
  'tab\there',
  '\\',
  "\\'",
  '!!',
  '-rf',
  '--data',
  '=ls',
  '@file',
  '%s',
  '~',
  '*',
  '',
  ' ',
  'a\u202eb\u200b',
  "\u202e'$(id)\\",
  '日本語 🎉',
  '\u001b[31m',
];

/** The words that a shell makes of lines, line by line. */
const words = (...texts: string[]) =>
  execFileSync('bash', ['--norc', '-c', texts.map((t) => `printf '%s\\0' ${t}\nprintf '\\n\\0'`).join('\n')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { LC_ALL: 'C.UTF-8', PATH: process.env.PATH },
  })
    .split('\n\0')
    .slice(0, -1)
    .map((l) => l.split('\0').slice(0, -1));

test('a shell reads each word as it is', () => {
  expect(words(...attacks.map(quote), attacks.map(quote).join(' '))).toEqual([...attacks.map((a) => [a]), attacks]);
});

test('JSON is on one line, and nothing of it is unseen', () => {
  const value = { text: 'a\nb\u202ec\u{e0041}', n: parse('9007199254740993') };
  expect(line(value)).toBe('{"text":"a\\nb\\u202ec\\udb40\\udc41","n":9007199254740993}');
  expect(JSON.parse(line({ a: attacks }))).toEqual({ a: attacks });
});

test('every snippet hands on the name and the arguments, and runs nothing of them', () => {
  const all = attacks.map((text) => ({
    text,
    of: snippets({ kind: 'tool', name: text || 'x', arguments: { [text]: text } }, 'http://127.0.0.1:8080'),
  }));
  const read = words(...all.flatMap(({ of }) => of.map((s) => s.text.replace(/^GATEWAY_TOKEN=\S+ /, ''))));
  for (const { text, of } of all) {
    expect(of.map((s) => s.id)).toEqual(['mcp', 'graphql', 'grpc', 'rest', 'cli']);
    for (const s of of) {
      const got = read.shift() ?? [];
      const json = got[1 + got.findIndex((w) => ['--data-raw', '-d', '--json'].includes(w))] ?? '';
      expect(JSON.stringify(deep(JSON.parse(json))), s.title).toContain(JSON.stringify({ [text]: text }));
    }
  }
});

/** The arguments inside a message of gRPC are JSON inside JSON. */
const deep = (body: { argumentsJson?: string }) => (body.argumentsJson ? JSON.parse(body.argumentsJson) : body);

test('resources and prompts have theirs', () => {
  const [mcp, , grpc, rest] = snippets({ kind: 'resource', uri: 'demo://a b?x=[1]' }, 'https://gw.example.com');
  expect(mcp?.text).toContain('Mcp-Name: demo://a b?x=[1]');
  expect(grpc?.text).not.toContain('-plaintext');
  expect(rest?.text).toContain('uri=demo%3A%2F%2Fa%20b%3Fx%3D%5B1%5D');
  const prompt = snippets({ kind: 'prompt', name: 'demo.greet', arguments: { name: 'Ada' } }, 'http://[::1]:8080');
  expect(prompt.map((s) => s.id)).toEqual(['mcp', 'graphql', 'grpc', 'rest']);
  expect(prompt[2]?.text).toContain('[::1]:9090');
});

test('a name that no header can hold is in Base64', () => {
  const [mcp] = snippets({ kind: 'tool', name: 'ü', arguments: {} }, 'http://h');
  expect(mcp?.text).toContain('Mcp-Name: =?base64?w7w=?=');
});
