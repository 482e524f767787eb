import { useQuery } from 'urql';
import { Link, useSearchParams } from 'wouter';
import { cut, moment } from '../../lib/format';
import { usePages } from '../../lib/pages';
import { Badge, Empty, Failures, Loading, Panel, Rows } from '../../ui';
import { PolicyPage } from './frame';
import { Editor, Merge } from './lazy';
import css from './policy.module.css';
import { policyQuery, type VersionEntry, versionQuery, versionsQuery, versionTextQuery } from './queries';
import { Rollback } from './rollback';
import { Views } from './views';

/** Every version that is or was in force. */
export function History() {
  const pages = usePages(versionsQuery, { first: 50 }, (d) => d.admin.policyVersions);
  return (
    <PolicyPage title="History of the policy" hint="Every version that is or was in force, the newest first.">
      <Rows
        label="Versions"
        pages={pages}
        id={(v) => String(v.id)}
        text={(v) => `Version ${v.id}`}
        href={(v) => `/policy/history/${v.id}`}
        height={84}
        most="62dvh"
        row={(v) => <VersionRow version={v} />}
        empty={
          <Empty title="No versions yet">
            The built-in policy is in force. A draft that is put in force is version 1.
          </Empty>
        }
      />
    </PolicyPage>
  );
}

const VersionRow = ({ version: v }: { version: VersionEntry }) => (
  <div className={css.entry}>
    <span>
      <strong>Version {v.id}</strong> {v.active && <Badge tone="good">in force</Badge>}{' '}
      {v.restores > 0 && <Badge>text of version {v.restores}</Badge>}
    </span>
    <span>{v.comment ? cut(v.comment, 200) : <span className="muted">Without a comment</span>}</span>
    <span className="muted">
      {moment(v.activated)} · {cut(v.activatedBy, 200)}
    </span>
  </div>
);

const views = [
  ['parent', 'What it changed'],
  ['now', 'Against the version in force'],
  ['text', 'Text'],
  ['checks', 'Checks'],
] as const;

/** One version: what it changed, how it differs from what is in force, and the way back to it. */
export function VersionPage({ id }: { id: number }) {
  const [{ data, error, fetching }] = useQuery({
    query: versionQuery,
    variables: { id },
    requestPolicy: 'network-only',
  });
  const [params] = useSearchParams();
  const version = data?.admin.policyVersion;
  const inForce = data?.admin.policy?.id;
  const view = params.get('view') ?? 'parent';
  return (
    <PolicyPage
      title={`Version ${id} of the policy`}
      actions={version && inForce !== undefined && !version.active && <Rollback to={version.id} active={inForce} />}
    >
      <Failures error={error} />
      {!data && fetching && <Loading what="the version" />}
      {version && (
        <>
          <dl className="facts">
            <dt>State</dt>
            <dd>
              {version.active ? (
                <Badge tone="good">in force</Badge>
              ) : (
                <>
                  not in force; that is <Link href={`/policy/history/${inForce}`}>version {inForce}</Link>
                </>
              )}
            </dd>
            <dt>Put in force</dt>
            <dd>
              {moment(version.activated)} by {cut(version.activatedBy, 300)}
            </dd>
            <dt>Written by</dt>
            <dd>{cut(version.author, 300)}</dd>
            {version.comment && (
              <>
                <dt>Why</dt>
                <dd>{cut(version.comment, 1_000)}</dd>
              </>
            )}
            {version.restores > 0 && (
              <>
                <dt>Text of</dt>
                <dd>
                  <Link href={`/policy/history/${version.restores}`}>version {version.restores}</Link>
                </dd>
              </>
            )}
          </dl>
          <Panel title="Rules">
            <Views label="Show the version as" views={views} view={view} path={`/policy/history/${id}`} />
            {view === 'parent' && (
              <AgainstVersion
                id={version.parent}
                csv={version.csv}
                words={`Version ${version.parent} and version ${id}`}
              />
            )}
            {view === 'now' && <AgainstNow csv={version.csv} id={id} />}
            {view === 'text' && <Editor key="text" label="The rules of this version" value={version.csv} />}
            {view === 'checks' &&
              (version.checks ? (
                <Editor key="checks" label="The checks of this version" value={version.checks} language="text" />
              ) : (
                <p className="muted">This version has no checks.</p>
              ))}
          </Panel>
        </>
      )}
    </PolicyPage>
  );
}

function AgainstVersion({ id, csv, words }: { id: number; csv: string; words: string }) {
  const [{ data, error, fetching }] = useQuery({ query: versionTextQuery, variables: { id }, pause: id === 0 });
  if (id === 0) return <p className="muted">It is the first version.</p>;
  if (fetching) return <Loading />;
  const before = data?.admin.policyVersion;
  return (
    <>
      <Failures error={error} />
      {before && <Difference label={words} from={before.csv} to={csv} />}
    </>
  );
}

function AgainstNow({ csv, id }: { csv: string; id: number }) {
  const [{ data, error, fetching }] = useQuery({ query: policyQuery });
  if (!data && fetching) return <Loading />;
  const now = data?.admin.policy;
  return (
    <>
      <Failures error={error} />
      {now && <Difference label={`Version ${id} and the version in force`} from={csv} to={now.csv} />}
    </>
  );
}

const Difference = (props: { label: string; from: string; to: string }) =>
  props.from === props.to ? (
    <p className="muted">The texts are the same.</p>
  ) : (
    <>
      <p className="muted">{props.label}: red is the first alone, green the second.</p>
      <Merge label={props.label} from={props.from} to={props.to} />
    </>
  );
