import { count, cut, moment } from '../../lib/format';
import type { Override, Rule, Whose } from './queries';

const units: Record<string, string> = { s: 'a second', m: 'a minute', h: 'an hour', d: 'a day' };

/** A rate such as 100/m in words. */
export function rateWords(rate: string): string {
  const [calls = '', unit = ''] = rate.split('/');
  return units[unit] ? `${count(Number(calls))} ${units[unit]}` : rate;
}

/** A rate and what its bucket holds, where that is not the same number. */
export const limitWords = (limit: { rate: string; burst: number }) =>
  `${rateWords(limit.rate)}${limit.rate.startsWith(`${limit.burst}/`) ? '' : `, ${count(limit.burst)} at once`}`;

/** What the calls of one key may be counted by, in the order of the form. */
export const kinds = [
  ['principal', 'A principal'],
  ['tenant', 'A tenant'],
  ['role', 'A role'],
  ['tool', 'A tool'],
  ['source', 'A source'],
  ['global', 'All calls together'],
] as const;

/** Whose limit it is, in words. */
export const whoseWords = ({ per, key }: Whose) => {
  if (per === 'global') return 'all calls together';
  return key === '' ? `no ${per}` : `${per} ${cut(key, 300)}`;
};

/** The same as the title of a line, beside which the kind stands. */
export const titleWords = ({ per, key }: Whose) =>
  per === 'global' ? 'All calls together' : cut(key || `No ${per}`, 300);

/** What an override says, in words. */
export const overrideWords = (o: Override) =>
  `${o.unlimited ? 'no limit' : limitWords(o)}, until ${moment(o.expires)}, set by ${cut(o.createdBy, 300)}${
    o.reason ? `: ${cut(o.reason, 300)}` : ''
  }`;

/** What a rule counts, where that is not everything. */
export function matchWords(rule: Rule): string {
  const parts = [
    ['roles', rule.roles],
    ['tools', rule.tools],
    ['sources', rule.sources],
    ['actions', rule.actions],
  ] as const;
  return parts
    .filter(([, list]) => list.length > 0)
    .map(([name, list]) => `${name} ${cut(list.join(', '), 300)}`)
    .join('; ');
}
