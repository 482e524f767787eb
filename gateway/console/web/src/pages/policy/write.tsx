import { useMemo, useState } from 'react';
import { Button } from 'react-aria-components';
import { plain, plural } from '../../lib/format';
import { Badge, Failures, Panel, Switcher } from '../../ui';
import { appendLine, parse, type RoleLink, type Rule, removeLine, replaceLine } from './csv';
import type { Place } from './editor';
import { Editor } from './lazy';
import { LinkForm } from './link-form';
import { Links } from './links';
import css from './policy.module.css';
import type { Problem } from './queries';
import { RuleForm } from './rule-form';
import { Rules, useSearch } from './rules';
import { useLint } from './use-lint';
import { useVocabulary } from './use-vocabulary';

const views = [
  ['text', 'Text'],
  ['rules', 'Rules'],
  ['roles', 'Roles'],
] as const;

/** Rules and roles that are written: as text, or each in a table, which are the same draft. */
export function Write(props: { csv: string; onChange: (csv: string) => void; onSave?: () => void }) {
  const { csv, onChange } = props;
  const policy = useMemo(() => parse(csv), [csv]);
  const vocabulary = useVocabulary(policy);
  const lint = useLint(csv);
  const [view, setView] = useState<(typeof views)[number][0]>('text');
  const [search, setSearch] = useSearch();
  const [form, setForm] = useState<Open>();
  const [place, setPlace] = useState<Place>();
  const close = () => setForm(undefined);
  const done = (line: string) => {
    onChange(form?.of ? replaceLine(csv, form.of.line, line) : appendLine(csv, line));
    close();
  };
  const remove = (line: number) => onChange(removeLine(csv, line));
  const go = (line: number) => {
    setView('text');
    setPlace({ line });
  };
  return (
    <Panel
      title="Rules and roles"
      actions={
        <Switcher
          label="Write as"
          options={views}
          value={view}
          onChange={(to) => {
            setView(to);
            setSearch('');
          }}
        />
      }
    >
      {view === 'text' && (
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
      {view === 'rules' && (
        <Rules
          rules={policy.rules}
          search={search}
          onSearch={setSearch}
          actions={{ change: (of) => setForm({ kind: 'rule', of }), remove }}
          add={<Button onPress={() => setForm({ kind: 'rule' })}>Add a rule</Button>}
        />
      )}
      {view === 'roles' && (
        <Links
          links={policy.links}
          search={search}
          onSearch={setSearch}
          actions={{ change: (of) => setForm({ kind: 'link', of }), remove }}
          add={<Button onPress={() => setForm({ kind: 'link' })}>Give a role</Button>}
        />
      )}
      <Failures error={lint.error} what="Looking for problems" />
      <ProblemList problems={lint.problems} current={lint.current} failed={!!lint.error} onGo={go} />
      {form?.kind === 'rule' && <RuleForm rule={form.of} vocabulary={vocabulary} onDone={done} onClose={close} />}
      {form?.kind === 'link' && <LinkForm link={form.of} vocabulary={vocabulary} onDone={done} onClose={close} />}
    </Panel>
  );
}

/** The form that is open, and the line that it changes; none is a new one. */
type Open = { kind: 'rule'; of?: Rule } | { kind: 'link'; of?: RoleLink };

function ProblemList(props: { problems: Problem[]; current: boolean; failed: boolean; onGo: (line: number) => void }) {
  const { problems } = props;
  const mistakes = problems.filter((p) => !p.warning).length;
  const warnings = problems.length - mistakes;
  let words = 'No problems found.';
  if (problems.length > 0) words = `${plural(mistakes, 'mistake')}, ${plural(warnings, 'warning')}.`;
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
                <button type="button" className={css.goto} onClick={() => props.onGo(p.line)}>
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
