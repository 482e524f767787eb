import { useState } from 'react';
import { Button } from 'react-aria-components';
import type { CombinedError } from 'urql';
import { useMutation } from 'urql';
import { isAborted } from '../../lib/errors';
import { cut, plain } from '../../lib/format';
import { graphql } from '../../lib/graphql';
import { Check, ConfirmButton, Failures, Window } from '../../ui';
import { Hidden, type Pin } from './pin';

const approveMutation = graphql(`
  mutation ApprovePin($id: ID!, $hash: String!, $allowHidden: Boolean!) {
    approvePin(id: $id, hash: $hash, allowHidden: $allowHidden)
  }
`);
const rejectMutation = graphql(`
  mutation RejectPin($id: ID!, $hash: String!) {
    rejectPin(id: $id, hash: $hash)
  }
`);

/** Approves or rejects what the reader has looked at. What the source offers meanwhile is shown instead. */
export function Decide({ pin, reload }: { pin: Pin; reload: () => void }) {
  const [, reject] = useMutation(rejectMutation);
  const hash = pin.hash || pin.approvedHash;
  return (
    <>
      {pin.hash && pin.state !== 'approved' && <Approve key={pin.hash} pin={pin} reload={reload} />}
      {hash && pin.state !== 'rejected' && (
        <ConfirmButton
          label="Reject"
          title="Reject this definition"
          confirm="Reject"
          danger
          act={async () => {
            const { error } = await reject({ id: pin.id, hash });
            reload();
            return error && !isAborted(error) ? <Failures error={error} /> : undefined;
          }}
        >
          <p>
            {cut(pin.name, 200)} of {plain(pin.source)} is not served with this definition, on no node. It can be
            approved later.
          </p>
        </ConfirmButton>
      )}
    </>
  );
}

function Approve({ pin, reload }: { pin: Pin; reload: () => void }) {
  const hides = pin.hidden.length > 0;
  const [step, setStep] = useState<'closed' | 'ask' | 'hidden'>('closed');
  const [read, setRead] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CombinedError>();
  const [, approve] = useMutation(approveMutation);
  const close = () => {
    setStep('closed');
    setRead(false);
    setError(undefined);
  };
  const act = async () => {
    setBusy(true);
    const answer = await approve({ id: pin.id, hash: pin.hash, allowHidden: hides && read });
    setBusy(false);
    setError(answer.error);
    if (!answer.error || isAborted(answer.error)) {
      close();
      reload(); // After ABORTED this shows what the source offers now.
    }
  };
  return (
    <>
      <Button className="react-aria-Button primary" onPress={() => setStep('ask')}>
        Approve
      </Button>
      <Window
        title={step === 'hidden' ? 'Approve text that is hidden' : 'Approve this definition'}
        isOpen={step !== 'closed'}
        onClose={close}
      >
        {step === 'ask' && (
          <p>
            {cut(pin.name, 200)} of {plain(pin.source)} is served on every node, to everybody whom the policy lets use
            it, for as long as its definition has the hash <code className="mono">{plain(pin.hash)}</code>.
          </p>
        )}
        {step === 'hidden' && (
          <>
            <Hidden of={pin.hidden} />
            <Check isSelected={read} onChange={setRead}>
              I have read what is hidden, and approve it too
            </Check>
          </>
        )}
        <Failures error={error} />
        <div className="actions">
          <Button onPress={close}>Cancel</Button>
          {step === 'ask' && hides ? (
            <Button onPress={() => setStep('hidden')}>Go on to the hidden text</Button>
          ) : (
            <Button
              className={`react-aria-Button ${hides ? 'danger' : 'primary'}`}
              isDisabled={busy || (hides && !read)}
              onPress={act}
            >
              {hides ? 'Approve with the hidden text' : 'Approve'}
            </Button>
          )}
        </div>
      </Window>
    </>
  );
}
