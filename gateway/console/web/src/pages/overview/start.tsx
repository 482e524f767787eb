import { useQuery } from 'urql';
import { Link } from 'wouter';
import { count, plain } from '../../lib/format';
import { graphql } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import { Code, CopyButton, Failures, Loading, Panel } from '../../ui';
import css from './overview.module.css';

const offer = graphql(`
  query Offer {
    tools(first: 0) { totalCount }
    resources(first: 0) { totalCount }
    resourceTemplates(first: 0) { totalCount }
    prompts(first: 0) { totalCount }
    toolsets { name path }
    doors { grpc }
  }
`);
const offerChanged = graphql(`
  subscription OfferChanged {
    capabilitiesChanged { __typename }
  }
`);

/** What the reader may use, and how to use it from elsewhere. */
export function Start() {
  const [{ data, error }, again] = useQuery({ query: offer, requestPolicy: 'network-only' });
  useLive(offerChanged, {}, () => again({ requestPolicy: 'network-only' }));
  return (
    <>
      <Panel title="What you may use" actions={<Link href="/capabilities">Search all of it</Link>}>
        <Failures error={error} />
        {!data && !error && <Loading />}
        {data && (
          <div className={css.kinds}>
            <Kind kind="tool" title="tools" n={data.tools.totalCount} />
            <Kind kind="resource" title="resources" n={data.resources.totalCount} />
            <Kind kind="template" title="resource templates" n={data.resourceTemplates.totalCount} />
            <Kind kind="prompt" title="prompts" n={data.prompts.totalCount} />
          </div>
        )}
        {data && data.tools.totalCount + data.resources.totalCount + data.prompts.totalCount === 0 && (
          <p className="muted">Nothing is shared with you yet. Ask an administrator of this gateway for a role.</p>
        )}
      </Panel>
      <Connect toolsets={data?.toolsets ?? []} grpc={data?.doors.grpc ?? ''} />
    </>
  );
}

const Kind = (props: { kind: string; title: string; n: number }) => (
  <Link href={`/capabilities?kind=${props.kind}`}>
    <strong>{count(props.n)}</strong>
    {props.title}
  </Link>
);

function Connect({ toolsets, grpc }: { toolsets: readonly { name: string; path: string }[]; grpc: string }) {
  const { origin } = window.location;
  const socket = origin.replace(/^http/, 'ws');
  const config = JSON.stringify({ mcpServers: { trilith: { type: 'http', url: `${origin}/mcp` } } }, null, 2);
  return (
    <Panel
      title="Connect an agent or a program"
      actions={
        <>
          <a href="/graphql/ui/">GraphiQL</a> <a href="/docs/">API reference</a>
        </>
      }
    >
      <div className={css.addresses}>
        <Address title="MCP" text={`${origin}/mcp`} />
        {toolsets.slice(0, 20).map((t) => (
          <Address key={t.name} title={`MCP: ${plain(t.name)}`} text={origin + t.path} />
        ))}
        <Address title="GraphQL" text={`${origin}/graphql`} />
        <Address title="GraphQL, live" text={`${socket}/graphql`} />
        {grpc && <Address title="gRPC" text={grpc} />}
        <Address title="REST" text={`${origin}/v1/tools`} />
        <Address title="OpenAPI" text={`${origin}/openapi.json`} />
      </div>
      <p className="muted">
        An agent that speaks MCP signs you in by itself when it has the address. A program sends a token or an API key
        as <code>Authorization: Bearer …</code>. Clients with a file of servers take:
      </p>
      <Code label="the configuration of an MCP client" text={config} />
    </Panel>
  );
}

const Address = (props: { title: string; text: string }) => (
  <div className={css.address}>
    <span className="muted">{props.title}</span>
    <code>{plain(props.text)}</code>
    <CopyButton text={props.text} label={`Copy the address for ${props.title}`} />
  </div>
);
