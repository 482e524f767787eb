import { useState } from 'react';
import { useRights } from '../../app/rights';
import { graphql, type ResultOf } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import type { Tone } from '../../ui';

const sourceEvents = graphql(`
  subscription Sources {
    sources {
      name kind tags pin available problem tools resources prompts quarantined hidden
      endpoints { name address role weight present ejectedUntil running calls failed latencyMs }
      canary {
        phase percent reason since
        stable { calls failed latencyMs }
        canary { calls failed latencyMs }
      }
      guard {
        breaker opened refused running queued limit rejected retries hedges fallbacks
        cacheHits cacheMisses cacheStale cacheJoined cacheEntries cacheBytes
      }
      pool {
        open busy idle spare opened lost failed expired evicted refused connectionsIdle connectionsOpened connectionsReused
      }
    }
  }
`);
export type Source = ResultOf<typeof sourceEvents>['sources'][number];
export type Endpoint = Source['endpoints'][number];
export type Canary = NonNullable<Source['canary']>;

const trafficEvents = graphql(`
  subscription SourceTraffic {
    traffic(seconds: 60) {
      seconds
      sources { name calls toolErrors refused failed p50Ms p99Ms }
    }
  }
`);
export type SourceShare = ResultOf<typeof trafficEvents>['traffic']['sources'][number];

/** Every source as it is now, and then whenever one changes. */
export function useSources() {
  const [sources, setSources] = useState<Source[]>();
  const error = useLive(sourceEvents, {}, (d) => setSources(d.sources));
  return { sources, error };
}

/** The last minute of each source, by name, and how many seconds it has; empty for readers who may not see it. */
export function useTraffic() {
  const can = useRights();
  const [traffic, setTraffic] = useState({ seconds: 60, shares: new Map<string, SourceShare>() });
  const off = !can('traffic', 'read');
  useLive(
    trafficEvents,
    {},
    ({ traffic: t }) => setTraffic({ seconds: t.seconds, shares: new Map(t.sources.map((s) => [s.name, s])) }),
    off,
  );
  return traffic;
}

export const pathOf = (source: string) => `/sources/${encodeURIComponent(source)}`;
export const pinPath = (source: string, id: string) => `${pathOf(source)}/pins/${encodeURIComponent(id)}`;

export const breakerTone: Record<string, Tone> = { closed: 'good', 'half-open': 'warn', open: 'bad' };
export const pinTone: Record<string, Tone> = {
  approved: 'good',
  quarantined: 'warn',
  changed: 'warn',
  rejected: 'bad',
};

/** Whether a reader should look at a source. */
export const isTroubled = (s: Source) =>
  !s.available ||
  s.problem !== '' ||
  s.quarantined > 0 ||
  s.hidden.length > 0 ||
  (s.guard?.breaker ?? '') === 'open' ||
  s.guard?.breaker === 'half-open';
