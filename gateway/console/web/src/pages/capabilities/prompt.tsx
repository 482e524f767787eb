import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { cut } from '../../lib/format';
import { Badge, Failures, Loading, Panel } from '../../ui';
import css from './capabilities.module.css';
import { Completed } from './complete';
import { Copy } from './copy';
import { getQuery, type Prompt } from './documents';
import { One } from './result';

/** Fills in a prompt and shows its messages. */
export function FillPrompt({ prompt, gone }: { prompt: Prompt; gone: boolean }) {
  const client = useClient();
  const [values, setValues] = useState<Record<string, string>>({});
  const [state, setState] = useState<{ busy: boolean; data?: Awaited<ReturnType<typeof ask>> }>({ busy: false });
  const args = Object.fromEntries(
    prompt.arguments.filter((a) => a.required || values[a.name]).map((a) => [a.name, values[a.name] ?? '']),
  );
  const ask = () =>
    client.query(getQuery, { name: prompt.id, arguments: args }, { requestPolicy: 'network-only' }).toPromise();
  const get = async () => {
    setState((s) => ({ ...s, busy: true }));
    setState({ busy: false, data: await ask() });
    window.dispatchEvent(new Event('trilith-called'));
  };
  const result = state.data?.data?.getPrompt;
  return (
    <>
      <Panel title="Fill it in">
        <form
          className={css.form}
          noValidate // What is wrong is for the gateway to say, each time anew.
          onSubmit={(e) => {
            e.preventDefault();
            if (!gone) void get();
          }}
        >
          {prompt.arguments.slice(0, 200).map((a) => (
            <Completed
              key={a.name}
              name={a.name}
              label={`${cut(a.title || a.name, 100)}${a.required ? '' : ' (optional)'}`}
              hint={a.description ?? ''}
              of={{ prompt: prompt.id }}
              known={Object.fromEntries(Object.entries(args).filter(([n, v]) => n !== a.name && v !== ''))}
              value={values[a.name] ?? ''}
              onChange={(v) => setValues({ ...values, [a.name]: v })}
            />
          ))}
          <div>
            <Button type="submit" className="react-aria-Button primary" isDisabled={gone || state.busy}>
              Get the messages
            </Button>
          </div>
        </form>
        {state.busy && <Loading />}
        <Failures error={state.data?.error} />
        {result && (
          <section className="stack" aria-label="Messages">
            {result.description && <p className={css.text}>{cut(result.description, 2_000)}</p>}
            {result.messages.slice(0, 100).map((m, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: What was read does not change.
              <div key={i} className="stack">
                <div>
                  <Badge tone="accent">{cut(m.role, 40)}</Badge>
                </div>
                <One block={m.content} label={`Message ${i + 1}`} />
              </div>
            ))}
          </section>
        )}
      </Panel>
      <Copy what={{ kind: 'prompt', name: prompt.id, arguments: args }} />
    </>
  );
}
