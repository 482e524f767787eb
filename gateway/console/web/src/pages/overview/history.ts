import { graphql, type ResultOf } from '../../lib/graphql';

/** What happened in the last seconds, at once and then every second. */
export const trafficEvents = graphql(`
  subscription OverviewTraffic($seconds: Int!) {
    traffic(seconds: $seconds) {
      time
      seconds
      total { name calls toolErrors refused failed canceled p50Ms p99Ms }
      doors { name calls toolErrors refused failed canceled p50Ms p99Ms }
      sources { name calls toolErrors refused failed canceled p50Ms p99Ms }
    }
  }
`);

export type Traffic = ResultOf<typeof trafficEvents>['traffic'];
export type Share = Traffic['total'];
/** What the lines of the charts are. */
export type By = 'doors' | 'sources';
/** One second. */
export type Sample = { at: number; total: Share; doors: Share[]; sources: Share[] };

/** How far back the charts go, in seconds; one sample is kept for each. */
export const span = 300;
/** How many lines a chart has at most: those with the most calls. */
export const lines = 8;

/** The name of a share for people: what was refused before a source was found has none. */
export const nameOf = (share: string) => share || 'no source';

/** Adds a second to those that are kept, and forgets what is too old. A clock that goes back begins anew. */
export function remember(history: Sample[], traffic: Traffic): Sample[] {
  const at = Math.round(new Date(traffic.time ?? Date.now()).getTime() / 1000);
  const last = history[history.length - 1]?.at ?? Number.NEGATIVE_INFINITY;
  if (at === last) return history;
  const sample = { at, total: traffic.total, doors: traffic.doors, sources: traffic.sources };
  if (at < last) return [sample];
  return [...history.filter((s) => s.at > at - span).slice(-(span - 1)), sample];
}

/** The names with the most calls, sorted by name so that a line keeps its colour, and how many others there are. */
export function busiest(history: Sample[], by: By): { names: string[]; others: number } {
  const calls = new Map<string, number>();
  for (const sample of history) {
    for (const share of sample[by]) calls.set(share.name, (calls.get(share.name) ?? 0) + share.calls);
  }
  const names = [...calls].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([name]) => name);
  return { names: names.slice(0, lines).sort(), others: Math.max(0, names.length - lines) };
}

export const errorsOf = (s: Share) => s.toolErrors + s.refused + s.failed;

/** What a chart shows of a second. Without calls there is no time that they took. */
export const metrics = {
  calls: { title: 'Calls per second', of: (s: Share | undefined) => s?.calls ?? 0 },
  errors: { title: 'Errors per second', of: (s: Share | undefined) => (s ? errorsOf(s) : 0) },
  p50: { title: 'p50', of: (s: Share | undefined) => (s?.calls ? s.p50Ms : null) },
  p99: { title: 'p99', of: (s: Share | undefined) => (s?.calls ? s.p99Ms : null) },
} as const;
export type Metric = keyof typeof metrics;

/** One row of times and one of values for each name. Where seconds are missing there is a gap, not a line. */
export function columns(
  history: Sample[],
  by: By,
  names: string[],
  metric: Metric,
): [number[], ...(number | null)[][]] {
  const times: number[] = [];
  const values: (number | null)[][] = names.map(() => []);
  for (const sample of history) {
    const before = times[times.length - 1];
    if (before !== undefined && sample.at - before > 2) {
      times.push(before + 1);
      for (const v of values) v.push(null);
    }
    times.push(sample.at);
    const shares = new Map(sample[by].map((s) => [s.name, s]));
    names.forEach((name, i) => {
      values[i]?.push(metrics[metric].of(shares.get(name)));
    });
  }
  return [times, ...values];
}

/** The same in steps of ten seconds, the latest first: the mean of counts, and the longest of times. */
export function steps(
  data: [number[], ...(number | null)[][]],
  mean: boolean,
): { at: number; values: (number | null)[] }[] {
  const [times, ...values] = data;
  const rows = new Map<number, number[][]>();
  times.forEach((at, i) => {
    const step = Math.floor(at / 10) * 10;
    const row = rows.get(step) ?? values.map(() => []);
    rows.set(step, row);
    values.forEach((v, j) => {
      const value = v[i];
      if (value !== null && value !== undefined) row[j]?.push(value);
    });
  });
  const one = (all: number[]) => {
    if (all.length === 0) return null;
    return mean ? all.reduce((a, b) => a + b, 0) / all.length : Math.max(...all);
  };
  return [...rows].reverse().map(([at, row]) => ({ at, values: row.map(one) }));
}
