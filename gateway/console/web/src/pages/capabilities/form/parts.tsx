import type { ReactNode } from 'react';
import type { Exact } from '../../../lib/exact';
import css from '../capabilities.module.css';
import type { field, Schema } from './schema';

/** What a call's failure says is wrong, and where: JSON Pointers and words. */
export type Wrong = { pointer: string; message: string }[];

/** A place of a form: what belongs there, and what is there. */
export type Place = {
  schema: Schema;
  root: Schema;
  /** Undefined is a value that is left out. */
  value: Exact | undefined;
  onChange: (value: Exact | undefined) => void;
  name: string;
  required: boolean;
  pointer: string;
  wrong: Wrong;
};

/** What every field shows around its value. */
export type Shown = { label: string; error: string; hint: string };

/** What the schema says of a field of a kind. */
export type Of<K> = Extract<ReturnType<typeof field>, { kind: K }>;

/** Several controls under one label. */
export const Group = ({ label, error, hint, children }: Shown & { children: ReactNode }) => (
  <fieldset className={css.group}>
    <legend>{label}</legend>
    <Remarks hint={hint} error={error} />
    {children}
  </fieldset>
);

/** What a control without a place for it says besides. */
export const Remarks = ({ hint, error }: Pick<Shown, 'hint' | 'error'>) => (
  <>
    {hint && <div className="muted">{hint}</div>}
    {error && <div className={css.wrong}>{error}</div>}
  </>
);
