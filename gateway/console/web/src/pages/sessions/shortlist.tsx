import { type ReactNode, useState } from 'react';
import { Button } from 'react-aria-components';
import { count } from '../../lib/format';
import css from './sessions.module.css';

const step = 100;

/** A list that came whole, of which the reader takes as many as they want. */
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
