import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { Link } from 'wouter';
import { cut } from '../../lib/format';
import { Empty, Failures, Loading, Note, Panel } from '../../ui';
import css from './capabilities.module.css';
import { Completed } from './complete';
import { Copy } from './copy';
import { pathOf, readQuery, type Template } from './documents';
import { One } from './result';
import { expand, variablesOf } from './template';

/** Reads a resource when the reader asks for it. */
export function Read({ uri, listed }: { uri: string; listed: boolean }) {
  const client = useClient();
  const [state, setState] = useState<{ busy: boolean; data?: Awaited<ReturnType<typeof ask>> }>({ busy: false });
  const ask = () => client.query(readQuery, { uri }, { requestPolicy: 'network-only' }).toPromise();
  const read = async () => {
    setState((s) => ({ ...s, busy: true }));
    setState({ busy: false, data: await ask() });
    window.dispatchEvent(new Event('trilith-called'));
  };
  const contents = state.data?.data?.readResource?.contents;
  return (
    <>
      <Panel title="Read it">
        {!listed && (
          <Note tone="none">
            No resource of this address is listed. It can still be one of a template, or not exist.
          </Note>
        )}
        <div>
          <Button className="react-aria-Button primary" isDisabled={state.busy} onPress={read}>
            Read
          </Button>
        </div>
        {state.busy && <Loading />}
        <Failures error={state.data?.error} />
        {contents && (
          <section className="stack" aria-label="Contents">
            {contents.length === 0 && <Empty title="It has no contents" />}
            {contents.slice(0, 100).map((c, i) => (
              <One
                // biome-ignore lint/suspicious/noArrayIndexKey: What was read does not change.
                key={i}
                label={`Part ${i + 1}`}
                block={{ type: 'resource', text: c.text, data: c.blob, mimeType: c.mimeType, uri: c.uri }}
              />
            ))}
          </section>
        )}
      </Panel>
      <Copy what={{ kind: 'resource', uri }} />
    </>
  );
}

/** Fills in a template and leads to the resource. */
export function ReadTemplate({ template }: { template: Template }) {
  const names = variablesOf(template.uriTemplate);
  const [values, setValues] = useState<Record<string, string>>({});
  const uri = expand(template.uriTemplate, values);
  return (
    <Panel title="Fill it in">
      <div className={css.form}>
        {names.map((name) => (
          <Completed
            key={name}
            name={name}
            label={cut(name, 100)}
            of={{ template: template.uriTemplate }}
            known={Object.fromEntries(Object.entries(values).filter(([n, v]) => n !== name && v !== ''))}
            value={values[name] ?? ''}
            onChange={(v) => setValues({ ...values, [name]: v })}
          />
        ))}
        <code className="mono">{cut(uri, 2_000)}</code>
        <div>
          <Link className="ui-button primary" href={pathOf('resource', uri)}>
            Open this resource
          </Link>
        </div>
      </div>
    </Panel>
  );
}
