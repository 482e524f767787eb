import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { Choice, Code, Field, Note, useFields, Window, WindowForm } from '../../ui';
import { createKey } from './queries';

const day = 86_400;
const terms = [
  [String(day), 'A day'],
  [String(7 * day), 'A week'],
  [String(30 * day), '30 days'],
  [String(90 * day), '90 days'],
  [String(365 * day), 'A year'],
] as const;

const blank = { subject: '', label: '', groups: '', roles: '', scopes: '', tenant: '', ttl: String(30 * day) };

/** The words of a line, or nothing where it is empty. */
const words = (text: string) => {
  const all = text.split(/[\s,]+/).filter(Boolean);
  return all.length > 0 ? all : null;
};

/** Makes a key. What is typed stays until it is made; the secret is shown once, and forgotten when the window closes. */
export function CreateButton({ onDone }: { onDone: () => void }) {
  const client = useClient(); // Not useMutation, which would keep the answer, and the secret with it.
  const [open, setOpen] = useState(false);
  const { form, setForm, field, choice } = useFields(blank);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CombinedError>();
  const [secret, setSecret] = useState('');
  const create = async () => {
    setBusy(true);
    setError(undefined);
    const variables = {
      subject: form.subject.trim(),
      ttlSeconds: Number(form.ttl),
      label: form.label.trim() || null,
      groups: words(form.groups),
      roles: words(form.roles),
      scopes: words(form.scopes),
      tenant: form.tenant.trim() || null,
    };
    const result = await client.mutation(createKey, variables).toPromise();
    setBusy(false);
    setError(result.error);
    if (!result.data?.createKey) return;
    setSecret(result.data.createKey.secret);
    setForm(blank);
    onDone();
  };
  const close = () => {
    setOpen(false);
    setSecret('');
    setError(undefined);
  };
  return (
    <>
      <Button className="react-aria-Button primary" onPress={() => setOpen(true)}>
        Create a key
      </Button>
      <Window title={secret ? 'The key' : 'Create a key'} isOpen={open} onClose={close} isDismissable={!secret}>
        {secret ? (
          <>
            <Note tone="warn">
              This is the only time that the secret is shown. Copy it now to where it is kept; a lost one is replaced by
              a new key.
            </Note>
            <Code label="secret" text={secret} />
            <p>
              It is sent as <code>Authorization: Bearer</code>, to every door.
            </p>
            <div className="actions">
              <Button className="react-aria-Button primary" onPress={close}>
                I have kept it
              </Button>
            </div>
          </>
        ) : (
          <WindowForm
            error={error}
            what="No key was made"
            submit="Create"
            isDisabled={busy || form.subject.trim() === ''}
            onSubmit={create}
            onCancel={close}
          >
            <div className="grid">
              <Field label="Subject" isRequired {...field('subject')} hint="Whose it is, such as billing-sync." />
              <Choice label="Good for" {...choice('ttl')} options={terms} />
              <Field label="Label" {...field('label')} hint="What it is for." />
              <Field label="Roles" {...field('roles')} hint="Several with spaces between them." />
              <Field label="Groups" {...field('groups')} hint="Several with spaces between them." />
              <Field label="Scopes" {...field('scopes')} hint="The bound of what it may do; none is no bound." />
              <Field label="Tenant" {...field('tenant')} hint="Only where there are several." />
            </div>
            <p className="muted">A key has no right that you do not have, unless you may change the policy.</p>
          </WindowForm>
        )}
      </Window>
    </>
  );
}
