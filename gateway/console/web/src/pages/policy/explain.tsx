import { useMemo } from 'react';
import { useQuery } from 'urql';
import { useSearchParams } from 'wouter';
import { Empty } from '../../ui';
import { Decision, Grantees, Permissions } from './answers';
import { parse } from './csv';
import { PolicyPage } from './frame';
import { policyQuery } from './queries';
import { argsOf, readQuestion, whoOf, writeQuestion } from './question';
import { QuestionForm } from './question-form';
import { useVocabulary } from './use-vocabulary';

/** Why somebody may or may not do something; what somebody may do; who may do something. The address has the question. */
export function Explain() {
  const [params, setParams] = useSearchParams();
  const asked = params.toString();
  const question = useMemo(() => readQuestion(new URLSearchParams(asked)), [asked]);
  const who = useMemo(() => whoOf(question), [question]);
  const args = argsOf(question.args);
  const [{ data }] = useQuery({ query: policyQuery });
  const csv = data?.admin.policy?.csv ?? '';
  const vocabulary = useVocabulary(useMemo(() => parse(csv), [csv]));
  return (
    <PolicyPage title="Explain" hint="Who may do what under the policy in force, and which rule says so.">
      <QuestionForm
        key={asked}
        question={question}
        vocabulary={vocabulary}
        onAsk={(q) => setParams(writeQuestion(q))}
      />
      {!who && !question.object && (
        <Empty title="Ask about somebody, something, or both">
          Both explain one decision. Somebody alone lists all that they may do; an object alone lists who may use it.
        </Empty>
      )}
      {who && question.object && !args.problem && <Decision who={who} question={question} args={args.value} />}
      {question.object && <Grantees object={question.object} action={question.action} />}
      {who && <Permissions who={who} />}
    </PolicyPage>
  );
}
