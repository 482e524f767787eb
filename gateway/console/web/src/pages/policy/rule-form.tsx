import { useState } from 'react';
import { Button } from 'react-aria-components';
import { Choice, Field, Window } from '../../ui';
import { type Rule, ruleLine } from './csv';
import { actionsFor } from './objects';
import css from './policy.module.css';

const fresh: Rule = { line: 0, subject: '', domain: '*', object: '', action: 'call', effect: 'allow', condition: '' };
const effects = [
  ['allow', 'allow'],
  ['deny', 'deny'],
] as const;

/** A rule in fields. `onDone` gets it as a line. */
export function RuleForm(props: { rule?: Rule; onDone: (line: string) => void; onClose: () => void }) {
  const [rule, set] = useState(props.rule ?? fresh);
  const put = (change: Partial<Rule>) => set({ ...rule, ...change });
  const actions = [...new Set([rule.action, ...actionsFor(rule.object), '*'])].map((a) => [a, a] as const);
  const missing = !rule.subject.trim() || !rule.object.trim();
  const done = () => {
    const trimmed = Object.entries(rule).map(([k, v]) => [
      k,
      typeof v === 'string' ? v.replace(/\s+/g, ' ').trim() : v,
    ]);
    props.onDone(ruleLine(Object.fromEntries(trimmed) as Rule));
  };
  return (
    <Window
      title={props.rule ? `Change the rule in line ${props.rule.line}` : 'Add a rule'}
      isOpen
      onClose={props.onClose}
    >
      <form
        className={css.form}
        onSubmit={(e) => {
          e.preventDefault();
          if (!missing) done();
        }}
      >
        <Field
          label="Subject"
          value={rule.subject}
          onChange={(subject) => put({ subject })}
          autoFocus
          placeholder="role:dev"
          hint="user:, client:, group: or role:, authenticated, or anyone."
        />
        <Field
          label="Domain"
          value={rule.domain}
          onChange={(domain) => put({ domain })}
          hint="The tenant; * for all."
        />
        <div className={css.wide}>
          <Field
            label="Object"
            value={rule.object}
            onChange={(object) => put({ object })}
            placeholder="tool/demo/*"
            hint="* is anything but a slash, ** any number of parts."
          />
        </div>
        <Choice label="Action" value={rule.action} onChange={(action) => put({ action })} options={actions} />
        <Choice label="Effect" value={rule.effect} onChange={(effect) => put({ effect })} options={effects} />
        <div className={css.wide}>
          <Field
            label="Condition"
            value={rule.condition}
            onChange={(condition) => put({ condition })}
            placeholder="args.amount <= 1000"
            hint="In CEL; empty is always."
          />
        </div>
        <div className={`row ${css.wide}`}>
          <Button className="react-aria-Button primary" type="submit" isDisabled={missing}>
            {props.rule ? 'Change' : 'Add'}
          </Button>
          <Button onPress={props.onClose}>Cancel</Button>
        </div>
      </form>
    </Window>
  );
}
