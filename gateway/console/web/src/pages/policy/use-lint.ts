import type { CombinedError } from '@urql/core';
import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { lintQuery, type Problem } from './queries';

const nothing: Problem[] = [];

/**
 * What the gateway finds wrong with rules, asked 400 ms after the last change. An answer about a text that is not shown
 * any more is dropped.
 */
export function useLint(csv: string): { problems: Problem[]; current: boolean; error?: CombinedError } {
  const client = useClient();
  const [state, set] = useState<{ csv?: string; problems: Problem[]; error?: CombinedError }>({ problems: nothing });
  useEffect(() => {
    let stale = false;
    const late = setTimeout(async () => {
      const asked = { csv: csv || '\n' }; // To the gateway no text is no question.
      const { data, error } = await client.query(lintQuery, asked, { requestPolicy: 'network-only' }).toPromise();
      if (!stale) set({ csv, problems: data?.admin.lintPolicy ?? nothing, error });
    }, 400);
    return () => {
      stale = true;
      clearTimeout(late);
    };
  }, [client, csv]);
  return { problems: state.problems, current: state.csv === csv, error: state.error };
}
