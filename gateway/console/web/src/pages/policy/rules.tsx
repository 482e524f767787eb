import { useDeferredValue, useMemo, useState } from 'react';
import { count, cut } from '../../lib/format';
import { Badge, Empty, Rows, Search } from '../../ui';
import { type RoleLink, type Rule, ruleLine } from './csv';
import { type LineActions, LineButtons } from './line-buttons';
import css from './policy.module.css';
import { whole } from './static';

/** The rules of a policy as rows, those that hold what is searched for. */
export function Rules(props: {
  rules: Rule[];
  search: string;
  onSearch: (text: string) => void;
  actions?: LineActions<Rule>;
  add?: React.ReactNode;
}) {
  const search = useDeferredValue(props.search);
  const shown = useMemo(() => filter(props.rules, search, ruleLine), [props.rules, search]);
  const { actions } = props;
  return (
    <>
      <div className={css.tools}>
        <Search label="Filter rules" value={props.search} onChange={props.onSearch} placeholder="role:dev deny" />
        <Shown of={shown.length} all={props.rules.length} word="rule" />
        {props.add}
      </div>
      <div className={css.lines}>
        {shown.length > 0 && <RuleHeading editable={!!actions} />}
        <Rows
          label="Rules"
          pages={whole(shown)}
          id={(r) => String(r.line)}
          text={ruleLine}
          height={42}
          measured
          most="62dvh"
          row={(r) => <RuleRow rule={r} actions={actions} />}
          empty={
            props.rules.length === 0 ? (
              <Empty title="No rules">What no rule allows is denied, so nobody may do anything.</Empty>
            ) : (
              <Empty title="No rule holds all of these words">Every word is looked for in the whole rule.</Empty>
            )
          }
        />
      </div>
    </>
  );
}

/** How many of them are shown. */
export const Shown = ({ of, all, word }: { of: number; all: number; word: string }) => (
  <span className={`muted ${css.shown}`} aria-live="polite">
    {of === all ? count(of) : `${count(of)} of ${count(all)}`} {all === 1 ? word : `${word}s`}
  </span>
);

/** The lines that hold every word, in any case. */
export function filter<T>(lines: T[], search: string, textOf: (line: T) => string): T[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return lines;
  return lines.filter((l) => {
    const text = textOf(l).toLowerCase();
    return words.every((w) => text.includes(w));
  });
}

const RuleHeading = ({ editable }: { editable: boolean }) => (
  <div className={`${css.rule} ${editable ? css.editable : ''} ${css.heading}`} aria-hidden="true">
    <span>Line</span>
    <span>Subject</span>
    <span>Domain</span>
    <span>Object</span>
    <span>Action</span>
    <span>Effect</span>
    <span>Condition</span>
  </div>
);

function RuleRow({ rule: r, actions }: { rule: Rule; actions?: LineActions<Rule> }) {
  return (
    <div className={`${css.rule} ${actions ? css.editable : ''}`}>
      <span className={css.line}>{r.line}</span>
      <span className={css.who}>
        <span className={`mono ${css.subject}`} title={cut(r.subject, 500)}>
          {cut(r.subject, 200)}
        </span>
        <span className={`mono ${css.domain} ${r.domain === '*' ? css.any : ''}`}>{cut(r.domain, 100)}</span>
      </span>
      <span className={`mono ${css.object}`} title={cut(r.object, 500)}>
        {cut(r.object, 300)}
      </span>
      <span className={`mono ${css.action}`}>{cut(r.action, 30)}</span>
      <span className={css.effect}>
        <Badge tone={r.effect === 'deny' ? 'bad' : r.effect === 'allow' ? 'good' : 'warn'}>{cut(r.effect, 20)}</Badge>
      </span>
      <span className={`mono ${css.condition}`} title={cut(r.condition, 500)}>
        {cut(r.condition, 300)}
      </span>
      {actions && <LineButtons of={r} actions={actions} />}
    </div>
  );
}

/** One link in words: who, and where. */
export const linkWords = (l: RoleLink) => `${l.subject}${l.domain === '*' ? '' : ` in ${l.domain}`}`;

/** Searches within the page, where no address is wanted. */
export const useSearch = () => useState('');
