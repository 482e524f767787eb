import { type ReactNode, useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { Choice, Loading, Note, Panel } from '../../ui';
import { FindingsView, Summary } from './findings';
import css from './policy.module.css';
import { type Findings, type Subject, useReview } from './use-review';

const spans = [
  ['1', 'the last day'],
  ['7', 'the last 7 days'],
  ['30', 'the last 30 days'],
  ['90', 'the last 90 days'],
] as const;

/** What rules would do: what changes, the checks, and which recorded calls would be decided otherwise. */
export function Review(props: {
  title: string;
  label: string;
  subject: Subject;
  /** Readies what is to be looked at, such as by saving it; gives nothing where that fails. */
  ready?: () => Promise<Subject | undefined>;
  children?: ReactNode;
}) {
  const { run, busy, findings } = useReview();
  const [days, setDays] = useState('7');
  const look = async () => {
    const of = props.ready ? await props.ready() : props.subject;
    if (of) await run(of, Number(days));
  };
  return (
    <Panel
      title={props.title}
      actions={
        <Button isDisabled={busy} onPress={look}>
          {props.label}
        </Button>
      }
    >
      <div className={css.span}>
        <Choice label="Calls of" value={days} onChange={setDays} options={spans} />
      </div>
      {busy && <Loading what="recorded calls" />}
      {findings && !isOf(findings, props.subject) && (
        <Note tone="warn">The text has changed since. What follows is of the text before.</Note>
      )}
      {findings && <FindingsView findings={findings} />}
      {props.children}
    </Panel>
  );
}

const isOf = (f: Findings, s: Subject) => f.of.csv === s.csv && f.of.checks === s.checks && f.of.inForce === s.inForce;

/** The findings in short, looked up when it is shown. */
export function FreshSummary({ subject, days }: { subject: Subject; days: number }) {
  const { run, busy, findings } = useReview();
  const key = JSON.stringify(subject);
  useEffect(() => void run(JSON.parse(key) as Subject, days), [run, key, days]);
  if (busy || !findings) return <Loading what="what it would do" />;
  return <Summary findings={findings} />;
}
