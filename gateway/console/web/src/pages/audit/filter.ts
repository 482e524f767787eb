import { useMemo } from 'react';
import { useSearchParams } from 'wouter';
import type { VariablesOf } from '../../lib/graphql';
import type { recordsQuery } from './queries';

/** The filter as the gateway takes it. */
export type AuditFilter = NonNullable<VariablesOf<typeof recordsQuery>['filter']>;

/** The members of the filter that are text, as they are called in the URL and by the gateway. */
export const texts = [
  'principal',
  'object',
  'op',
  'via',
  'code',
  'by',
  'rule',
  'type',
  'trace',
  'id',
  'tenant',
] as const;

/** Ranges that end now, by their names in the URL: words, and minutes. */
export const ranges: Record<string, readonly [string, number]> = {
  '15m': ['Last 15 minutes', 15],
  '1h': ['Last hour', 60],
  '24h': ['Last 24 hours', 1_440],
  '7d': ['Last 7 days', 10_080],
  '30d': ['Last 30 days', 43_200],
};

/** A moment of the URL as the gateway takes it; undefined where there is none, or it is none. */
function moment(text: string | null): string | undefined {
  const at = text ? new Date(text) : undefined;
  return at && !Number.isNaN(at.getTime()) ? at.toISOString() : undefined;
}

/** The filter that a URL asks for. A range ends at `now`. */
export function filterOf(search: URLSearchParams, now: number): AuditFilter {
  const filter: AuditFilter = {};
  for (const name of texts) {
    const value = search.get(name)?.trim();
    if (value) filter[name] = value;
  }
  const name = search.get('range') ?? '';
  const range = Object.hasOwn(ranges, name) ? ranges[name] : undefined;
  const from = range ? new Date(now - range[1] * 60_000).toISOString() : moment(search.get('from'));
  const to = range ? undefined : moment(search.get('to'));
  if (from) filter.from = from;
  if (to) filter.to = to;
  return filter;
}

/**
 * The filter of the URL, and a way to change it: a member that is given as '' goes. A range is counted back from the
 * last change of `turn`.
 */
export function useFilter(turn: number) {
  const [search, setSearch] = useSearchParams();
  const text = search.toString();
  // biome-ignore lint/correctness/useExhaustiveDependencies: The text stands for the search; the turn is when to look at the clock.
  const filter = useMemo(() => filterOf(new URLSearchParams(text), Date.now()), [text, turn]);
  const change = (values: Record<string, string>) =>
    setSearch(
      (old) => {
        const next = new URLSearchParams(old);
        for (const [name, value] of Object.entries(values)) {
          if (value) next.set(name, value);
          else next.delete(name);
        }
        if (!('after' in values)) next.delete('after'); // It was a place in another list.
        return next;
      },
      { replace: true },
    );
  return { search, filter, change };
}
