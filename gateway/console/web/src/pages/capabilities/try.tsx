import { useEffect, useState } from 'react';
import { Button, ProgressBar } from 'react-aria-components';
import { failures } from '../../lib/errors';
import { canSendRaw, type Exact, hasRaw, isObject } from '../../lib/exact';
import { count, cut, duration, plain } from '../../lib/format';
import { Badge, Empty, Failures, Note, Panel } from '../../ui';
import { type Call, useCall } from './call';
import css from './capabilities.module.css';
import { Copy } from './copy';
import type { Tool } from './documents';
import { SchemaField } from './form/field';
import { JsonField } from './form/json';
import { type Schema, short } from './form/schema';
import { initial, notNumbers } from './form/values';
import { Ask } from './question';
import { Content } from './result';

/** Calls a tool with what is filled in, and follows the call. */
export function TryTool({ tool, gone }: { tool: Tool; gone: boolean }) {
  const schema: Schema = isObject(tool.inputSchema) ? (tool.inputSchema as Schema) : { type: 'object' };
  const [value, setValue] = useState<Exact | undefined>(() => initial(schema, schema, true) ?? {});
  const [text, setText] = useState(false);
  const [problem, setProblem] = useState('');
  const [refused, setRefused] = useState('');
  const { call, start, cancel, answered } = useCall(tool.id);
  const args = value ?? {};
  const wrong = failures(call.error).flatMap((f) => f.violations);
  const running = call.state === 'running';

  const send = () => {
    const bad = notNumbers(args);
    if (problem) setRefused('The arguments are not JSON yet.');
    else if (bad.length > 0) setRefused(`Not a number: ${bad.map((p) => short(p)).join(', ')}`);
    else if (!canSendRaw && hasRaw(args))
      setRefused('This browser cannot send numbers of that length unchanged. Use one of the commands below.');
    else {
      setRefused('');
      start(args);
    }
  };
  return (
    <>
      <Panel
        title="Try it"
        actions={
          <Button className="react-aria-Button quiet" isDisabled={problem !== ''} onPress={() => setText(!text)}>
            {text ? 'Fill in a form' : 'Write JSON'}
          </Button>
        }
      >
        <form
          className={css.form}
          noValidate // What is wrong is for the gateway to say, each time anew.
          onSubmit={(e) => {
            e.preventDefault();
            if (!running && !gone) send();
          }}
        >
          {text ? (
            <JsonField
              label="Arguments"
              hint=""
              error={wrong.map((w) => `${w.pointer || 'all of it'}: ${w.message}`).join('. ')}
              value={args}
              onChange={setValue}
              onProblem={setProblem}
              lines={8}
            />
          ) : (
            <SchemaField
              schema={schema}
              root={schema}
              value={args}
              onChange={setValue}
              name="Arguments"
              required
              pointer=""
              wrong={wrong}
            />
          )}
          {refused && <Note tone="bad">{plain(refused)}</Note>}
          <div className="row">
            <Button type="submit" className="react-aria-Button primary" isDisabled={gone || running}>
              Call
            </Button>
            {running && <Button onPress={cancel}>Cancel</Button>}
            <Elapsed call={call} />
          </div>
        </form>
        <Follow call={call} />
        {call.question && <Ask key={call.question.id} question={call.question} source={tool.source} done={answered} />}
        <Outcome call={call} />
      </Panel>
      <Copy what={{ kind: 'tool', name: tool.id, arguments: args, schema }} />
    </>
  );
}

function Elapsed({ call }: { call: Call }) {
  const [now, setNow] = useState(0);
  useEffect(() => {
    if (call.state !== 'running') return;
    const tick = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(tick);
  }, [call.state]);
  if (call.state === 'none') return null;
  const took = call.state === 'running' ? Math.max(0, now - call.began) : call.took;
  return (
    <span className="muted">
      {duration(took)}
      {call.dropped > 0 && ` · ${count(call.dropped)} reports were left out, as the connection was too slow`}
    </span>
  );
}

function Follow({ call }: { call: Call }) {
  const p = call.progress;
  return (
    <>
      {p && (
        <ProgressBar
          aria-label="Progress"
          value={p.progress}
          maxValue={p.total && p.total > 0 ? p.total : 100}
          isIndeterminate={!p.total || p.total <= 0}
          valueLabel={p.total ? `${count(p.progress)} of ${count(p.total)}` : count(p.progress)}
        >
          {({ percentage, valueText }) => (
            <>
              <div className="spread">
                <span>{p.message ? cut(p.message, 300) : 'Progress'}</span>
                <span className="muted">{valueText ?? count(p.progress)}</span>
              </div>
              <div className="ui-bar">
                <div style={{ inlineSize: `${percentage ?? 100}%` }} />
              </div>
            </>
          )}
        </ProgressBar>
      )}
      {call.log.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it.
        <ol className={css.log} aria-label="Log" tabIndex={0}>
          {call.lines > call.log.length && (
            <li className="muted">{count(call.lines - call.log.length)} earlier lines</li>
          )}
          {call.log.map((l, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: Lines are only added.
            <li key={i}>
              <span className="muted">
                {cut(l.level, 20)} {l.logger && cut(l.logger, 60)}
              </span>{' '}
              {cut(typeof l.data === 'string' ? l.data : short(l.data), 1_000)}
            </li>
          ))}
        </ol>
      )}
    </>
  );
}

function Outcome({ call }: { call: Call }) {
  if (call.state === 'failed') return <Failures error={call.error} />;
  if (call.state === 'cancelled') return <Note tone="none">The call was cancelled.</Note>;
  if (!call.result) return null;
  const { isError, structured, content } = call.result;
  return (
    <section className="stack" aria-label="Result">
      <div className="row">
        <h3>Result</h3>
        <Badge tone={isError ? 'bad' : 'good'}>{isError ? 'the tool failed' : 'OK'}</Badge>
      </div>
      <Content blocks={content} structured={structured as Exact} />
      {content.length === 0 && structured === null && <Empty title="The result is empty" />}
    </section>
  );
}
