import type { CombinedError } from '@urql/core';
import { useState } from 'react';
import { useMutation } from 'urql';
import { Check, Choice, Field, Note, useFields, Window, WindowForm } from '../../ui';
import css from './limits.module.css';
import { type Limits, setOverride, type Whose } from './queries';
import { overrideOf, useChange } from './use-change';
import { kinds, overrideWords, rateWords } from './words';

const hour = 3_600;
const terms = [
  [String(hour), 'An hour'],
  [String(8 * hour), '8 hours'],
  [String(24 * hour), 'A day'],
  [String(7 * 24 * hour), 'A week'],
  [String(30 * 24 * hour), '30 days'],
  [String(365 * 24 * hour), 'A year'],
] as const;

const units = [
  ['s', 'a second'],
  ['m', 'a minute'],
  ['h', 'an hour'],
  ['d', 'a day'],
] as const;

const hints: Record<string, string> = {
  principal: 'The whole id: issuer|kind|subject.',
  tenant: 'Its name; empty is callers of no tenant.',
  role: 'Its name, as in the policy. All who hold it share the limit.',
  tool: 'Its whole name, such as crm.search.',
  source: 'Its name, as in the configuration.',
};

/** What the form begins with: what is in force for that key, or nothing. */
function begin(limits: Limits, of: Partial<Whose>) {
  const now = overrideOf(limits, { per: of.per ?? '', key: of.key ?? '' });
  const [calls = '', unit = 'm'] = (now?.rate ?? '').split('/');
  return {
    per: of.per ?? 'principal',
    key: of.key ?? '',
    unlimited: now?.unlimited ? 'yes' : '',
    calls,
    unit: unit || 'm',
    burst: now && !now.unlimited && String(now.burst) !== calls ? String(now.burst) : '',
    ttl: String(hour),
    reason: now?.reason ?? '',
  };
}

/** A number of calls, or null where it is none. */
const number = (text: string) => (/^[1-9]\d{0,14}$/.test(text.trim()) ? Number(text.trim()) : null);

/**
 * Sets the override of a key. What is typed stays until it is done; where somebody else has changed the same override
 * meanwhile, theirs is shown, and holds until the reader decides.
 */
export function OverrideForm(props: { of: Partial<Whose>; limits: Limits; onClose: () => void; onDone: () => void }) {
  const [seen, setSeen] = useState(props.limits);
  const [conflict, setConflict] = useState(false);
  const [error, setError] = useState<CombinedError>();
  const { form, setForm, field, choice } = useFields(begin(seen, props.of));
  const [{ fetching }, set] = useMutation(setOverride);
  const change = useChange();

  const whose = { per: form.per, key: form.per === 'global' ? '' : form.key.trim() };
  const now = overrideOf(seen, whose);
  const replaced = seen.rules.filter((r) => r.per === form.per);
  const calls = number(form.calls);
  const burst = form.burst.trim() === '' ? null : number(form.burst);
  const named = form.per === 'global' || form.per === 'tenant' || whose.key !== '';
  const whole = named && (form.unlimited || (calls !== null && (form.burst.trim() === '' || burst !== null)));

  const act = async () => {
    setError(undefined);
    setConflict(false);
    const outcome = await change(seen, whose, (revision) =>
      set({
        per: whose.per,
        key: whose.key || null,
        rate: form.unlimited ? null : `${calls}/${form.unit}`,
        burst: form.unlimited ? null : burst,
        ttlSeconds: Number(form.ttl),
        reason: form.reason.trim() || null,
        revision,
      }),
    );
    if (outcome.done) {
      props.onDone();
      props.onClose();
      return;
    }
    setError(outcome.error);
    if (!outcome.theirs) return;
    setSeen(outcome.theirs);
    setConflict(true);
    props.onDone();
  };

  return (
    <Window title="Override a limit" isOpen onClose={props.onClose}>
      <WindowForm
        error={error}
        what="The limit is as it was"
        submit={conflict ? 'Set mine instead' : 'Set'}
        isDisabled={!whole || fetching}
        onSubmit={act}
        onCancel={props.onClose}
      >
        <div className={css.fields}>
          <Choice label="Whose" {...choice('per')} options={kinds} />
          {form.per !== 'global' && (
            <Field label="Key" isRequired={form.per !== 'tenant'} {...field('key')} hint={hints[form.per]} />
          )}
        </div>
        <Check
          isSelected={form.unlimited !== ''}
          onChange={(on) => setForm((old) => ({ ...old, unlimited: on ? 'yes' : '' }))}
        >
          No limit
        </Check>
        {!form.unlimited && (
          <div className={css.fields}>
            <Field
              label="Calls"
              isRequired
              inputMode="numeric"
              {...field('calls')}
              error={form.calls !== '' && calls === null ? 'A whole number, 1 or more.' : undefined}
            />
            <Choice label="In" {...choice('unit')} options={units} />
            <Field
              label="At once"
              inputMode="numeric"
              {...field('burst')}
              hint="How many may come in a burst; empty is as many as above."
              error={form.burst.trim() !== '' && burst === null ? 'A whole number, 1 or more.' : undefined}
            />
          </div>
        )}
        <div className={css.fields}>
          <Choice label="For" {...choice('ttl')} options={terms} />
          <Field label="Reason" {...field('reason')} hint="For whoever sees it later." />
        </div>
        <p className="muted">
          {replaced.length === 0
            ? `No rule counts by ${form.per === 'global' ? 'all calls together' : form.per}: this adds a limit.`
            : `It takes the place of ${replaced
                .slice(0, 5)
                .map((r) => `${r.name} (${rateWords(r.rate)})`)
                .join(', ')}${replaced.length > 5 ? ' and others' : ''}, for this key alone.`}
        </p>
        {conflict ? (
          <Note tone="bad">
            Nothing was set: somebody else has changed this limit since you read it.{' '}
            {now ? `It is now ${overrideWords(now)}.` : 'They have removed the override.'} What you have typed is still
            here.
          </Note>
        ) : (
          now && <Note tone="warn">There is an override already: {overrideWords(now)}. Yours takes its place.</Note>
        )}
      </WindowForm>
    </Window>
  );
}
