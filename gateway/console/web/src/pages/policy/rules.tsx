import { useDeferredValue, useMemo, useState } from 'react';
import { Button } from 'react-aria-components';
import { count, cut } from '../../lib/format';
import { Badge, Empty, Rows, Search } from '../../ui';
import { type RoleLink, type Rule, ruleLine } from './csv';
import css from './policy.module.css';
import { sizeOf, useNarrow, whole } from './static';

/** What the table can do with a rule, where it can be changed. */
export type RuleActions = { change: (rule: Rule) => void; remove: (line: number) => void };

/** The rules of a policy as rows, those that hold what is searched for. */
export function Rules(props: {
  rules: Rule[];
  search: string;
  onSearch: (text: string) => void;
  actions?: RuleActions;
  size?: string;
  add?: React.ReactNode;
}) {
  const narrow = useNarrow();
  const search = useDeferredValue(props.search);
  const shown = useMemo(() => filter(props.rules, search), [props.rules, search]);
  const height = narrow ? (props.actions ? 124 : 84) : props.actions ? 84 : 42;
  const { actions } = props;
  return (
    <>
      <div className={css.tools}>
        <Search label="Filter rules" value={props.search} onChange={props.onSearch} placeholder="role:dev deny" />
        <span className="muted" aria-live="polite">
          {shown.length === props.rules.length
            ? count(shown.length)
            : `${count(shown.length)} of ${count(props.rules.length)}`}{' '}
          rules
        </span>
        {props.add}
      </div>
      <div>
        {shown.length > 0 && !narrow && !actions && <RuleHeading />}
        <Rows
          label="Rules"
          pages={whole(shown)}
          id={(r) => String(r.line)}
          text={ruleLine}
          height={height}
          size={sizeOf(shown.length, height, props.size)}
          row={(r) => <RuleRow rule={r} narrow={narrow} actions={actions} />}
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

/** The rules that hold every word, in any case. */
function filter(rules: Rule[], search: string): Rule[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rules;
  return rules.filter((r) => {
    const text = ruleLine(r).toLowerCase();
    return words.every((w) => text.includes(w));
  });
}

const RuleHeading = () => (
  <div className={`${css.rule} ${css.heading}`} aria-hidden="true">
    <span>Line</span>
    <span>Subject</span>
    <span>Domain</span>
    <span>Object</span>
    <span>Action</span>
    <span>Effect</span>
    <span>Condition</span>
    <span />
  </div>
);

function RuleRow({ rule: r, narrow, actions }: { rule: Rule; narrow: boolean; actions?: RuleActions }) {
  const compact = narrow || !!actions;
  const look = compact ? `${css.rule} ${css.compact} ${narrow ? '' : css.beside}` : css.rule;
  return (
    <div className={look}>
      <span className={css.line}>{r.line}</span>
      <span className={`mono ${css.subject}`} title={cut(r.subject, 500)}>
        {cut(compact && r.domain !== '*' ? `${r.subject} in ${r.domain}` : r.subject, 200)}
      </span>
      <span className={`mono ${css.domain}`}>{cut(r.domain, 100)}</span>
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
      {actions ? (
        <div className={css.edit}>
          <Button
            className="react-aria-Button quiet"
            aria-label={`Change line ${r.line}`}
            onPress={() => actions.change(r)}
          >
            Change
          </Button>
          <Button
            className="react-aria-Button quiet"
            aria-label={`Remove line ${r.line}`}
            onPress={() => actions.remove(r.line)}
          >
            Remove
          </Button>
        </div>
      ) : (
        <span />
      )}
    </div>
  );
}

/** One link in words: who, and where. */
export const linkWords = (l: RoleLink) => `${l.subject}${l.domain === '*' ? '' : ` in ${l.domain}`}`;

/** Searches within the page, where no address is wanted. */
export const useSearch = () => useState('');
