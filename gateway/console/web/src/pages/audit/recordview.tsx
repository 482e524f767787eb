import { Button } from 'react-aria-components';
import { useQuery } from 'urql';
import { Link, useLocation } from 'wouter';
import { count, cut, duration, moment, plain } from '../../lib/format';
import { Badge, Empty, Failures, JsonTree, Loading, Window } from '../../ui';
import css from './audit.module.css';
import { ProofView } from './proofview';
import { recordsQuery } from './queries';
import { capabilityPath, decision, door, outcome, type Record, recordOf, story, tone } from './record';

/** One record over the page, with a URL of its own. */
export function RecordWindow(props: { seq: number; href: (r: { seq: number }) => string; onClose: () => void }) {
  const { seq } = props;
  const valid = Number.isSafeInteger(seq) && seq > 0;
  const [, navigate] = useLocation();
  // A cursor of the list is the number of the record before which the next page begins.
  const [{ data, error, fetching }] = useQuery({
    query: recordsQuery,
    variables: { first: 1, after: String(seq + 1), filter: null, oldestFirst: false },
    requestPolicy: 'network-only',
    pause: !valid,
  });
  const found = recordOf(data?.admin.auditRecords?.nodes[0] ?? null);
  const record = found?.seq === seq ? found : undefined;
  return (
    <Window title={valid ? `Record ${seq}` : 'No record'} isOpen onClose={props.onClose} wide>
      <Failures error={error} />
      {record ? (
        <RecordView key={seq} record={record} />
      ) : fetching ? (
        <Loading what="the record" />
      ) : (
        !error && (
          <Empty title="There is no such record">
            Records are numbered from 1; old ones are removed where the configuration says so.
          </Empty>
        )
      )}
      <div className="actions">
        <Button isDisabled={!valid || seq <= 1} onPress={() => navigate(props.href({ seq: seq - 1 }))}>
          Before
        </Button>
        <Button isDisabled={!valid} onPress={() => navigate(props.href({ seq: seq + 1 }))}>
          After
        </Button>
        <Button onPress={props.onClose}>Close</Button>
      </div>
    </Window>
  );
}

function RecordView({ record: r }: { record: Record }) {
  const capability = capabilityPath(r);
  const why = decision(r);
  return (
    <>
      <p className={css.sentence}>{cut(story(r), 2_500)}</p>
      <div className="row">
        <Badge tone={tone(r)}>{cut(outcome(r), 60)}</Badge>
        <span>{cut(why, 400)}</span>
      </div>
      {r.cause && (
        <p>
          <span className="muted">Cause, for operators: </span>
          {cut(r.cause, 2_500)}
        </p>
      )}
      <Facts of={r} />
      <div className="row">
        {r.principal?.id && r.object && (
          <Link className="ui-button" href={explainPath(r)}>
            Explain by the policy in force
          </Link>
        )}
        {capability && (
          <Link className="ui-button" href={capability}>
            The capability
          </Link>
        )}
        {r.principal?.id && (
          <Link className="ui-button" href={`/audit?principal=${encodeURIComponent(r.principal.id)}`}>
            All of this principal
          </Link>
        )}
        {r.object && (
          <Link className="ui-button" href={`/audit?object=${encodeURIComponent(r.object)}`}>
            All of this object
          </Link>
        )}
        {r.id && (
          <Link className="ui-button" href={`/audit?id=${encodeURIComponent(r.id)}`}>
            All of this call
          </Link>
        )}
      </div>
      <ProofView seq={r.seq} />
      <details>
        <summary className={css.summary}>The record as JSON</summary>
        <JsonTree value={r as never} />
      </details>
    </>
  );
}

/** Where the policy in force explains the same: for the roles and groups of then. */
function explainPath(r: Record): string {
  const query = new URLSearchParams({ object: r.object ?? '' });
  const [issuer, kind, ...subject] = (r.principal?.id ?? '').split('|');
  if (kind && subject.length > 0) query.append('subject', `${kind}:${issuer}|${subject.join('|')}`);
  for (const role of r.principal?.roles ?? []) query.append('role', role);
  for (const group of r.principal?.groups ?? []) query.append('group', group);
  if (r.principal?.tenant) query.set('tenant', r.principal.tenant);
  if (r.op && r.op !== 'admin') query.set('action', r.op);
  if (r.via) query.set('via', r.via);
  return `/policy/explain?${query}`;
}

function Facts({ of: r }: { of: Record }) {
  const p = r.principal;
  const list = (texts: string[] | undefined) => (texts?.length ? texts.map((t) => cut(t, 200)).join(', ') : undefined);
  const facts: [string, React.ReactNode][] = [
    ['When', moment(r.time)],
    ['Who', p && (p.name ? `${cut(p.name, 200)} · ${cut(p.id ?? '', 500)}` : cut(p.id ?? '', 500))],
    ['Kind of principal', p?.kind && plain(p.kind)],
    ['Roles', list(p?.roles)],
    ['Groups', list(p?.groups)],
    ['Bounded by scopes', list(p?.scopes)],
    ['Tenant', p?.tenant && cut(p.tenant, 200)],
    ['Incomplete', p?.cut && 'There are more groups, roles or scopes than the record holds.'],
    ['Caused by', r.actor && cut(r.actor, 500)],
    ['Through', r.via && door(r.via)],
    ['What', r.object && <span className="mono">{cut(r.object, 2_100)}</span>],
    ['Asked for', r.name && r.name !== r.object && <span className="mono">{cut(r.name, 2_100)}</span>],
    ['Rule that decided', r.rule && <span className="mono">{cut(r.rule, 2_100)}</span>],
    ['Version of the policy', r.policy && plain(r.policy)],
    ['Refused by', r.by && plain(r.by)],
    ['Details', r.detail && cut(r.detail, 2_100)],
    ['Took', r.duration_us !== undefined && duration(r.duration_us / 1_000)],
    ['Arguments', r.bytes_in !== undefined && `${count(r.bytes_in)} bytes`],
    ['Result', r.bytes_out !== undefined && `${count(r.bytes_out)} bytes`],
    ['HMAC of the arguments', r.args_hmac && <span className={css.hash}>{plain(r.args_hmac)}</span>],
    ['Endpoint', r.endpoint && cut(r.endpoint, 300)],
    ['Copied to', r.mirrored && cut(r.mirrored, 300)],
    ['Call', r.id && <span className="mono">{plain(r.id)}</span>],
    [
      'Made by the call',
      r.parent && <Link href={`/audit?id=${encodeURIComponent(r.parent)}`}>{cut(r.parent, 64)}</Link>,
    ],
    ['Trace', r.trace && <Link href={`/audit?trace=${encodeURIComponent(r.trace)}`}>{cut(r.trace, 64)}</Link>],
    ['Node', r.node && plain(r.node)],
  ];
  return (
    <>
      <dl className="facts">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name} style={{ display: 'contents' }}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      {r.args !== undefined && (
        <details>
          <summary className={css.summary}>Arguments, as far as they are kept</summary>
          <JsonTree value={r.args} />
        </details>
      )}
      {r.result !== undefined && (
        <details>
          <summary className={css.summary}>Result, as far as it is kept</summary>
          <JsonTree value={r.result} />
        </details>
      )}
    </>
  );
}
