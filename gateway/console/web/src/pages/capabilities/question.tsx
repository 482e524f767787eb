import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { failures } from '../../lib/errors';
import { type Exact, isObject } from '../../lib/exact';
import { cut } from '../../lib/format';
import type { Json } from '../../lib/graphql';
import { Failures, Note } from '../../ui';
import css from './capabilities.module.css';
import { answerMutation, type Question } from './documents';
import { SchemaField } from './form/field';
import type { Schema } from './form/schema';
import { initial, notNumbers } from './form/values';

/** What a tool wants to know before it goes on: a form, or an address to visit. */
export function Ask({ question: q, source, done }: { question: Question; source: string; done: () => void }) {
  const schema: Schema = isObject(q.schema) ? (q.schema as Schema) : { type: 'object' };
  const [value, setValue] = useState<Exact | undefined>(() => initial(schema, schema, true) ?? {});
  const [error, setError] = useState<CombinedError>();
  const [, answer] = useMutation(answerMutation);
  const [busy, setBusy] = useState(false);
  const bad = notNumbers(value ?? {}).length > 0;
  const say = async (action: 'accept' | 'decline' | 'cancel') => {
    setBusy(true);
    const content = action === 'accept' && q.kind === 'form' ? ((value ?? {}) as unknown as Json) : null;
    const result = await answer({ id: q.id, action, content });
    setBusy(false);
    setError(result.error);
    if (!result.error) done();
  };
  const wrong = failures(error).flatMap((f) => f.violations);
  return (
    <fieldset className={css.group}>
      <legend>{cut(source, 100)} asks</legend>
      <p className={css.text}>{cut(q.asks, 5_000)}</p>
      {q.kind === 'url' ? (
        <Visit url={q.url ?? ''} opened={() => void say('accept')} busy={busy} />
      ) : (
        <SchemaField
          schema={schema}
          root={schema}
          value={value ?? {}}
          onChange={setValue}
          name="Answer"
          required
          pointer=""
          wrong={wrong}
        />
      )}
      <Failures error={error} />
      <div className="row">
        {q.kind !== 'url' && (
          <Button className="react-aria-Button primary" isDisabled={busy || bad} onPress={() => say('accept')}>
            Answer
          </Button>
        )}
        <Button isDisabled={busy} onPress={() => say('decline')}>
          Decline
        </Button>
        <Button isDisabled={busy} onPress={() => say('cancel')}>
          Cancel the question
        </Button>
      </div>
    </fieldset>
  );
}

/** An address of a source's own: shown whole, and opened only when the reader says so. */
function Visit({ url, opened, busy }: { url: string; opened: () => void; busy: boolean }) {
  const target = webAddress(url);
  if (!target) return <Note tone="bad">It wants you to visit an address that is not of the web: {cut(url, 500)}</Note>;
  const open = () => {
    window.open(target.href, '_blank', 'noopener,noreferrer');
    opened();
  };
  return (
    <>
      <p>
        It wants you to visit <strong>{cut(target.host, 300)}</strong>. What you enter there goes to that host, not to
        the gateway.
      </p>
      <code className="mono">{cut(target.href, 2_000)}</code>
      <div>
        <Button isDisabled={busy} onPress={open}>
          Open {cut(target.host, 60)} in a new tab
        </Button>
      </div>
    </>
  );
}

/** An address that a browser may be sent to: http or https, without credentials in it. */
export function webAddress(url: string): URL | null {
  if (!URL.canParse(url)) return null;
  const u = new URL(url);
  return (u.protocol === 'https:' || u.protocol === 'http:') && u.username === '' && u.password === '' ? u : null;
}
