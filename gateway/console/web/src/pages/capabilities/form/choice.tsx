import { useState } from 'react';
import { type Exact, stringify } from '../../../lib/exact';
import { cut } from '../../../lib/format';
import { Check, Choice } from '../../../ui';
import { SchemaField } from './field';
import { Group, type Of, type Place, Remarks, type Shown } from './parts';
import { fits, initial } from './values';

type Values = { values: Exact[]; labels: string[] };

const indexOf = (values: Exact[], value: Exact) => values.findIndex((v) => stringify(v) === stringify(value));

/** One of a few values. */
export const Picked = ({
  values,
  labels,
  value,
  onChange,
  label,
  ...remarks
}: Shown & Values & Pick<Place, 'value' | 'onChange'>) => (
  <div>
    <Choice
      label={label}
      value={value === undefined ? '' : String(indexOf(values, value))}
      onChange={(v) => onChange(v === '' ? undefined : values[Number(v)])}
      options={[['', 'Not given'], ...labels.map((text, i) => [String(i), cut(text, 100)] as const)]}
    />
    <Remarks {...remarks} />
  </div>
);

/** Any of a few values, in their order. */
export const Several = ({
  values,
  labels,
  value = [],
  onChange,
  required,
  ...shown
}: Shown & Values & Pick<Place, 'onChange' | 'required'> & { value: Exact[] | undefined }) => (
  <Group {...shown}>
    {labels.map((text, i) => (
      <Check
        key={stringify(values[i] ?? null)}
        isSelected={indexOf(value, values[i] ?? null) >= 0}
        onChange={(on) => {
          const next = values.filter((v, at) => (at === i ? on : indexOf(value, v) >= 0));
          onChange(next.length === 0 && !required ? undefined : next);
        }}
      >
        {cut(text, 100)}
      </Check>
    ))}
  </Group>
);

/** One of a few forms of a value, and that form. */
export function OneOf(props: Place & Shown & { f: Of<'choice'> }) {
  const { f, value, root, onChange, required } = props;
  const [at, setAt] = useState(() => (value === undefined && !required ? -1 : fits(value, f.of, root)));
  const now = value !== undefined && at < 0 ? fits(value, f.of, root) : Math.min(at, f.of.length - 1);
  const one = f.of[now];
  const none = required ? [] : ([['-1', 'Not given']] as const);
  return (
    <Group {...props}>
      <Choice
        label={`Form of ${props.label}`}
        value={String(now)}
        options={[...none, ...f.of.map((c, i) => [String(i), cut(c.label, 100)] as const)]}
        onChange={(v) => {
          const next = f.of[Number(v)];
          setAt(Number(v));
          onChange(next && initial(next.schema, root, true));
        }}
      />
      {one && (
        <SchemaField
          {...props}
          schema={one.schema}
          name={one.label}
          required={props.pointer === '' || required || value !== undefined}
        />
      )}
    </Group>
  );
}
