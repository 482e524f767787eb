import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { count } from '../../lib/format';
import { Choice, Failures, Field, Note, Window } from '../../ui';
import { revokeCredentials } from './queries';

/** Revokes what a principal, or one token, was let in with. What is typed stays until it is done. */
export function RevokeButton({ principal, onDone }: { principal: string; onDone: () => void }) {
  const [open, setOpen] = useState(false);
  const [what, setWhat] = useState('principal');
  const [form, setForm] = useState({ principal: '', token: '', issuer: '', reason: '' });
  const [error, setError] = useState<CombinedError>();
  const [ended, setEnded] = useState<number>();
  const [{ fetching }, revoke] = useMutation(revokeCredentials);
  const field = (name: keyof typeof form) => ({
    value: form[name],
    onChange: (text: string) => setForm({ ...form, [name]: text }),
    maxLength: 1024,
  });
  const whole = what === 'principal' ? form.principal.trim() : form.token.trim() && form.issuer.trim();
  const act = async () => {
    setError(undefined);
    const reason = form.reason.trim() || null;
    const result = await revoke(
      what === 'principal'
        ? { principal: form.principal.trim(), reason }
        : { tokenId: form.token.trim(), issuer: form.issuer.trim(), reason },
    );
    setError(result.error);
    const done = result.data?.revokeCredentials;
    if (!done) return;
    setEnded(done.ended);
    setForm({ principal: '', token: '', issuer: '', reason: '' });
    onDone();
  };
  const begin = () => {
    setForm((f) => ({ ...f, principal: f.principal || principal }));
    setEnded(undefined);
    setError(undefined);
    setOpen(true);
  };
  return (
    <>
      <Button className="react-aria-Button danger" onPress={begin}>
        Revoke credentials
      </Button>
      <Window title="Revoke credentials" isOpen={open} onClose={() => setOpen(false)}>
        {ended !== undefined ? (
          <>
            <Note tone="good">
              Revoked on every node. {count(ended)} sessions and calls ended on the node that answers; the others do the
              same.
            </Note>
            <div className="actions">
              <Button onPress={() => setOpen(false)}>Close</Button>
            </div>
          </>
        ) : (
          <form
            className="stack"
            onSubmit={(e) => {
              e.preventDefault();
              void act();
            }}
          >
            <p>
              What was issued until now is refused from now on, and ends what was opened with it. Credentials that are
              issued later are good: to keep somebody out, change the policy or their account at the issuer.
            </p>
            <Choice
              label="Whose"
              value={what}
              onChange={setWhat}
              options={[
                ['principal', 'All credentials of a principal'],
                ['token', 'One token'],
              ]}
            />
            {what === 'principal' ? (
              <Field label="Principal" isRequired {...field('principal')} hint="The whole id: issuer|kind|subject." />
            ) : (
              <>
                <Field label="Id of the token" isRequired {...field('token')} hint="Its claim jti." />
                <Field label="Issuer" isRequired {...field('issuer')} hint="Its claim iss." />
              </>
            )}
            <Field label="Reason" {...field('reason')} hint="For whoever reads the audit log later." />
            <Failures error={error} what="Nothing was revoked" />
            <div className="actions row">
              <Button onPress={() => setOpen(false)}>Cancel</Button>
              <Button type="submit" className="react-aria-Button danger" isDisabled={!whole || fetching}>
                Revoke
              </Button>
            </div>
          </form>
        )}
      </Window>
    </>
  );
}
