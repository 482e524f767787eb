import type { AnyVariables, CombinedError, DocumentInput } from '@urql/core';
import { useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { useConnection } from './connection';

/**
 * Follows a subscription while the page is shown. It waits while the session is over, and begins again when the reader
 * has signed in. Returns what was refused, if anything was.
 */
export function useLive<D, V extends AnyVariables>(
  document: DocumentInput<D, V>,
  variables: V,
  on: (data: D) => void,
  paused = false,
): CombinedError | undefined {
  const client = useClient();
  const off = useConnection() === 'expired' || paused;
  const [error, setError] = useState<CombinedError>();
  const handler = useRef(on);
  handler.current = on;
  const key = JSON.stringify(variables);

  useEffect(() => {
    if (off) return;
    setError(undefined);
    const { unsubscribe } = client.subscription(document, JSON.parse(key) as V).subscribe((result) => {
      if (result.error) setError(result.error);
      if (result.data) handler.current(result.data);
    });
    return unsubscribe;
  }, [client, document, key, off]);
  return error;
}
