import type { CombinedError } from '@urql/core';
import { useClient } from 'urql';
import { isAborted } from '../../lib/errors';
import { type Limits, limitsQuery, type Override, type Whose } from './queries';

/** The override of a key, if it has one. */
export const overrideOf = (limits: Limits, whose: Whose): Override | undefined =>
  limits.overrides.find((o) => o.per === whose.per && o.key === whose.key);

/**
 * How a change went: done, refused, or held back since somebody else has changed the same override; then `theirs` is how
 * things stand.
 */
export type Outcome = { done: true } | { done: false; error?: CombinedError; theirs?: Limits };

/** Somebody else must be faster each time. */
const tries = 5;

/**
 * Changes the override of a key as long as it is what its editor has seen. The gateway counts changes of all overrides
 * together: where others than this one have changed, it is asked again.
 */
export function useChange() {
  const client = useClient();
  return async (
    seen: Limits,
    whose: Whose,
    ask: (revision: number) => Promise<{ error?: CombinedError }>,
  ): Promise<Outcome> => {
    let now = seen;
    for (let i = 0; ; i++) {
      const { error } = await ask(now.revision);
      if (!error) return { done: true };
      if (!isAborted(error) || i >= tries) return { done: false, error };
      const { data, error: unread } = await client
        .query(limitsQuery, { key: null }, { requestPolicy: 'network-only' })
        .toPromise();
      if (!data?.admin.limits) return { done: false, error: unread ?? error };
      now = data.admin.limits;
      if (JSON.stringify(overrideOf(now, whose)) !== JSON.stringify(overrideOf(seen, whose)))
        return { done: false, theirs: now };
    }
  };
}
