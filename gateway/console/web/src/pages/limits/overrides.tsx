import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { failures } from '../../lib/errors';
import { count, cut, moment } from '../../lib/format';
import { Badge, ConfirmButton, Empty, Entry, Failures, Note, Panel, ShortList } from '../../ui';
import { type Limits, type Override, removeOverride, type Whose } from './queries';
import { overrideOf, useChange } from './use-change';
import { limitWords, overrideWords, titleWords, whoseWords } from './words';

type Props = { limits: Limits; onEdit?: (whose: Whose) => void; onDone: () => void };

/** The overrides that are in force. */
export function Overrides(props: Props) {
  const { overrides } = props.limits;
  return (
    <Panel title={`Overrides: ${count(overrides.length)}`}>
      {overrides.length === 0 ? (
        <Empty title="No override is in force">
          The rules count every call.
          {props.onEdit && ' Override a limit to let somebody do more, or less, for a while.'}
        </Empty>
      ) : (
        <ShortList items={overrides} label="Overrides" what="overrides" id={(o) => `${o.per} ${o.key}`}>
          {(o) => <Line {...props} of={o} />}
        </ShortList>
      )}
    </Panel>
  );
}

function Line({ of: o, limits, onEdit, onDone }: Props & { of: Override }) {
  const [, remove] = useMutation(removeOverride);
  const change = useChange();
  const whose = whoseWords(o);
  const act = async () => {
    const outcome = await change(limits, o, (revision) => remove({ per: o.per, key: o.key || null, revision }));
    onDone();
    if (outcome.done) return;
    const theirs = outcome.theirs && overrideOf(outcome.theirs, o);
    const gone = outcome.theirs ? !theirs : failures(outcome.error).some((f) => f.code === 'NOT_FOUND');
    if (gone) return;
    if (!theirs) return <Failures error={outcome.error} what="It was not removed" />;
    return (
      <Note tone="bad">
        It was not removed: somebody else has changed it since you read it. It is now {overrideWords(theirs)}. To remove
        that, do so again.
      </Note>
    );
  };
  return (
    <Entry
      title={titleWords(o)}
      badge={o.per !== 'global' && <Badge>{o.per}</Badge>}
      what={o.unlimited ? <Badge tone="warn">no limit</Badge> : limitWords(o)}
      when={
        <>
          <span>
            until {moment(o.expires)}
            {o.reason && `: ${cut(o.reason, 300)}`}
          </span>
          <span className="muted">
            set {moment(o.created)} by {cut(o.createdBy, 300)}
          </span>
        </>
      }
      actions={
        onEdit && (
          <>
            <Button aria-label={`Change: ${whose}`} onPress={() => onEdit(o)}>
              Change
            </Button>
            <ConfirmButton label="Remove" title={`Remove the override of ${whose}`} confirm="Remove it" act={act}>
              <p>The rules count these calls again, on every node at once.</p>
            </ConfirmButton>
          </>
        )
      }
    />
  );
}
