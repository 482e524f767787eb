import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { count, moment, plain } from '../../lib/format';
import { Badge, Code, Failures, Field, Note } from '../../ui';
import css from './audit.module.css';
import { type Checked, checkProof, checkSignature, type Proof } from './proof';
import { proofQuery } from './queries';

const keyAt = 'trilith-audit-key'; // In the browser's storage: a public key is worth most where it was noted once.

type State = { busy?: boolean; error?: CombinedError; problem?: string; proof?: Proof; checked?: Checked };

/** The proof that a record stands in the log, checked here and not by the gateway. */
export function ProofView({ seq }: { seq: number }) {
  const client = useClient();
  const [state, setState] = useState<State>({});
  const prove = async () => {
    setState({ busy: true });
    const { data, error } = await client.query(proofQuery, { seq }, { requestPolicy: 'network-only' }).toPromise();
    const proof = data?.admin.auditProof;
    if (!proof) return setState({ error });
    try {
      if (!globalThis.crypto?.subtle)
        throw new Error('a browser hashes only on pages that came over HTTPS or from this machine');
      setState({ proof, checked: await checkProof(proof) });
    } catch (e) {
      setState({ problem: e instanceof Error ? e.message : String(e), proof });
    }
  };
  const { checked, proof, error } = state;
  return (
    <section aria-label="Proof" className="stack">
      <div className="row">
        <Button onPress={prove} isDisabled={state.busy}>
          {state.busy ? 'Asking for the proof…' : 'Prove that it stands in the log'}
        </Button>
        <span className="muted">The gateway gives the hashes; your browser does the sums.</span>
      </div>
      <Failures error={error} what="There is no proof yet; a checkpoint covers a record after about a second" />
      {state.problem && <Note tone="bad">The proof could not be checked: {plain(state.problem)}.</Note>}
      {checked && proof && (
        <>
          <Note tone={checked.ok ? 'good' : 'bad'}>
            {checked.ok
              ? `Verified by your browser: record ${seq} stands in the tree of ${count(proof.size)} records that the checkpoint describes.`
              : `The proof does not hold: ${checked.problem} Keep the files of the log and the checkpoint, and ask whoever runs the gateway.`}
          </Note>
          <dl className="facts">
            <dt>Place in the tree</dt>
            <dd>
              {count(proof.index)} of {count(proof.size)}, counted from 0
            </dd>
            <dt>Leaf</dt>
            <dd className={css.hash}>{checked.leaf}</dd>
            <dt>Hashes on the way</dt>
            <dd>{count(proof.hashes.length)}</dd>
            <dt>Root, computed here</dt>
            <dd className={css.hash}>{checked.root || '–'}</dd>
            <dt>Root of the checkpoint</dt>
            <dd className={css.hash}>{plain(checked.checkpoint.root)}</dd>
            <dt>Checkpoint made</dt>
            <dd>{moment(checked.checkpoint.time)}</dd>
          </dl>
          <SignatureView checked={checked} />
          <details>
            <summary className={css.summary}>Record and checkpoint, byte for byte</summary>
            <div className="stack">
              <Code label="record" text={proof.record} />
              <Code label="checkpoint" text={proof.checkpoint} />
            </div>
          </details>
        </>
      )}
    </section>
  );
}

type Signed = { state: 'ok' | 'bad' | 'cannot'; text: string };

/** Checks the signature of a checkpoint with a public key that the reader has. */
function SignatureView({ checked }: { checked: Checked }) {
  const [key, setKey] = useState(() => localStorage.getItem(keyAt) ?? '');
  const [signed, setSigned] = useState<Signed>();
  const check = async () => {
    try {
      const wrong = await checkSignature(checked.checkpoint, key);
      if (!wrong) localStorage.setItem(keyAt, key.trim());
      setSigned(
        wrong ? { state: 'bad', text: wrong } : { state: 'ok', text: 'The checkpoint is signed with this key.' },
      );
    } catch {
      setSigned({
        state: 'cannot',
        text: 'This browser has no Ed25519: check the signature with gateway audit prove --check.',
      });
    }
  };
  return (
    <form
      className="stack"
      onSubmit={(e) => {
        e.preventDefault();
        void check();
      }}
    >
      <div className="row">
        <span>Signature by</span>
        {checked.checkpoint.signatures.map((s) => (
          <code key={s.name + s.hash.join()}>{plain(s.name)}</code>
        ))}
        <Badge tone={signed?.state === 'ok' ? 'good' : signed?.state === 'bad' ? 'bad' : 'warn'}>
          {signed?.state === 'ok'
            ? 'Signature verified'
            : signed?.state === 'bad'
              ? 'Signature refused'
              : 'Signature not checked'}
        </Badge>
      </div>
      <Field
        label="Public key of the log"
        value={key}
        onChange={(text) => {
          setKey(text);
          setSigned(undefined);
        }}
        hint="The line that gateway audit key prints. A key that was noted elsewhere shows what one from this gateway cannot: that nobody has written a new log. This browser remembers it."
      />
      <div className="row">
        <Button type="submit" isDisabled={key.trim() === ''}>
          Check the signature
        </Button>
        {signed && <span role="status">{signed.text}</span>}
      </div>
    </form>
  );
}
