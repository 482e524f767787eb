import type { AnyVariables, CombinedError, DocumentInput } from '@urql/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { connection, followConnection } from './connection';

/** A page of a list, as the gateway answers it. */
export type Page<T> = { nodes: T[]; endCursor: string | null; total?: number };

export type Pages<T> = {
  items: T[];
  /** How many there are in all, where the gateway says so. */
  total: number | undefined;
  loading: boolean;
  error: CombinedError | undefined;
  /** Whether there is more that is still kept. */
  more: boolean;
  /** Where the next page begins; null where there is none. It can be a `start`, to go on beyond what is kept. */
  next?: string | null;
  /** Asks for the next page; does nothing while one is on its way. */
  loadMore: () => void;
  /** Begins anew. */
  reload: () => void;
};

/**
 * Reads a list page by page as the reader scrolls. It begins anew when the variables change; an answer to a question
 * that is not asked any more is dropped. At most `most` items are kept. It begins at the cursor `start`, or else at the
 * beginning.
 */
export function usePages<D, V extends AnyVariables, T>(
  document: DocumentInput<D, V>,
  variables: Omit<V, 'after'>,
  pick: (data: D) => Page<T> | null | undefined,
  most = 20_000,
  start: string | null = null,
): Pages<T> & {
  /** Reads again what is there, as far as it was read, and puts it in its place at once. */
  refresh: () => void;
} {
  const client = useClient();
  const key = JSON.stringify(variables);
  const [state, setState] = useState<{
    items: T[];
    cursor: string | null;
    total?: number;
    loading: boolean;
    error?: CombinedError;
  }>({
    items: [],
    cursor: null,
    loading: true,
  });
  const current = useRef({ turn: 0, busy: false });
  const picked = useRef(pick);
  picked.current = pick;

  const load = useCallback(
    async (cursor: string | null, least = 0) => {
      const after = cursor ?? start;
      if (cursor !== null && current.current.busy) return;
      if (cursor === null) current.current.turn++;
      const turn = current.current.turn;
      current.current.busy = true;
      setState((s) => ({ ...s, loading: true }));
      const asked = { ...(JSON.parse(key) as object), after } as unknown as V;
      let result = await client.query(document, asked, { requestPolicy: 'network-only' }).toPromise();
      if (turn !== current.current.turn) return;
      let page = result.data ? picked.current(result.data) : undefined;
      const read = [...(page?.nodes ?? [])];
      while (page?.endCursor && read.length < least) {
        const rest = { ...asked, after: page.endCursor };
        result = await client.query(document, rest, { requestPolicy: 'network-only' }).toPromise();
        if (turn !== current.current.turn) return;
        page = result.data ? picked.current(result.data) : undefined;
        read.push(...(page?.nodes ?? []));
      }
      current.current.busy = false;
      setState((s) => {
        if (least > 0 && result.error) return { ...s, loading: false, error: result.error };
        const items = cursor === null ? read : [...s.items, ...read];
        return {
          items,
          cursor: page?.endCursor ?? null,
          total: page?.total,
          loading: false,
          error: result.error,
        };
      });
    },
    [client, document, key, start],
  );

  useEffect(() => {
    void load(null);
    return () => {
      current.current.turn++; // What is on its way is for nobody.
      current.current.busy = false;
    };
  }, [load]);

  // What failed while the session was over, or the gateway away, is asked again.
  const failed = useRef({ again: () => {} });
  failed.current.again = () => state.error && void load(null, state.items.length);
  useEffect(() => followConnection(() => connection() === 'ok' && failed.current.again()), []);

  const more = state.cursor !== null && state.items.length < most;
  return {
    items: state.items,
    total: state.total,
    loading: state.loading,
    error: state.error,
    more,
    next: state.cursor,
    loadMore: () => more && void load(state.cursor),
    reload: () => void load(null),
    refresh: () => void load(null, state.items.length),
  };
}
