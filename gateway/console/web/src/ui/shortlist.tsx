import { type ReactNode, useState } from 'react';
import { Button } from 'react-aria-components';
import { count } from '../lib/format';
import css from './shortlist.module.css';

const step = 100;

/** A list that came whole, of which the reader takes as many as they want. Its children are `Entry`. */
export function ShortList<T>(props: {
  items: readonly T[];
  label: string;
  what: string;
  id: (item: T) => string;
  children: (item: T) => ReactNode;
}) {
  const [most, setMost] = useState(step);
  const rest = props.items.length - most;
  return (
    <>
      <ul className={css.list} aria-label={props.label}>
        {props.items.slice(0, most).map((item) => (
          <li key={props.id(item)}>{props.children(item)}</li>
        ))}
      </ul>
      {rest > 0 && (
        <Button onPress={() => setMost(most + step)}>
          Show {count(Math.min(rest, step))} more of {count(rest)} {props.what}
        </Button>
      )}
    </>
  );
}

/** A line of a `ShortList`: whose it is, two columns about it, and what can be done. Where it is narrow they stand one under another. */
export const Entry = (props: {
  title: ReactNode;
  badge?: ReactNode;
  /** What the title is short for, such as a whole id. */
  id?: ReactNode;
  what?: ReactNode;
  when?: ReactNode;
  actions?: ReactNode;
}) => (
  <>
    <div className={css.lines}>
      <div className="row">
        <strong>{props.title}</strong>
        {props.badge}
      </div>
      {props.id && <span className="mono muted">{props.id}</span>}
    </div>
    <div className={css.lines}>{props.what}</div>
    <div className={css.lines}>{props.when}</div>
    <div className={css.actions}>{props.actions}</div>
  </>
);
