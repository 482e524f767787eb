import { useState } from 'react';
import { Button } from 'react-aria-components';
import { Choice, Field, Panel } from '../../ui';
import { actionsFor } from './objects';
import css from './policy.module.css';
import { argsOf, type Question } from './question';

const doors = [
  ['', 'any door'],
  ['mcp', 'mcp'],
  ['graphql', 'graphql'],
  ['grpc', 'grpc'],
  ['rest', 'rest'],
] as const;

/** A question in fields, asked by its button. */
export function QuestionForm(props: { question: Question; onAsk: (q: Question) => void }) {
  const [q, set] = useState(props.question);
  const put = (change: Partial<Question>) => set({ ...q, ...change });
  const { problem } = argsOf(q.args);
  const actions = [['', 'the main one'] as const, ...actionsFor(q.object).map((a) => [a, a] as const)];
  return (
    <Panel title="Question">
      <form
        className={css.form}
        onSubmit={(e) => {
          e.preventDefault();
          if (!problem) props.onAsk(q);
        }}
      >
        <div className={css.half}>
          <Field
            label="Who"
            value={q.who}
            onChange={(who) => put({ who })}
            placeholder="role:guest"
            hint="Subjects as rules name them, with spaces between; or the id of a principal as the audit log has it."
          />
        </div>
        <div className={css.half}>
          <Field
            label="Object"
            value={q.object}
            onChange={(object) => put({ object })}
            placeholder="tool/demo/add"
            hint="tool/source/name, resource/source/uri, prompt/source/name, or admin/area."
          />
        </div>
        <Choice label="Action" value={q.action} onChange={(action) => put({ action })} options={actions} />
        <Choice label="Door" value={q.via} onChange={(via) => put({ via })} options={doors} />
        <Field label="Tenant" value={q.tenant} onChange={(tenant) => put({ tenant })} />
        <Field
          label="Arguments"
          value={q.args}
          onChange={(args) => put({ args })}
          placeholder={'{"a": 1}'}
          error={problem}
          hint="For rules with a condition."
        />
        <div className={`row ${css.wide}`}>
          <Button className="react-aria-Button primary" type="submit">
            Explain
          </Button>
        </div>
      </form>
    </Panel>
  );
}
