import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { asPattern, briefly, cut, duration, moment } from '../../lib/format';
import { Badge, Failures, Loading, Panel, Table } from '../../ui';
import { type Any, granteeQuery, type Kind, lastCallQuery, pinQuery } from './documents';

/** Who may use a capability, by the policy in force. */
export function WhoMay({ object }: { object: string }) {
  const [{ data, error, fetching }] = useQuery({
    query: granteeQuery,
    variables: { object },
    requestPolicy: 'cache-and-network',
  });
  const list = data?.admin.grantees;
  return (
    <Panel
      title="Who may use it"
      actions={<Link href={`/policy/explain?object=${encodeURIComponent(object)}`}>Explain</Link>}
    >
      <Failures error={error} />
      {fetching && !list && <Loading />}
      {list && list.nodes.length === 0 && <p className="muted">Nobody: no rule allows it.</p>}
      {list && list.nodes.length > 0 && (
        <Table
          label="Who may use it"
          head={
            <tr>
              <th>Who</th>
              <th>By the rule</th>
            </tr>
          }
        >
          {list.nodes.slice(0, 50).map((g) => (
            <tr key={`${g.subject} ${g.tenant} ${g.line}`}>
              <td>
                {cut(g.subject, 200)} {g.tenant && <Badge>in {cut(g.tenant, 60)}</Badge>}{' '}
                {g.conditional && <Badge tone="warn">on a condition</Badge>}
              </td>
              <td className="mono">{cut(g.rule, 300)}</td>
            </tr>
          ))}
        </Table>
      )}
      {list && (list.nodes.length > 50 || list.truncated) && <p className="muted">There are more.</p>}
    </Panel>
  );
}

type AuditRecord = {
  id?: string;
  seq: number;
  time: string;
  via?: string;
  code?: string;
  tool_error?: boolean;
  duration_us?: number;
  principal?: { id: string; name?: string };
};

/** The last calls of a capability, as the audit log has them. */
export function LastCalls({ object }: { object: string }) {
  const pattern = asPattern(object);
  const variables = { object: pattern };
  const [{ data, error, fetching }, again] = useQuery({
    query: lastCallQuery,
    variables,
    requestPolicy: 'network-only',
  });
  const nodes = (data?.admin.auditRecords?.nodes ?? []) as unknown as AuditRecord[];
  useEffect(() => {
    const look = () => again({ requestPolicy: 'network-only' });
    window.addEventListener('trilith-called', look);
    return () => window.removeEventListener('trilith-called', look);
  }, [again]);
  return (
    <Panel title="Last calls" actions={<Link href={`/audit?object=${encodeURIComponent(pattern)}`}>All of them</Link>}>
      <Failures error={error} />
      {fetching && nodes.length === 0 && <Loading />}
      {!fetching && !error && nodes.length === 0 && <p className="muted">Nobody has used it yet.</p>}
      {nodes.length > 0 && (
        <Table
          label="Last calls"
          head={
            <tr>
              <th>When</th>
              <th>Who</th>
              <th>Outcome</th>
              <th className="number">Took</th>
            </tr>
          }
        >
          {nodes.map((r) => (
            <tr key={r.seq}>
              <td>
                <Link href={`/audit?id=${encodeURIComponent(r.id ?? '')}`}>
                  <time dateTime={r.time} title={moment(r.time)}>
                    {briefly(r.time)}
                  </time>
                </Link>
              </td>
              <td>{cut(r.principal?.name || r.principal?.id || '–', 60)}</td>
              <td>
                <Badge tone={r.code !== 'OK' ? 'bad' : r.tool_error ? 'warn' : 'good'}>
                  {r.tool_error ? 'the tool failed' : cut(r.code ?? '–', 40)}
                </Badge>{' '}
                <span className="muted">{cut(r.via ?? '', 20)}</span>
              </td>
              <td className="number nowrap">{duration((r.duration_us ?? 0) / 1_000)}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

/** What has been approved of a capability, where its source is pinned. */
export function PinState({ kind, one }: { kind: Kind; one: Any }) {
  const id = usePinID(kind, one);
  const [{ data }] = useQuery({ query: pinQuery, variables: { id }, pause: !id, requestPolicy: 'cache-and-network' });
  const pin = data?.admin.pin;
  if (!pin) return null; // Its source is not pinned.
  return (
    <Panel
      title="Pin"
      actions={<Link href={`/pins?source=${encodeURIComponent(one.source)}`}>Pins of the source</Link>}
    >
      <dl className="facts">
        <dt>State</dt>
        <dd>
          <Badge tone={pin.state === 'approved' ? 'good' : 'warn'}>{pin.state}</Badge>
        </dd>
        <dt>Decided</dt>
        <dd>
          {moment(pin.decided)} {pin.decidedBy && `by ${cut(pin.decidedBy, 100)}`}
        </dd>
        {pin.hidden.length > 0 && (
          <>
            <dt>Hidden text</dt>
            <dd className="mono">{cut(pin.hidden.join('\n'), 1_000)}</dd>
          </>
        )}
      </dl>
    </Panel>
  );
}

/** A pin is called by a hash of what it pins; browsers make hashes in secure contexts only. */
function usePinID(kind: Kind, one: Any): string {
  const [id, setID] = useState('');
  const origin = one.object.slice(`${kind === 'template' ? 'resource' : kind}/${one.source}/`.length);
  const of = `${one.source}\0${kind}\0${origin}`;
  useEffect(() => {
    let dropped = false;
    void globalThis.crypto.subtle?.digest('SHA-256', new TextEncoder().encode(of)).then((sum) => {
      const hex = [...new Uint8Array(sum).slice(0, 8)].map((b) => b.toString(16).padStart(2, '0')).join('');
      if (!dropped) setID(hex);
    });
    return () => {
      dropped = true;
    };
  }, [of]);
  return id;
}
