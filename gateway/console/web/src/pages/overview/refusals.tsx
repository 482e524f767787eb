import { useState } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { cut, moment, plain } from '../../lib/format';
import { graphql, type Json } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import { Badge, Empty, Failures, Loading, Panel } from '../../ui';
import css from './overview.module.css';

const before = graphql(`
  query RecentRefusals {
    admin {
      denied: auditRecords(first: 8, filter: { code: "PERMISSION_DENIED" }) { nodes }
      limited: auditRecords(first: 8, filter: { code: "RESOURCE_EXHAUSTED" }) { nodes }
      hidden: auditRecords(first: 8, filter: { by: "policy" }) { nodes }
    }
  }
`);
const since = graphql(`
  subscription Refusals($filter: AuditFilter!) {
    auditRecords(filter: $filter) { record }
  }
`);

/** What is shown of a record of the audit log. */
type Refusal = {
  seq: number;
  id: string;
  time: string;
  who: string;
  what: string;
  code: string;
  by: string;
  rule: string;
};

const most = 8;
const text = (v: Json | undefined) => (typeof v === 'string' ? v : '');

function refusalOf(record: Json): Refusal | undefined {
  if (record === null || typeof record !== 'object' || Array.isArray(record)) return undefined;
  const who = record.principal;
  const principal = who && typeof who === 'object' && !Array.isArray(who) ? text(who.name) || text(who.id) : '';
  return {
    seq: typeof record.seq === 'number' ? record.seq : 0,
    id: text(record.id),
    time: text(record.time),
    who: principal || text(record.actor) || 'somebody unknown',
    what: text(record.object) || text(record.name) || text(record.type),
    code: text(record.code),
    by: text(record.by),
    rule: text(record.rule) || text(record.cause) || text(record.detail),
  };
}

/** The latest few of two lists, each record once. */
function merge(...all: (Refusal | undefined)[]): Refusal[] {
  const unique = new Map<number, Refusal>();
  for (const r of all) if (r) unique.set(r.seq, r);
  return [...unique.values()].sort((a, b) => b.seq - a.seq).slice(0, most);
}

/** Who was refused what, as it happens: by policy and limits, and what the policy says is not there. */
export function Refusals() {
  const [{ data, error, fetching }] = useQuery({ query: before, requestPolicy: 'network-only' });
  const [live, setLive] = useState<Refusal[]>([]);
  const add = (d: { auditRecords: { record: Json } }) => setLive((l) => merge(...l, refusalOf(d.auditRecords.record)));
  const lost = [
    useLive(since, { filter: { code: 'PERMISSION_DENIED' } }, add),
    useLive(since, { filter: { code: 'RESOURCE_EXHAUSTED' } }, add),
    useLive(since, { filter: { by: 'policy' } }, add),
  ].find((e) => e);
  const a = data?.admin;
  const old = [a?.denied, a?.limited, a?.hidden].flatMap((page) => page?.nodes ?? []).map(refusalOf);
  const shown = merge(...live, ...old);
  return (
    <Panel title="Recent refusals" actions={<Link href="/audit?code=PERMISSION_DENIED">In the audit log</Link>}>
      <Failures error={error ?? lost} what="The audit log" />
      {shown.length === 0 && fetching && <Loading what="refusals" />}
      {shown.length === 0 && !fetching && !error && (
        <Empty title="Nobody was refused anything">What policy, limits and doors refuse is shown here at once.</Empty>
      )}
      <ul className={css.list} aria-live="polite">
        {shown.map((r) => (
          <li key={r.seq}>
            <div className="spread">
              <span>
                <strong>{cut(r.who, 80)}</strong>{' '}
                <Link
                  href={r.id ? `/audit?id=${encodeURIComponent(r.id)}` : `/audit?code=${encodeURIComponent(r.code)}`}
                >
                  {cut(r.what, 120) || 'a request'}
                </Link>
              </span>
              <span className="row">
                <Badge tone="bad">{plain(r.code)}</Badge>
              </span>
            </div>
            <div className="muted">
              {moment(r.time)}
              {r.by && `, by ${cut(r.by, 60)}`}
              {r.rule && `: ${cut(r.rule, 160)}`}
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
