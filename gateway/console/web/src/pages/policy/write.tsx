import { useMemo, useState } from 'react';
import { Button } from 'react-aria-components';
import { count, plain } from '../../lib/format';
import { Badge, Failures, Panel } from '../../ui';
import { appendLine, parse, type Rule, removeLine, replaceLine } from './csv';
import type { Place } from './editor';
import { Editor } from './lazy';
import css from './policy.module.css';
import type { Problem } from './queries';
import { RuleForm } from './rule-form';
import { Rules, useSearch } from './rules';
import { useLint } from './use-lint';
import { useVocabulary } from './use-vocabulary';

/** Rules that are written: as text or as a table, which are the same draft. */
export function Write(props: { csv: string; onChange: (csv: string) => void; onSave?: () => void }) {
  const { csv, onChange } = props;
  const policy = useMemo(() => parse(csv), [csv]);
  const vocabulary = useVocabulary(policy);
  const lint = useLint(csv);
  const [table, setTable] = useState(false);
  const [search, setSearch] = useSearch();
  const [form, setForm] = useState<Rule | 'new'>();
  const [place, setPlace] = useState<Place>();
  const done = (line: string) => {
    onChange(form === 'new' ? appendLine(csv, line) : form ? replaceLine(csv, form.line, line) : csv);
    setForm(undefined);
  };
  const go = (line: number) => {
    setTable(false);
    setPlace({ line });
  };
  return (
    <Panel
      title="Rules"
      actions={
        <>
          <Button aria-pressed={!table} className={look(!table)} onPress={() => setTable(false)}>
            Text
          </Button>
          <Button aria-pressed={table} className={look(table)} onPress={() => setTable(true)}>
            Table
          </Button>
        </>
      }
    >
      {table ? (
        <Rules
          rules={policy.rules}
          search={search}
          onSearch={setSearch}
          size="62dvh"
          actions={{ change: setForm, remove: (line) => onChange(removeLine(csv, line)) }}
          add={<Button onPress={() => setForm('new')}>Add a rule</Button>}
        />
      ) : (
        <Editor
          label="Rules of the draft"
          value={csv}
          onChange={onChange}
          onSave={props.onSave}
          problems={lint.problems}
          vocabulary={vocabulary}
          place={place}
        />
      )}
      <Failures error={lint.error} what="Looking for problems" />
      <ProblemList problems={lint.problems} current={lint.current} failed={!!lint.error} onGo={go} />
      {form && <RuleForm rule={form === 'new' ? undefined : form} onDone={done} onClose={() => setForm(undefined)} />}
    </Panel>
  );
}

const look = (on: boolean) => `react-aria-Button ${on ? 'primary' : ''}`;

function ProblemList(props: { problems: Problem[]; current: boolean; failed: boolean; onGo: (line: number) => void }) {
  const { problems } = props;
  const mistakes = problems.filter((p) => !p.warning).length;
  const warnings = problems.length - mistakes;
  let words = 'No problems found.';
  if (problems.length > 0) words = `${count(mistakes)} mistakes, ${count(warnings)} warnings.`;
  if (props.failed) words = 'Not checked.';
  if (!props.current) words = 'Looking for problems…';
  return (
    <section aria-label="Problems" className="stack">
      <p role="status" className="muted">
        {words}
      </p>
      {problems.length > 0 && (
        <ul className={css.list}>
          {problems.slice(0, 100).map((p) => (
            <li key={`${p.line}:${p.column}:${p.message}`}>
              <Badge tone={p.warning ? 'warn' : 'bad'}>{p.warning ? 'warning' : 'mistake'}</Badge>{' '}
              {p.line > 0 && (
                <button type="button" className={css.link} onClick={() => props.onGo(p.line)}>
                  Line {p.line}
                </button>
              )}{' '}
              {plain(p.message)}
              {p.hint && <span className="muted"> – {plain(p.hint)}</span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
