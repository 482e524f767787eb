import { useState } from 'react';
import { type Exact, isRaw, stringify, Typing } from '../lib/exact';
import { cut, plain } from '../lib/format';
import type { Json } from '../lib/graphql';
import { CopyButton } from './code';
import css from './ui.module.css';

const fewest = 100; // Children that are shown before the reader asks for more.

/** A JSON value as a tree that opens as far as the reader wants. Strings of others are shown as data. */
export function JsonTree({ value, open = 2 }: { value: Json | Exact; open?: number }) {
  return (
    <div className={css.tree}>
      <div className="row">
        <CopyButton text={() => stringify(value, '  ')} />
      </div>
      <Value value={value} open={open} />
    </div>
  );
}

function Value({ value, open }: { value: Exact; open: number }) {
  const [most, setMost] = useState(fewest);
  const [shown, setShown] = useState(open > 0);
  if (typeof value === 'string') return <span className={css.string}>"{cut(value, 10_000)}"</span>;
  if (isRaw(value)) return <span className={css.other}>{value.rawJSON}</span>;
  if (value === null || typeof value !== 'object' || value instanceof Typing)
    return <span className={css.other}>{String(value)}</span>;
  const entries: [string, Exact][] = Array.isArray(value) ? value.map((v, i) => [String(i), v]) : Object.entries(value);
  const [left, right] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (entries.length === 0) return <span>{left + right}</span>;
  return (
    <details open={shown} onToggle={(e) => e.currentTarget === e.target && setShown(e.currentTarget.open)}>
      <summary>
        {left}
        <span className="muted"> {entries.length} </span>
        {right}
      </summary>
      {shown && (
        <ul>
          {entries.slice(0, most).map(([key, v]) => (
            <li key={key}>
              <span className={css.key}>{cut(key, 200)}</span>: <Value value={v} open={open - 1} />
            </li>
          ))}
          {entries.length > most && (
            <li>
              <button type="button" className="ui-button" onClick={() => setMost(most * 10)}>
                {plain(`${entries.length - most} more`)}
              </button>
            </li>
          )}
        </ul>
      )}
    </details>
  );
}
