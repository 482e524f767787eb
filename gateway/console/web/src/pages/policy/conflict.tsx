import { useState } from 'react';
import { Button } from 'react-aria-components';
import { moment } from '../../lib/format';
import { Note, Panel } from '../../ui';
import { versionWords } from './frame';
import { Merge } from './lazy';
import type { DraftWork } from './use-draft';

const words = { accept: 'Keep mine', reject: 'Take theirs' };

/** Two people have changed one draft: what differs, and three ways on. What was typed stays until one is chosen. */
export function Conflict({ work }: { work: DraftWork }) {
  const { theirs, typed } = work;
  const [merging, setMerging] = useState(false);
  const [csv, setCsv] = useState(typed.csv);
  const [checks, setChecks] = useState(typed.checks);
  if (!theirs) return null;
  const checksDiffer = theirs.checks !== typed.checks;
  return (
    <Panel title="Somebody else has saved this draft">
      <Note tone="warn">
        It was changed {moment(theirs.changed)}, after you had read it. Nothing of yours is lost, and nothing of theirs
        is overwritten until you choose.
      </Note>
      <div className="row">
        {merging ? (
          <>
            <Button className="react-aria-Button primary" onPress={() => work.takeMerge({ csv, checks })}>
              Use this merge
            </Button>
            <Button onPress={() => setMerging(false)}>Back</Button>
          </>
        ) : (
          <>
            <Button className="react-aria-Button primary" onPress={() => setMerging(true)}>
              Merge by hand
            </Button>
            <Button onPress={work.takeTheirs}>Take theirs</Button>
            <Button
              className="react-aria-Button danger"
              isDisabled={work.saving}
              onPress={() => work.save({ revision: theirs.revision })}
            >
              Keep mine over theirs
            </Button>
          </>
        )}
      </div>
      <p className="muted">
        {merging
          ? 'Red is theirs alone, green is yours alone. Choose at each place, or write on in the text.'
          : 'Red is theirs alone, green is yours alone.'}
      </p>
      {merging ? (
        <>
          <Merge
            key="merge"
            label="Merge of the rules"
            from={theirs.csv}
            to={typed.csv}
            words={words}
            onChange={setCsv}
          />
          {checksDiffer && (
            <Merge
              key="checks"
              label="Merge of the checks"
              from={theirs.checks}
              to={typed.checks}
              words={words}
              onChange={setChecks}
            />
          )}
        </>
      ) : (
        <>
          <Merge key="show" label="Their rules and mine" from={theirs.csv} to={typed.csv} />
          {checksDiffer && <Merge key="shown" label="Their checks and mine" from={theirs.checks} to={typed.checks} />}
        </>
      )}
    </Panel>
  );
}

/** The version in force is not the one that the draft was made from. */
export function Rebase({ work }: { work: DraftWork }) {
  const { draft, inForce } = work;
  const [shown, setShown] = useState(false);
  if (!draft || !inForce || draft.base === inForce.id) return null;
  return (
    <Panel
      title={`Version ${inForce.id} is in force now`}
      actions={
        <Button onPress={() => setShown(!shown)}>{shown ? 'Hide the differences' : 'Show the differences'}</Button>
      }
    >
      <p>
        This draft was made from {versionWords(draft.base)} and can only replace that one. Look at what differs, take
        over what should stay, then base the draft on version {inForce.id}.
      </p>
      {shown && (
        <Merge
          label={`Version ${inForce.id} and the draft`}
          from={inForce.csv}
          to={work.typed.csv}
          words={{ accept: 'Keep the draft’s', reject: 'Take what is in force' }}
          onChange={(csv) => work.edit({ csv })}
        />
      )}
      <div className="row">
        <Button
          className="react-aria-Button primary"
          isDisabled={work.saving}
          onPress={() => work.save({ rebase: true })}
        >
          Base the draft on version {inForce.id}
        </Button>
      </div>
    </Panel>
  );
}
