/*
 * The dialect of rules, as the gateway reads it: Casbin's CSV, one line a rule (p) or role (g), comments with #. What the
 * gateway refuses is kept here as text; the gateway says what is wrong with it.
 */

/** A part of a line, between two commas. */
export type Field = {
  /** Without quotes and the space around it. */
  text: string;
  /** Where it begins and ends in the line, with its quotes, in UTF-16 units. */
  from: number;
  to: number;
};

/** A line that says who may do what. */
export type Rule = {
  /** In the text, from 1. */
  line: number;
  subject: string;
  domain: string;
  object: string;
  action: string;
  effect: string;
  /** Empty where the rule always applies. */
  condition: string;
};

/** A line that gives a role. */
export type RoleLink = { line: number; subject: string; role: string; domain: string };

export type Policy = {
  rules: Rule[];
  links: RoleLink[];
  /** Lines that are neither, nor comments. */
  strange: number[];
};

/** The lines of a text, without their ends. */
export const linesOf = (text: string): string[] => text.replace(/^\ufeff/, '').split(/\r\n|\n/);

/** The fields of a line; undefined where its quotes do not fit. */
export function fieldsOf(line: string): Field[] | undefined {
  const out: Field[] = [];
  for (let at = 0; ; ) {
    const begin = at + (/^\s*/.exec(line.slice(at))?.[0].length ?? 0);
    const field = line[begin] === '"' ? quoted(line, begin) : bare(line, at, begin);
    if (!field) return undefined;
    out.push(field.field);
    if (field.next > line.length) return out;
    at = field.next;
  }
}

type Read = { field: Field; next: number };

function bare(line: string, at: number, begin: number): Read | undefined {
  const comma = line.indexOf(',', at);
  const end = comma < 0 ? line.length : comma;
  const from = Math.min(begin, end);
  const text = line.slice(from, end).trim();
  if (text.includes('"')) return undefined;
  return { field: { text, from, to: from + text.length }, next: end + 1 };
}

function quoted(line: string, from: number): Read | undefined {
  let text = '';
  for (let at = from + 1; at < line.length; at++) {
    if (line[at] !== '"') {
      text += line[at];
    } else if (line[at + 1] === '"') {
      text += line[at++];
    } else {
      const to = at + 1;
      if (to < line.length && line[to] !== ',') return undefined;
      return { field: { text: text.trim(), from, to }, next: to + 1 };
    }
  }
  return undefined;
}

/** Whether a line says nothing. */
export const isComment = (line: string) => /^\s*(#|$)/.test(line);

/** One line as a rule or role link; undefined where it is neither. */
export function readLine(text: string, line: number): Rule | RoleLink | undefined {
  const [kind, subject = '', ...rest] = (fieldsOf(text) ?? []).map((f) => f.text);
  if (kind === 'p' && (rest.length === 4 || rest.length === 5)) {
    const [domain = '', object = '', action = '', effect = '', condition = ''] = rest;
    return { line, subject, domain: domain || '*', object, action, effect, condition };
  }
  if (kind === 'g' && (rest.length === 1 || rest.length === 2)) {
    const [role = '', domain = ''] = rest;
    return { line, subject, role, domain: domain || '*' };
  }
  return undefined;
}

/** The rules and roles of a text, in its order. */
export function parse(text: string): Policy {
  const out: Policy = { rules: [], links: [], strange: [] };
  linesOf(text).forEach((line, i) => {
    if (isComment(line)) return;
    const read = readLine(line, i + 1);
    if (!read) out.strange.push(i + 1);
    else if ('object' in read) out.rules.push(read);
    else out.links.push(read);
  });
  return out;
}

const quote = (field: string) => (/[,"]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

/** A rule as a line. */
export function ruleLine(r: Omit<Rule, 'line'>): string {
  const fields = [r.subject, r.domain, r.object, r.action, r.effect];
  if (r.condition) fields.push(r.condition);
  return ['p', ...fields.map(quote)].join(', ');
}

/** A rule or role link without the space that a line cannot hold; a tenant that is empty is every one. */
export function tidy<T extends Rule | RoleLink>(of: T): T {
  const words = Object.entries(of).map(([k, v]) => [k, typeof v === 'string' ? v.replace(/\s+/g, ' ').trim() : v]);
  const out = Object.fromEntries(words) as T;
  return { ...out, domain: out.domain || '*' };
}

/** A role link as a line. */
export function linkLine(l: Omit<RoleLink, 'line'>): string {
  const fields = [l.subject, l.role];
  if (l.domain !== '*') fields.push(l.domain);
  return ['g', ...fields.map(quote)].join(', ');
}

/** Where a line begins and ends in the text, its end not included. */
function span(text: string, line: number): [from: number, to: number, next: number] {
  let from = text.startsWith('\ufeff') ? 1 : 0;
  for (let n = 1; n < line; n++) {
    const end = text.indexOf('\n', from);
    if (end < 0) return [text.length, text.length, text.length];
    from = end + 1;
  }
  const end = text.indexOf('\n', from);
  const next = end < 0 ? text.length : end + 1;
  const to = end < 0 ? text.length : end;
  return [from, text[to - 1] === '\r' && to > from ? to - 1 : to, next];
}

/** The text with another line in place of one. Everything else stays as it is. */
export function replaceLine(text: string, line: number, by: string): string {
  const [from, to] = span(text, line);
  return text.slice(0, from) + by + text.slice(to);
}

/** The text without a line. */
export function removeLine(text: string, line: number): string {
  const [from, , next] = span(text, line);
  return text.slice(0, from) + text.slice(next);
}

/** The text with a line at its end. */
export const appendLine = (text: string, line: string) =>
  `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;

/** Who has a role, directly. */
export type Role = { name: string; holders: RoleLink[]; roles: RoleLink[]; rules: number };

/** Every role that the policy speaks of, by name: who has it, which it has, and how many rules name it. */
export function rolesOf(policy: Policy): Role[] {
  const roles = new Map<string, Role>();
  const get = (name: string) => {
    let role = roles.get(name);
    if (!role) {
      role = { name, holders: [], roles: [], rules: 0 };
      roles.set(name, role);
    }
    return role;
  };
  for (const l of policy.links) {
    get(l.role).holders.push(l);
    if (l.subject.startsWith('role:')) get(l.subject).roles.push(l);
  }
  for (const r of policy.rules) if (r.subject.startsWith('role:')) get(r.subject).rules++;
  return [...roles.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Words that a policy uses, each once, in their order. */
export function wordsOf(policy: Policy) {
  const sorted = (words: Iterable<string>) => [...new Set(words)].filter(Boolean).sort();
  return {
    subjects: sorted([...policy.rules.map((r) => r.subject), ...policy.links.flatMap((l) => [l.subject, l.role])]),
    roles: sorted([...policy.links.map((l) => l.role), ...policy.rules.map((r) => r.subject)]).filter((s) =>
      s.startsWith('role:'),
    ),
    domains: sorted([...policy.rules, ...policy.links].map((r) => r.domain)),
    objects: sorted(policy.rules.map((r) => r.object)),
  };
}

/** Every rule and role link as it is written without comments and needless spaces. */
const canonical = (p: Policy) => [...p.rules.map(ruleLine), ...p.links.map(linkLine)];

/** What must be added to and removed from one policy to make another, rule by rule. */
export function diff(from: Policy, to: Policy): { added: string[]; removed: string[] } {
  const [before, after] = [canonical(from), canonical(to)];
  const [had, has] = [new Set(before), new Set(after)];
  return { added: [...has].filter((l) => !had.has(l)), removed: [...had].filter((l) => !has.has(l)) };
}
