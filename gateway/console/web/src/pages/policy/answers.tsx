import { useDeferredValue, useMemo } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { count, cut, plain } from '../../lib/format';
import type { Json } from '../../lib/graphql';
import { Badge, Empty, Failures, Loading, Note, Panel, Rows, Search } from '../../ui';
import css from './policy.module.css';
import { explainQuery, granteesQuery, permissionsQuery } from './queries';
import { type Question, type whoOf, writeQuestion } from './question';
import { useSearch } from './rules';
import { whole } from './static';

type Who = NonNullable<ReturnType<typeof whoOf>>;

const words: Record<string, string> = {
  condition: 'its condition does not hold',
  tenant: 'it is for another tenant',
  action: 'it is for another action',
  subject: 'it is for another subject',
};

/** One decision: allowed or denied, by which rule, and what nearly applied. */
export function Decision({ who, question: q, args }: { who: Who; question: Question; args?: Json }) {
  const [{ data, error, fetching }] = useQuery({
    query: explainQuery,
    variables: { who, object: q.object, action: q.action || null, arguments: args ?? null, via: q.via || null },
    requestPolicy: 'network-only',
  });
  const e = data?.admin.explainPolicy;
  return (
    <Panel title="Decision">
      <Failures error={error} />
      {fetching && <Loading />}
      {e && !fetching && (
        <>
          <p className={css.verdict} role="status">
            <Badge tone={e.allowed ? 'good' : 'bad'}>{e.allowed ? 'allowed' : 'denied'}</Badge>
            <span>{cut(e.reason, 1_000)}</span>
          </p>
          {e.rule && (
            <dl className="facts">
              <dt>Rule</dt>
              <dd>
                <code>{cut(e.rule, 2_000)}</code>, <LineLink line={e.line} rule={e.rule} />
              </dd>
              <dt>By way of</dt>
              <dd className="mono">{e.path.map(plain).join(' → ')}</dd>
            </dl>
          )}
          {e.nearMisses.length > 0 && (
            <>
              <h3>Rules that nearly allow it, the nearest first</h3>
              <ul className={css.list}>
                {e.nearMisses.map((m) => (
                  <li key={`${m.line}:${m.rule}`}>
                    <code>{cut(m.rule, 2_000)}</code>{' '}
                    <span className="muted">
                      <LineLink line={m.line} rule={m.rule} />: {words[m.difference] ?? plain(m.difference)}
                    </span>
                  </li>
                ))}
              </ul>
            </>
          )}
        </>
      )}
    </Panel>
  );
}

const LineLink = ({ line, rule }: { line: number; rule: string }) => (
  <Link href={`/policy?q=${encodeURIComponent(rule)}`}>line {line}</Link>
);

/** Which subjects may take an action on an object, each by itself. */
export function Grantees({ object, action }: { object: string; action: string }) {
  const variables = { object, action: action || null };
  const [{ data, error, fetching }] = useQuery({ query: granteesQuery, variables, requestPolicy: 'network-only' });
  const list = data?.admin.grantees;
  return (
    <Panel title="Who may">
      <Failures error={error} />
      {fetching && <Loading />}
      {list && !fetching && (
        <>
          {list.truncated && <Note tone="warn">There are more than these.</Note>}
          <Rows
            label="Subjects that may"
            pages={whole(list.nodes)}
            id={(g) => `${g.subject} ${g.tenant}`}
            text={(g) => g.subject}
            href={(g) => `/policy/explain?${new URLSearchParams({ subject: g.subject, object })}`}
            height={64}
            most="40dvh"
            row={(g) => (
              <div className={css.entry}>
                <span>
                  <span className="mono">{g.path.map(plain).join(' → ')}</span>{' '}
                  {g.tenant && <Badge>in {cut(g.tenant, 60)}</Badge>}{' '}
                  {g.conditional && <Badge tone="warn">on a condition</Badge>}
                </span>
                <span className="mono muted">
                  {g.line}: {cut(g.rule, 300)}
                </span>
              </div>
            )}
            empty={<Empty title="Nobody">No rule allows it to any subject.</Empty>}
          />
        </>
      )}
    </Panel>
  );
}

/** All that somebody may do now. */
export function Permissions({ who }: { who: Who }) {
  const [{ data, error, fetching }] = useQuery({
    query: permissionsQuery,
    variables: { who },
    requestPolicy: 'network-only',
  });
  const [search, setSearch] = useSearch();
  const text = useDeferredValue(search.trim().toLowerCase());
  const all = data?.admin.permissions;
  const shown = useMemo(
    () => (all ?? []).filter((p) => !text || `${p.object} ${p.action} ${p.rule}`.toLowerCase().includes(text)),
    [all, text],
  );
  const ask = (to: string, action: string) =>
    `/policy/explain?${writeQuestion({ who: who.principal ?? (who.subjects ?? []).join(' '), tenant: who.tenant ?? '', object: to, action, via: '', args: '' })}`;
  return (
    <Panel title="What they may do">
      <Failures error={error} />
      {fetching && <Loading />}
      {all && !fetching && (
        <>
          <div className={css.tools}>
            <Search label="Filter permissions" value={search} onChange={setSearch} placeholder="tool/demo" />
            <span className="muted" aria-live="polite">
              {count(shown.length)} of {count(all.length)} permissions
            </span>
          </div>
          <Rows
            label="Permissions"
            pages={whole(shown)}
            id={(p) => `${p.action} ${p.object}`}
            text={(p) => `${p.action} ${p.object}`}
            href={(p) => ask(p.object, p.action)}
            height={64}
            most="50dvh"
            row={(p) => (
              <div className={css.entry}>
                <span>
                  <strong>{p.action}</strong> <span className="mono">{cut(p.object, 300)}</span>{' '}
                  {p.conditional && <Badge tone="warn">on a condition</Badge>}
                </span>
                <span className="mono muted">
                  {p.line}: {cut(p.rule, 300)}
                </span>
              </div>
            )}
            empty={
              <Empty title={text ? 'None of them' : 'Nothing'}>
                {!text && 'No rule allows them anything that the registry has now.'}
              </Empty>
            }
          />
        </>
      )}
    </Panel>
  );
}
