import type { CombinedError } from '@urql/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useConnection } from '../lib/connection';
import { type Failure, failures } from '../lib/errors';
import { plain } from '../lib/format';
import css from './ui.module.css';

export type Tone = 'good' | 'warn' | 'bad' | 'accent' | 'none';
const tones: Record<Tone, string | undefined> = {
  good: css.good,
  warn: css.warn,
  bad: css.bad,
  accent: css.accent,
  none: '',
};

/** A word about a state. The word says it; the colour only helps. */
export const Badge = (props: { tone?: Tone; children: ReactNode }) => (
  <span className={`${css.badge} ${tones[props.tone ?? 'none']}`}>{props.children}</span>
);

/** Something that the reader should see; `bad` ones are told to screen readers at once. */
export const Note = (props: { tone: Tone; children: ReactNode }) => (
  <div className={`${css.note} ${tones[props.tone]}`} role={props.tone === 'bad' ? 'alert' : 'status'}>
    {props.children}
  </div>
);

/** Says that there is nothing, and what to do next. */
export const Empty = (props: { title: string; children?: ReactNode }) => (
  <div className={css.empty}>
    <strong>{props.title}</strong>
    {props.children && <div>{props.children}</div>}
  </div>
);

export const Loading = (props: { what?: string }) => (
  <div className={css.loading} role="status">
    Loading{props.what ? ` ${props.what}` : ''}…
  </div>
);

const advice: Partial<Record<string, string>> = {
  NETWORK: 'It is asked again when it is back; nothing that you have typed is lost.',
  ABORTED: 'Somebody else was faster. Read again, and repeat what you want to change.',
  UNAUTHENTICATED: 'Sign in again.',
};

/** Every failure of an answer: what was refused or went wrong, with the way to the record that names the rule. */
export function Failures(props: { error: CombinedError | undefined; what?: string }) {
  const expired = useConnection() === 'expired'; // The frame says so, once, and how to go on.
  const all = failures(props.error).filter((f) => !expired || f.code !== 'UNAUTHENTICATED');
  if (all.length === 0) return null;
  return (
    <Note tone="bad">
      {all.slice(0, 5).map((f, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: The list is never changed in place.
        <FailureLine key={i} failure={f} what={props.what} />
      ))}
      {all.length > 5 && <p>and {all.length - 5} more.</p>}
    </Note>
  );
}

function FailureLine({ failure: f, what }: { failure: Failure; what?: string }) {
  return (
    <p>
      {what && `${what}: `}
      {plain(f.message)} <code>{f.code}</code> {advice[f.code]}
      {f.call && (
        <>
          {' '}
          <Link href={`/audit?id=${encodeURIComponent(f.call)}`}>The record of it names the rule.</Link>
        </>
      )}
    </p>
  );
}
