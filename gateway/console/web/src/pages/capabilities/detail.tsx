import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { Link } from 'wouter';
import { useRights } from '../../app/rights';
import type { Exact } from '../../lib/exact';
import { cut } from '../../lib/format';
import { useLive } from '../../lib/live';
import { Badge, Empty, Failures, JsonTree, Loading, Note, Page, Panel } from '../../ui';
import css from './capabilities.module.css';
import {
  type Any,
  changes,
  type Kind,
  type Prompt,
  promptQuery,
  type Resource,
  resourceQuery,
  type Template,
  type Tool,
  templateList,
  titles,
  toolQuery,
} from './documents';
import type { Schema } from './form/schema';
import { FillPrompt } from './prompt';
import { Read, ReadTemplate } from './read';
import { SchemaTable } from './schema-table';
import { TryTool } from './try';
import { LastCalls, PinState, WhoMay } from './who';

const exact = { exact: true };

/** One capability: what it says of itself, who may use it, and a way to use it here. */
export function Detail({ kind, id }: { kind: Kind; id: string }) {
  const one = useOne(kind, id);
  const last = useRef<Any | null>(null);
  if (one.data) last.current = one.data;
  const shown = last.current; // What has been typed stays when the capability goes.
  const gone = shown !== null && !one.data && one.answered;
  const title = cut(shown?.title || shown?.name || id, 200);

  if (!shown && !(kind === 'resource' && one.answered)) {
    return (
      <Page title={title}>
        <Failures error={one.error} />
        {!one.answered && <Loading />}
        {one.answered && !one.error && (
          <Empty title="There is nothing of this name that you may use">
            It may have another name, or not be offered now.{' '}
            <Link href={`/capabilities?kind=${kind}`}>Search for it.</Link>
          </Empty>
        )}
      </Page>
    );
  }
  return (
    <Page title={title} hint={<span className="mono">{cut(id, 1_000)}</span>}>
      <Failures error={one.error} />
      {gone && (
        <Note tone="warn">
          This is not offered any more, or you may no longer use it. What you have typed stays; it can be used again
          when it comes back.
        </Note>
      )}
      <div className={css.columns}>
        <div>
          {kind === 'tool' && shown && <TryTool tool={shown as Tool} gone={gone} />}
          {kind === 'resource' && <Read uri={id} listed={shown !== null} />}
          {kind === 'template' && shown && <ReadTemplate template={shown as Template} />}
          {kind === 'prompt' && shown && <FillPrompt prompt={shown as Prompt} gone={gone} />}
        </div>
        {shown && (
          <div>
            <About kind={kind} one={shown} />
            {kind === 'tool' && <Schemas tool={shown as Tool} />}
            <More kind={kind} one={shown} />
            <Panel title="Definition">
              <JsonTree value={shown.definition as Exact} open={1} />
            </Panel>
          </div>
        )}
      </div>
    </Page>
  );
}

/** Reads the capability, and reads it again whenever what the viewer may use changes. */
function useOne(kind: Kind, id: string) {
  const client = useClient();
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<{
    data?: Any | null;
    answered: boolean;
    error?: Parameters<typeof Failures>[0]['error'];
  }>({
    answered: false,
  });
  useLive(changes, {}, () => setTurn((t) => t + 1));
  // biome-ignore lint/correctness/useExhaustiveDependencies: A new turn is a new question.
  useEffect(() => {
    let dropped = false;
    const context = { requestPolicy: 'network-only', ...exact } as const;
    const query = { tool: toolQuery, resource: resourceQuery, prompt: promptQuery };
    const ask = async () => {
      if (kind !== 'template') {
        const { data, error } = await client.query(query[kind] as typeof toolQuery, { id }, context).toPromise();
        return { data: data?.one ?? null, answered: data !== undefined, error };
      }
      for (let after: string | null = null; ; ) {
        const {
          data,
          error,
        }: { data?: import('../../lib/graphql').ResultOf<typeof templateList>; error?: typeof state.error } =
          await client.query(templateList, { after }, context).toPromise();
        const found = data?.page.nodes.find((t) => t.id === id);
        after = data?.page.pageInfo.hasNextPage ? data.page.pageInfo.endCursor : null;
        if (found || !after || dropped) return { data: found ?? null, answered: data !== undefined, error };
      }
    };
    void ask().then((next) => !dropped && setState((old) => (next.answered ? next : { ...old, error: next.error })));
    return () => {
      dropped = true;
    };
  }, [client, kind, id, turn]);
  return state;
}

function About({ kind, one }: { kind: Kind; one: Any }) {
  const tool = kind === 'tool' ? (one as Tool) : undefined;
  const data = kind === 'resource' || kind === 'template' ? (one as Resource) : undefined;
  const says = (v: boolean | null | undefined, yes: string, no: string) => v != null && <li>{v ? yes : no}</li>;
  const hinted = tool && [tool.readOnly, tool.destructive, tool.idempotent, tool.openWorld].some((v) => v != null);
  return (
    <Panel title="About">
      {one.description ? (
        <p className={css.text}>{cut(one.description, 20_000)}</p>
      ) : (
        <p className="muted">No description.</p>
      )}
      <dl className="facts">
        <dt>Kind</dt>
        <dd>{titles[kind].slice(0, -1)}</dd>
        <dt>Source</dt>
        <dd>
          <Link href={`/capabilities?kind=${kind}&source=${encodeURIComponent(one.source)}`}>
            {cut(one.source, 100)}
          </Link>
        </dd>
        <dt>In rules</dt>
        <dd className="mono">{cut(one.object, 1_000)}</dd>
        {one.tags.length > 0 && (
          <>
            <dt>Tags</dt>
            <dd className="row">
              {one.tags.map((t) => (
                <Badge key={t}>{cut(t, 100)}</Badge>
              ))}
            </dd>
          </>
        )}
        {data?.mimeType && (
          <>
            <dt>Media type</dt>
            <dd>{cut(data.mimeType, 200)}</dd>
          </>
        )}
        {hinted && (
          <>
            <dt>Hints</dt>
            <dd>
              <ul className={css.hints}>
                {says(tool.readOnly, 'changes nothing', 'may change something')}
                {says(tool.destructive, 'may destroy something', 'destroys nothing')}
                {says(tool.idempotent, 'twice is the same as once', 'twice is not the same as once')}
                {says(tool.openWorld, 'reaches the world outside', 'stays within its own')}
              </ul>
              <span className="muted">The source says so of itself; nobody has checked it.</span>
            </dd>
          </>
        )}
      </dl>
    </Panel>
  );
}

function Schemas({ tool }: { tool: Tool }) {
  return (
    <>
      <Panel title="Arguments">
        <SchemaTable schema={tool.inputSchema as Schema | null} none="Any object." />
      </Panel>
      <Panel title="What it returns">
        <SchemaTable schema={tool.outputSchema as Schema | null} none="The tool says nothing about its result." />
      </Panel>
    </>
  );
}

/** What administrators see besides. */
function More({ kind, one }: { kind: Kind; one: Any }): ReactNode {
  const can = useRights();
  return (
    <>
      {can('sources', 'read') && <PinState kind={kind} one={one} />}
      {can('policy', 'read') && <WhoMay object={one.object} />}
      {can('audit', 'read') && <LastCalls object={one.object} />}
    </>
  );
}
