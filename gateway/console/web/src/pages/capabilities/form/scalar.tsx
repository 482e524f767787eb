import { useState } from 'react';
import { type Exact, stringify, Typing } from '../../../lib/exact';
import { cut } from '../../../lib/format';
import { Check, Field } from '../../../ui';
import css from '../capabilities.module.css';
import { Group, type Place, type Shown } from './parts';
import { typedNumber } from './values';

/** Text of one line or several. */
export const StringField = ({
  value,
  onChange,
  required,
  label,
  hint,
  error,
}: Shown & Pick<Place, 'onChange' | 'required'> & { value: string | undefined }) => (
  <div className={css.grow}>
    <Field
      label={label}
      hint={hint}
      error={error}
      lines={1}
      value={value ?? ''}
      onChange={(v) => onChange(v === '' && !required ? undefined : v)}
    />
  </div>
);

const numberText = (v: Exact | undefined) => (v === undefined ? '' : v instanceof Typing ? v.text : stringify(v));

/** A number of any length, as its text. */
export function NumberField({ value, onChange, ...shown }: Shown & Pick<Place, 'value' | 'onChange'>) {
  const [typed, setTyped] = useState(() => numberText(value));
  const same = numberText(typedNumber(typed)) === numberText(value);
  return (
    <Field
      {...shown}
      error={value instanceof Typing ? 'This is not a number.' : shown.error}
      inputMode="decimal"
      value={same ? typed : numberText(value)}
      onChange={(t) => {
        setTyped(t);
        onChange(typedNumber(t));
      }}
    />
  );
}

/** The one value that there is: to be given or not, where that is left open. */
export function Constant({
  constant,
  value,
  onChange,
  required,
  ...shown
}: Shown & Pick<Place, 'value' | 'onChange' | 'required'> & { constant: Exact }) {
  const text = <code>{cut(stringify(constant), 200)}</code>;
  return (
    <Group {...shown}>
      {required && value !== undefined ? (
        text
      ) : (
        <Check isSelected={value !== undefined} onChange={(on) => onChange(on ? constant : undefined)}>
          {text}
        </Check>
      )}
    </Group>
  );
}
