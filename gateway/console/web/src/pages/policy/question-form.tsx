import { useCallback, useState } from 'react';
import { Choice, Combo, Field, Form, Panel, Wide } from '../../ui';
import { actionsFor } from './objects';
import { argsOf, type Question } from './question';
import { objectsIn, subjectsIn, type Vocabulary } from './suggest';

const doors = [
  ['', 'any door'],
  ['mcp', 'mcp'],
  ['graphql', 'graphql'],
  ['grpc', 'grpc'],
  ['rest', 'rest'],
] as const;

/** A question in fields, asked by its button. */
export function QuestionForm(props: { question: Question; vocabulary: Vocabulary; onAsk: (q: Question) => void }) {
  const { vocabulary: v } = props;
  const [q, set] = useState(props.question);
  const put = (change: Partial<Question>) => set((was) => ({ ...was, ...change }));
  const { problem } = argsOf(q.args);
  const actions = [['', 'the main one'] as const, ...actionsFor(q.object).map((a) => [a, a] as const)];
  const objects = useCallback((text: string) => objectsIn(v, text), [v]);
  const subjects = useCallback(
    (text: string) => {
      const before = /^.*[\s,]/.exec(text)?.[0] ?? ''; // Suggestions are of the last word.
      return subjectsIn(v).map((s) => before + s);
    },
    [v],
  );
  return (
    <Panel title="Question">
      <Form submit="Explain" isDisabled={!!problem} onSubmit={() => props.onAsk(q)}>
        <Wide half>
          <Combo
            label="Who"
            value={q.who}
            onChange={(who) => put({ who })}
            suggest={subjects}
            placeholder="role:guest"
            hint="Subjects as rules name them, with spaces between; or the id of a principal as the audit log has it."
          />
        </Wide>
        <Wide half>
          <Combo
            label="Object"
            value={q.object}
            onChange={(object) => put({ object })}
            suggest={objects}
            placeholder="tool/demo/add"
            hint="tool/source/name, resource/source/uri, prompt/source/name, or admin/area."
          />
        </Wide>
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
      </Form>
    </Panel>
  );
}
