import { useState } from 'react';
import { parse, stringify } from '../../../lib/exact';
import { Field } from '../../../ui';
import css from '../capabilities.module.css';
import type { Place, Shown } from './parts';

/** A value of any form, as JSON. `onProblem` hears what keeps the text from being JSON, or that nothing does any more. */
export function JsonField(
  props: Shown & Pick<Place, 'value' | 'onChange'> & { lines?: number; onProblem?: (problem: string) => void },
) {
  const given = props.value === undefined ? '' : stringify(props.value, '  ');
  const [state, setState] = useState({ text: given, value: given, problem: '' });
  // What is typed stays while it means the same; a value that comes from elsewhere replaces it.
  const text = state.value === given || state.problem ? state.text : given;
  const change = (typed: string) => {
    try {
      const value = typed.trim() === '' ? undefined : parse(typed);
      setState({ text: typed, value: value === undefined ? '' : stringify(value, '  '), problem: '' });
      props.onProblem?.('');
      props.onChange(value);
    } catch (e) {
      props.onProblem?.((e as Error).message);
      setState({ text: typed, value: given, problem: (e as Error).message });
    }
  };
  return (
    <div className={css.grow}>
      <Field
        label={`${props.label} as JSON`}
        hint={props.hint}
        error={state.problem || props.error}
        lines={props.lines ?? 2}
        value={text}
        onChange={change}
        spellCheck="false"
      />
    </div>
  );
}
