import type { Json } from '../../lib/graphql';

/** A question about the policy, as the address of its page has it. */
export type Question = {
  /** Subjects as rules name them, or one id of a principal; empty for nobody in particular. */
  who: string;
  tenant: string;
  object: string;
  action: string;
  via: string;
  /** A JSON object, as it was typed. */
  args: string;
};

/** Reads an address. `role`, `group` and `subject` can stand in it several times. */
export function readQuestion(p: URLSearchParams): Question {
  const subjects = [
    ...p.getAll('subject'),
    ...p.getAll('role').map((r) => `role:${r}`),
    ...p.getAll('group').map((g) => `group:${g}`),
  ];
  const get = (key: string) => p.get(key) ?? '';
  return {
    who: get('principal') || subjects.join(' '),
    tenant: get('tenant'),
    object: get('object'),
    action: get('action'),
    via: get('via'),
    args: get('args'),
  };
}

/** An address that asks the same. */
export function writeQuestion(q: Question): URLSearchParams {
  const out = new URLSearchParams();
  const who = whoOf(q);
  if (who?.principal) out.set('principal', who.principal);
  for (const s of who?.subjects ?? []) out.append('subject', s);
  for (const key of ['tenant', 'object', 'action', 'via', 'args'] as const)
    if (q[key].trim()) out.set(key, q[key].trim());
  return out;
}

type Who = { principal?: string; subjects?: string[]; tenant?: string };

/** Whom the question is about; undefined for nobody in particular. */
export function whoOf(q: Pick<Question, 'who' | 'tenant'>): Who | undefined {
  const text = q.who.trim();
  if (!text) return undefined;
  const tenant = q.tenant.trim() || undefined;
  if (isPrincipal(text)) return { principal: text, tenant };
  return { subjects: text.split(/[\s,]+/).filter(Boolean), tenant };
}

/** Whether text is the id of a principal, issuer|kind|subject, and not words of rules. */
const isPrincipal = (text: string) =>
  !/^(user|client|group|role):|^(authenticated|anyone)\b/.test(text) && /\|(user|client|anonymous)\|/.test(text);

/** The arguments of a call; `problem` says why the text is none. */
export function argsOf(text: string): { value?: Json; problem?: string } {
  if (!text.trim()) return {};
  try {
    const value = JSON.parse(text) as Json;
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return { value };
  } catch {
    // Said below.
  }
  return { problem: 'Arguments are a JSON object, such as {"a": 1}.' };
}
