import { expect, test } from 'vitest';
import { argsOf, readQuestion, whoOf, writeQuestion } from './question';

const ask = (address: string) => readQuestion(new URLSearchParams(address));

test('an address is read and written', () => {
  const q = ask('role=guest&group=eng&object=tool/demo/add&action=call');
  expect(q.who).toBe('role:guest group:eng');
  expect(writeQuestion(q).toString()).toBe(
    'subject=role%3Aguest&subject=group%3Aeng&object=tool%2Fdemo%2Fadd&action=call',
  );
  expect(readQuestion(writeQuestion(q))).toEqual(q);
});

test.each([
  ['', undefined],
  ['role:a, group:b', { subjects: ['role:a', 'group:b'], tenant: undefined }],
  ['https://id.example.com|user|alice', { principal: 'https://id.example.com|user|alice', tenant: undefined }],
  ['user:https://id.example.com|user|x', { subjects: ['user:https://id.example.com|user|x'], tenant: undefined }],
  ['authenticated', { subjects: ['authenticated'], tenant: undefined }],
])('who is %j', (who, want) => {
  expect(whoOf({ who, tenant: '' })).toEqual(want);
});

test('arguments are an object or a problem', () => {
  expect(argsOf(' ')).toEqual({});
  expect(argsOf('{"a": 1}')).toEqual({ value: { a: 1 } });
  expect(argsOf('[1]').problem).toBeTruthy();
  expect(argsOf('{').problem).toBeTruthy();
});
