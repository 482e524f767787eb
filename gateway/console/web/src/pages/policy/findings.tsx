import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { asPattern, count, cut, moment, plain, plural } from '../../lib/format';
import { Badge, Failures, Note, Rows } from '../../ui';
import css from './policy.module.css';
import type { Diff, Impact, ImpactChange, Problem, TestResult } from './queries';
import { whole } from './static';
import type { Findings } from './use-review';

/** One sentence about each finding, to be read before a policy is put in force. */
export function Summary({ findings: f }: { findings: Findings }) {
  const impact = f.impact.data;
  return (
    <ul className={css.list}>
      <ProblemLines problems={f.lint.data ?? []} />
      <li>{f.diff.data ? changeWords(f.diff.data) : 'What changes is not known.'}</li>
      <li>{f.tests.data ? testWords(f.tests.data) : 'The checks could not be run.'}</li>
      <li>{impact ? impactWords(impact, f.days) : 'What it does to recorded calls is not known.'}</li>
    </ul>
  );
}

/** What is wrong with the whole policy, in full; mistakes and warnings of its lines, as numbers. */
function ProblemLines({ problems }: { problems: Problem[] }) {
  const lines = problems.filter((p) => p.line > 0);
  const mistakes = lines.filter((p) => !p.warning).length;
  return (
    <>
      {problems
        .filter((p) => p.line === 0)
        .map((p) => (
          <li key={p.message}>
            <Badge tone="bad">warning</Badge> {plain(p.message)}
          </li>
        ))}
      {lines.length > 0 && (
        <li>
          {plural(mistakes, 'mistake')} and {plural(lines.length - mistakes, 'warning')} in the rules.
        </li>
      )}
    </>
  );
}

const changeWords = (d: Diff) =>
  d.added.length + d.removed.length === 0
    ? 'No rule differs from the version in force.'
    : `${plural(d.added.length, 'rule')} added, ${plural(d.removed.length, 'rule')} removed.`;

function testWords(t: TestResult): string {
  if (t.problems.length > 0) return 'The checks cannot be run: there are mistakes.';
  if (t.checks === 0) return 'There are no checks.';
  if (t.failures.length > 0) return `${count(t.failures.length)} of ${plural(t.checks, 'check')} failed.`;
  return t.checks === 1 ? 'The check holds.' : `All ${count(t.checks)} checks hold.`;
}

const impactWords = (i: Impact, days: number) =>
  `${count(i.changed)} of ${plural(i.calls, 'call')} of the last ${plural(days, 'day')} would be decided otherwise` +
  `${i.undecided > 0 ? `; ${count(i.undecided)} cannot be decided again` : ''}.`;

/** Rules that come and go. */
export const DiffList = ({ diff }: { diff: Diff }) => (
  <ul className={css.changes} aria-label="Rules that change">
    {lines(diff.removed, 'removed', '−')}
    {lines(diff.added, 'added', '+')}
  </ul>
);

const lines = (rules: string[], kind: 'added' | 'removed', sign: string): ReactNode => (
  <>
    {rules.slice(0, 500).map((r) => (
      <li key={r} className={css[kind]}>
        <span aria-hidden="true">{sign} </span>
        <span className="visually-hidden">{kind}: </span>
        {cut(r, 2_000)}
      </li>
    ))}
    {rules.length > 500 && <li className="muted">and {count(rules.length - 500)} more</li>}
  </>
);

/** Checks that do not hold, and why. */
export const TestList = ({ tests }: { tests: TestResult }) => (
  <>
    {tests.problems.map((p) => (
      <Note key={`${p.line}:${p.message}`} tone="bad">
        {p.line > 0 && `Line ${p.line}: `}
        {plain(p.message)} {plain(p.hint)}
      </Note>
    ))}
    {tests.problems.length === 0 && (
      <Note tone={tests.failures.length > 0 ? 'bad' : tests.checks > 0 ? 'good' : 'none'}>{testWords(tests)}</Note>
    )}
    {tests.failures.length > 0 && (
      <ul className={css.list} aria-label="Checks that do not hold">
        {tests.failures.map((f) => (
          <li key={f.line}>
            <code>{cut(f.text, 1_000)}</code>
            <p className="muted">
              Line {f.line}: {cut(f.reason, 1_000)}
            </p>
          </li>
        ))}
      </ul>
    )}
  </>
);

/** Everything that was found. */
export function FindingsView({ findings: f }: { findings: Findings }) {
  const impact = f.impact.data;
  return (
    <div className="stack">
      {!!f.lint.data?.length && (
        <ul className={css.list} aria-label="Problems of the policy">
          <ProblemLines problems={f.lint.data} />
        </ul>
      )}
      <Failures error={f.diff.error} what="What changes" />
      {f.diff.data && (
        <section className="stack" aria-label="What changes">
          <h3>{changeWords(f.diff.data)}</h3>
          <DiffList diff={f.diff.data} />
        </section>
      )}
      <Failures error={f.tests.error} what="The checks" />
      {f.tests.data && <TestList tests={f.tests.data} />}
      <Failures error={f.impact.error} what="The impact" />
      {impact && (
        <section className="stack" aria-label="Impact">
          <h3>{impactWords(impact, f.days)}</h3>
          {impact.truncated && <Note tone="warn">The log held more calls than are looked at.</Note>}
          {impact.changes.length > 0 && (
            <Rows
              label="Recorded calls that change"
              pages={whole(impact.changes)}
              id={keyOf}
              text={(c) => `${c.principalName || c.principal} ${c.action} ${c.object}: ${c.before} to ${c.after}`}
              height={98}
              measured
              most="50dvh"
              row={(c) => <ImpactRow change={c} />}
              empty={null}
            />
          )}
        </section>
      )}
    </div>
  );
}

const keyOf = (c: ImpactChange) =>
  [c.principal, c.action, c.object, c.before, c.after, c.beforeRule, c.afterRule].join('\n');
const tone = (decision: string) => (decision === 'allowed' ? 'good' : decision === 'denied' ? 'bad' : 'warn');

function ImpactRow({ change: c }: { change: ImpactChange }) {
  const audit = new URLSearchParams({ principal: asPattern(c.principal), object: asPattern(c.object) });
  return (
    <div className={css.impact}>
      <div className="row">
        <Badge tone={tone(c.before)}>{c.before}</Badge>
        <span aria-hidden="true">→</span>
        <Badge tone={tone(c.after)}>{c.after}</Badge>
        <strong title={plain(c.principal)}>{cut(c.principalName || c.principal, 120)}</strong>
        <span>
          {c.action} <Link href={capabilityLink(c.object)}>{cut(c.object, 200)}</Link>
        </span>
      </div>
      <div className="muted">
        <Link href={`/audit?${audit}`}>{plural(c.calls, 'call')}</Link>, the last {moment(c.last)}; for example{' '}
        {c.examples.slice(0, 3).map((id, i) => (
          <span key={id}>
            {i > 0 && ', '}
            <Link href={`/audit?id=${encodeURIComponent(id)}`}>{cut(id, 8).slice(0, 8)}</Link>
          </span>
        ))}
      </div>
      <div className="mono">{cut(c.afterRule || c.beforeRule, 300)}</div>
    </div>
  );
}

/** Where the console shows what rules name so. */
export function capabilityLink(object: string): string {
  const [kind = '', source = '', ...name] = object.split('/');
  if (kind === 'admin') return `/policy/explain?object=${encodeURIComponent(object)}`;
  return `/capabilities?${new URLSearchParams({ kind, source, q: name.join('/') })}`;
}
