import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { Failures, Panel } from '../../ui';
import { TestList } from './findings';
import { Editor } from './lazy';
import { testQuery } from './queries';
import type { Findings } from './use-review';

/** Checks that are written, and tried against the rules as they are typed. */
export function Checks(props: { csv: string; checks: string; onChange: (text: string) => void; onSave?: () => void }) {
  const client = useClient();
  const [result, set] = useState<{ of: string; tests: Findings['tests'] }>();
  const [busy, setBusy] = useState(false);
  const of = `${props.csv}\0${props.checks}`;
  const run = async () => {
    setBusy(true);
    const asked = { csv: props.csv || '\n', checks: props.checks || '\n' };
    const { data, error } = await client.query(testQuery, asked, { requestPolicy: 'network-only' }).toPromise();
    set({ of, tests: { data: data?.admin.testPolicy ?? undefined, error } });
    setBusy(false);
  };
  return (
    <Panel
      title="Checks"
      actions={
        <Button isDisabled={busy} onPress={run}>
          Run the checks
        </Button>
      }
    >
      <p className="muted">
        One a line: who, the action, the object, <code>allow</code> or <code>deny</code>, and perhaps arguments. They
        are saved with the rules and must hold.
      </p>
      <Editor
        label="Checks of the draft"
        value={props.checks}
        onChange={props.onChange}
        onSave={props.onSave}
        language="text"
        size="30dvh"
      />
      {!props.checks.trim() && (
        <p className="muted">
          For example <code>role:guest call tool/demo/add deny</code>
        </p>
      )}
      {result && (
        <>
          {result.of !== of && <p className="muted">This was of the text before your last change.</p>}
          <Failures error={result.tests.error} />
          {result.tests.data && <TestList tests={result.tests.data} />}
        </>
      )}
    </Panel>
  );
}
