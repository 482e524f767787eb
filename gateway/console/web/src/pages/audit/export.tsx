import type { Client, CombinedError, OperationResult } from '@urql/core';
import { useEffect, useRef, useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { count } from '../../lib/format';
import type { ResultOf, VariablesOf } from '../../lib/graphql';
import { Choice, Failures, Note, Window } from '../../ui';
import { csvHead, csvLine } from './csv';
import type { AuditFilter } from './filter';
import { recordsQuery } from './queries';
import { recordOf } from './record';

const most = 100_000; // Records of one file: beyond that the command line writes it without a browser's memory.

type Format = 'ndjson' | 'csv';
type Outcome = { records: number; error?: CombinedError; whole: boolean; blob: Blob };

/** Reads what a filter matches page by page into a file, and tells how far it is, until `signal` ends it. */
async function read(
  client: Client,
  filter: AuditFilter,
  format: Format,
  tell: (n: number) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const parts: Blob[] = [];
  let lines = format === 'csv' ? csvHead : '';
  let records = 0;
  let after: string | null = null;
  let error: CombinedError | undefined;
  do {
    const variables: VariablesOf<typeof recordsQuery> = { first: 100, after, filter, oldestFirst: false };
    const result: OperationResult<ResultOf<typeof recordsQuery>> = await client
      .query(recordsQuery, variables, {
        requestPolicy: 'network-only',
        fetchOptions: { signal, credentials: 'same-origin' },
      })
      .toPromise();
    const page = result.data?.admin.auditRecords;
    error = result.error;
    if (!page || signal.aborted) break;
    for (const node of page.nodes) {
      const record = recordOf(node);
      if (!record) continue;
      lines += format === 'csv' ? csvLine(record) : `${JSON.stringify(node)}\n`;
      records++;
    }
    if (lines.length > 1 << 20) {
      parts.push(new Blob([lines])); // The browser may keep it outside of the page's memory.
      lines = '';
    }
    after = page.endCursor;
    tell(records);
  } while (after !== null && records < most);
  parts.push(new Blob([lines]));
  const type = format === 'csv' ? 'text/csv;charset=utf-8' : 'application/x-ndjson';
  return { records, error, whole: after === null && !error, blob: new Blob(parts, { type }) };
}

/** Offers a file to be kept. */
function save(blob: Blob, name: string) {
  const url = URL.createObjectURL(blob);
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Writes what the filter matches into a file. */
export function ExportButton({ filter }: { filter: AuditFilter }) {
  const client = useClient();
  const [open, setOpen] = useState(false);
  const [format, setFormat] = useState<Format>('ndjson');
  const [progress, setProgress] = useState<number>();
  const [done, setDone] = useState<Outcome>();
  const stop = useRef<AbortController>(null);
  useEffect(() => () => stop.current?.abort(), []);

  const start = async () => {
    const control = new AbortController();
    stop.current = control;
    setDone(undefined);
    setProgress(0);
    const outcome = await read(client, filter, format, setProgress, control.signal);
    setProgress(undefined);
    if (control.signal.aborted) return;
    setDone(outcome);
    if (!outcome.error)
      save(outcome.blob, `audit-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${format}`);
  };
  const close = () => {
    stop.current?.abort();
    setOpen(false);
    setDone(undefined);
  };
  const busy = progress !== undefined;
  return (
    <>
      <Button onPress={() => setOpen(true)}>Export</Button>
      <Window title="Export" isOpen={open} onClose={close}>
        <p>
          The records that the filters match, the newest first, {count(most)} at most. In CSV, a cell that a spreadsheet
          would take for a formula begins with an apostrophe. <code>gateway audit export</code> writes the whole log as
          it is.
        </p>
        <Choice
          label="Format"
          value={format}
          onChange={(value) => setFormat(value === 'csv' ? 'csv' : 'ndjson')}
          options={[
            ['ndjson', 'NDJSON: an object a line'],
            ['csv', 'CSV, for spreadsheets'],
          ]}
          isDisabled={busy}
        />
        {busy && <Note tone="accent">{count(progress)} records read</Note>}
        <Failures error={done?.error} what="The export has ended early, and nothing was saved" />
        {done && !done.error && (
          <Note tone={done.whole ? 'good' : 'warn'}>
            {count(done.records)} records were written.
            {!done.whole && ' There are more: narrow the time, or use gateway audit export.'}
          </Note>
        )}
        <div className="actions">
          <Button onPress={close}>{busy ? 'Cancel' : 'Close'}</Button>
          <Button className="react-aria-Button primary" isDisabled={busy} onPress={start}>
            Write the file
          </Button>
        </div>
      </Window>
    </>
  );
}
