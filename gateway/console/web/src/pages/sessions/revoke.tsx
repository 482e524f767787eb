import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { count } from '../../lib/format';
import { Choice, Field, Note, useFields, Window, WindowForm } from '../../ui';
import { revokeCredentials } from './queries';

const blank = { principal: '', token: '', issuer: '', reason: '' };

/** Revokes what a principal, or one token, was let in with. What is typed stays until it is done. */
export function RevokeButton({ principal, onDone }: { principal: string; onDone: () => void }) {
  const [open, setOpen] = useState(false);
  const [what, setWhat] = useState('principal');
  const { form, setForm, field } = useFields(blank);
  const [error, setError] = useState<CombinedError>();
  const [ended, setEnded] = useState<number>();
  const [{ fetching }, revoke] = useMutation(revokeCredentials);
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
    setForm(blank);
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
          <WindowForm
            error={error}
            what="Nothing was revoked"
            submit="Revoke"
            danger
            isDisabled={!whole || fetching}
            onSubmit={act}
            onCancel={() => setOpen(false)}
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
          </WindowForm>
        )}
      </Window>
    </>
  );
}
