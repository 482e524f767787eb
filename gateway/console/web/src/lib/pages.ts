import type { AnyVariables, CombinedError, DocumentInput } from '@urql/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';

/** A page of a list, as the gateway answers it. */
export type Page<T> = { nodes: T[]; endCursor: string | null; total?: number };

export type Pages<T> = {
  items: T[];
  /** How many there are in all, where the gateway says so. */
  total: number | undefined;
  loading: boolean;
  error: CombinedError | undefined;
  /** Whether there is more. */
  more: boolean;
  /** Asks for the next page; does nothing while one is on its way. */
  loadMore: () => void;
  /** Begins anew. */
  reload: () => void;
};

/**
 * Reads a list page by page as the reader scrolls. It begins anew when the variables change; an answer to a question
 * that is not asked any more is dropped. At most `most` items are kept.
 */
export function usePages<D, V extends AnyVariables, T>(
  document: DocumentInput<D, V>,
  variables: Omit<V, 'after'>,
  pick: (data: D) => Page<T> | null | undefined,
  most = 20_000,
): Pages<T> {
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
    async (after: string | null) => {
      if (after !== null && current.current.busy) return;
      if (after === null) current.current.turn++;
      const turn = current.current.turn;
      current.current.busy = true;
      setState((s) => ({ ...s, loading: true }));
      const asked = { ...(JSON.parse(key) as object), after } as unknown as V;
      const result = await client.query(document, asked, { requestPolicy: 'network-only' }).toPromise();
      if (turn !== current.current.turn) return;
      current.current.busy = false;
      const page = result.data ? picked.current(result.data) : undefined;
      setState((s) => {
        const items = after === null ? (page?.nodes ?? []) : [...s.items, ...(page?.nodes ?? [])];
        return {
          items,
          cursor: items.length < most ? (page?.endCursor ?? null) : null,
          total: page?.total,
          loading: false,
          error: result.error,
        };
      });
    },
    [client, document, key, most],
  );

  useEffect(() => {
    void load(null);
    return () => {
      current.current.turn++; // What is on its way is for nobody.
      current.current.busy = false;
    };
  }, [load]);

  return {
    items: state.items,
    total: state.total,
    loading: state.loading,
    error: state.error,
    more: state.cursor !== null,
    loadMore: () => state.cursor !== null && void load(state.cursor),
    reload: () => void load(null),
  };
}
