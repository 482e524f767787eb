import { useCallback, useState } from 'react';
import { Choice, Combo, Field, Form, Wide, Window } from '../../ui';
import { type Rule, ruleLine, tidy } from './csv';
import { actionsIn, domainsIn, objectsIn, subjectsIn, type Vocabulary } from './suggest';

const fresh: Rule = { line: 0, subject: '', domain: '*', object: '', action: 'call', effect: 'allow', condition: '' };
const effects = [
  ['allow', 'allow'],
  ['deny', 'deny'],
] as const;

/** A rule in fields, with the suggestions that the text has. `onDone` gets it as a line. */
export function RuleForm(props: {
  rule?: Rule;
  vocabulary: Vocabulary;
  onDone: (line: string) => void;
  onClose: () => void;
}) {
  const { vocabulary: v } = props;
  const [rule, set] = useState(props.rule ?? fresh);
  const put = (change: Partial<Rule>) => set((r) => ({ ...r, ...change }));
  const actions = [...new Set([rule.action, ...actionsIn(rule.object)])].map((a) => [a, a] as const);
  const subjects = useCallback(() => subjectsIn(v), [v]);
  const domains = useCallback(() => domainsIn(v), [v]);
  const objects = useCallback((text: string) => objectsIn(v, text), [v]);
  return (
    <Window
      title={props.rule ? `Change the rule in line ${props.rule.line}` : 'Add a rule'}
      isOpen
      onClose={props.onClose}
    >
      <Form
        submit={props.rule ? 'Change' : 'Add'}
        isDisabled={!rule.subject.trim() || !rule.object.trim()}
        onSubmit={() => props.onDone(ruleLine(tidy(rule)))}
        onCancel={props.onClose}
      >
        <Combo
          label="Subject"
          value={rule.subject}
          onChange={(subject) => put({ subject })}
          suggest={subjects}
          autoFocus
          placeholder="role:dev"
          hint="user:, client:, group: or role:, authenticated, or anyone."
        />
        <Combo
          label="Domain"
          value={rule.domain}
          onChange={(domain) => put({ domain })}
          suggest={domains}
          hint="The tenant; * for all."
        />
        <Wide>
          <Combo
            label="Object"
            value={rule.object}
            onChange={(object) => put({ object })}
            suggest={objects}
            placeholder="tool/demo/*"
            hint="* is anything but a slash, ** any number of parts."
          />
        </Wide>
        <Choice label="Action" value={rule.action} onChange={(action) => put({ action })} options={actions} />
        <Choice label="Effect" value={rule.effect} onChange={(effect) => put({ effect })} options={effects} />
        <Wide>
          <Field
            label="Condition"
            value={rule.condition}
            onChange={(condition) => put({ condition })}
            placeholder="args.amount <= 1000"
            hint="In CEL; empty is always."
          />
        </Wide>
      </Form>
    </Window>
  );
}
