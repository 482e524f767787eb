import { expect, test } from 'vitest';
import { parse, wordsOf } from './csv';
import { actionsIn, domainsIn, objectsIn, rolesIn, subjectsIn, type Vocabulary } from './suggest';

const policy = parse('p, group:a, acme, tool/shop/pay, call, allow\ng, user:x, role:till\n');
const vocabulary = (found: string[]): Vocabulary => ({ ...wordsOf(policy), search: async () => found });

test('names are those of the policy, each once, and what they can begin with', () => {
  const v = vocabulary([]);
  expect(subjectsIn(v).slice(0, 3)).toEqual(['group:a', 'role:till', 'user:x']);
  expect(subjectsIn(v)).toContain('anyone');
  expect(rolesIn(v)).toEqual(['role:till', 'role:']);
  expect(domainsIn(v)).toEqual(['*', 'acme']);
  expect(actionsIn('prompt/a/b')).toEqual(['get', 'complete', 'list', '*']);
});

test('objects are those that are found, those of the policy, and patterns over their sources', async () => {
  const asked: string[] = [];
  const search = async (text: string) => {
    asked.push(text);
    return ['tool/demo/add'];
  };
  const v = { ...vocabulary([]), search };
  const all = await objectsIn(v, 'tool/demo/ad');
  expect(asked).toEqual(['ad']);
  expect(all.slice(0, 2)).toEqual(['tool/demo/add', 'tool/shop/pay']);
  expect(all).toEqual(expect.arrayContaining(['tool/demo/*', 'resource/shop/**', 'admin/policy', 'tag:']));
});

test('objects are bounded, and none that a line cannot hold without quotes', async () => {
  const many = Array.from({ length: 1_000 }, (_, i) => `tool/s/${i}`);
  expect(await objectsIn(vocabulary(many), '')).toHaveLength(400);
  expect(await objectsIn(vocabulary(['tool/s/a,b', 'tool/s/"c"']), '')).not.toEqual(
    expect.arrayContaining(['tool/s/a,b']),
  );
});
