import type { wordsOf } from './csv';
import { actionsFor, areas } from './objects';

/** What is known of the names that rules use: those of the policy, and those of the registry. */
export type Vocabulary = ReturnType<typeof wordsOf> & {
  /** Objects whose names contain some text. */
  search: (text: string) => Promise<string[]>;
};

const once = (words: string[]) => [...new Set(words)];

/** Whom a rule can be about, or whom a role can be given to. */
export const subjectsIn = (v: Vocabulary) =>
  once([...v.subjects, 'authenticated', 'anyone', 'role:', 'group:', 'user:', 'client:']);

export const rolesIn = (v: Vocabulary) => once([...v.roles, 'role:']);

export const domainsIn = (v: Vocabulary) => once(['*', ...v.domains]);

/** The actions that apply to an object. */
export const actionsIn = (object: string) => once([...actionsFor(object), '*']);

/** Objects that a text may become: those of the registry, those of the policy, and patterns over them. At most 400. */
export async function objectsIn(v: Vocabulary, typed: string): Promise<string[]> {
  const found = await v.search(typed.split('/').at(-1) ?? '');
  const sources = once([...found, ...v.objects].map((o) => o.split('/')[1] ?? '')).filter((s) => s && !/[*?{]/.test(s));
  const wide = ['**', 'tool/**', 'resource/**', 'prompt/**', 'admin/**', ...areas.map((a) => `admin/${a}`)];
  const bySource = sources.flatMap((s) => [`tool/${s}/*`, `resource/${s}/**`, `prompt/${s}/*`, `*/${s}/**`]);
  return once([...found, ...v.objects, ...bySource, ...wide, 'toolset:', 'tag:'])
    .filter((o) => !/[,"\n]/.test(o))
    .slice(0, 400);
}
