import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { count, cut } from '../../lib/format';
import type { ResultOf } from '../../lib/graphql';
import { Failures, Loading, Note, Window } from '../../ui';
import { verifyQuery } from './queries';

type Found = NonNullable<ResultOf<typeof verifyQuery>['admin']['verifyAuditLog']>;

/** Has the gateway read its whole log, and says what it found. */
export function VerifyButton() {
  const client = useClient();
  const [open, setOpen] = useState(false);
  const [state, setState] = useState<{ found?: Found; error?: CombinedError; ms?: number }>();
  const verify = async () => {
    setOpen(true);
    setState(undefined);
    const began = performance.now();
    const { data, error } = await client.query(verifyQuery, {}, { requestPolicy: 'network-only' }).toPromise();
    setState({ found: data?.admin.verifyAuditLog ?? undefined, error, ms: performance.now() - began });
  };
  const found = state?.found;
  return (
    <>
      <Button onPress={verify}>Verify now</Button>
      <Window title="Verify the log" isOpen={open} onClose={() => setOpen(false)}>
        {!state && <Loading what="every record of the node that answers" />}
        <Failures error={state?.error} />
        {found?.ok && (
          <Note tone="good">
            All {count(found.records)} records are as they were written, by the chain, the tree and the signed
            checkpoints. Reading them took {((state?.ms ?? 0) / 1_000).toFixed(1)} s.
          </Note>
        )}
        {found && !found.ok && (
          <Note tone="bad">
            The log is not as it was written, after {count(found.records)} good records: {cut(found.problem, 2_000)}.
            Copy the log's directory away before anything else.
          </Note>
        )}
        <p className="muted">
          The gateway checks its own files here. Only a checkpoint and a key that are kept elsewhere show that the log
          as a whole was not replaced: <code>gateway audit verify --checkpoint FILE --key KEY</code>.
        </p>
        <div className="actions">
          <Button onPress={() => setOpen(false)}>Close</Button>
        </div>
      </Window>
    </>
  );
}
