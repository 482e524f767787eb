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

const local = { http: 'http://127.0.0.1:8080', grpc: 'http://127.0.0.1:9090' };

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
    of: snippets({ kind: 'tool', name: text || 'x', arguments: { [text]: text } }, local),
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
  const [mcp, , grpc, rest] = snippets(
    { kind: 'resource', uri: 'demo://a b?x=[1]' },
    {
      http: 'https://gw.example.com',
      grpc: 'https://grpc.example.com:443',
    },
  );
  expect(mcp?.text).toContain('Mcp-Name: demo://a b?x=[1]');
  expect(grpc?.text).not.toContain('-plaintext');
  expect(grpc?.text).toContain(' grpc.example.com:443 gateway.v1.');
  expect(rest?.text).toContain('uri=demo%3A%2F%2Fa%20b%3Fx%3D%5B1%5D');
  const prompt = snippets(
    { kind: 'prompt', name: 'demo.greet', arguments: { name: 'Ada' } },
    {
      http: 'http://[::1]:8080',
      grpc: 'http://[::1]:9191',
    },
  );
  expect(prompt.map((s) => s.id)).toEqual(['mcp', 'graphql', 'grpc', 'rest']);
  expect(prompt[2]?.text).toContain('-plaintext');
  expect(words(prompt[2]?.text ?? '')[0]?.at(-2)).toBe('[::1]:9191');
});

test('a name that no header can hold is in Base64', () => {
  const [mcp] = snippets({ kind: 'tool', name: 'ü', arguments: {} }, local);
  expect(mcp?.text).toContain('Mcp-Name: =?base64?w7w=?=');
});

test('arguments that the schema wants in headers are there, each as it must be', () => {
  const schema = {
    properties: {
      region: { type: 'string', 'x-mcp-header': 'Region' },
      empty: { type: 'string', 'x-mcp-header': 'Empty' },
      deep: { properties: { level: { type: 'integer', 'x-mcp-header': 'Level' } } },
      dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
      none: { type: 'string', 'x-mcp-header': 'None' },
      bad: { type: 'string', 'x-mcp-header': 'Bad: x' },
    },
  };
  const args = { region: 'ü', empty: '', deep: { level: 3 }, dry: false, none: null, bad: 'x' };
  const [mcp, , , , cli] = snippets({ kind: 'tool', name: 'x', arguments: args, schema }, local);
  expect(cli?.text).toContain(' --via rest ');
  const headers = (words(mcp?.text ?? '')[0] ?? []).filter((w) => w.startsWith('Mcp-Param-'));
  expect(headers).toEqual([
    'Mcp-Param-Region: =?base64?w7w=?=',
    'Mcp-Param-Empty: =?base64??=',
    'Mcp-Param-Level: 3',
    'Mcp-Param-Dry: false',
  ]);
});
