import { Button } from 'react-aria-components';
import { useMutation, useQuery } from 'urql';
import { Link } from 'wouter';
import { useRights } from '../../app/rights';
import { failures } from '../../lib/errors';
import { cut, moment } from '../../lib/format';
import type { ResultOf } from '../../lib/graphql';
import { Badge, ConfirmButton, Empty, Entry, Failures, Loading, Page, Panel, ShortList } from '../../ui';
import { CreateButton } from './create';
import { keysQuery, revokeKey } from './queries';

type Key = NonNullable<ResultOf<typeof keysQuery>['admin']['keys']>[number];

export default function Keys() {
  const can = useRights();
  const [{ data, error, fetching }, again] = useQuery({ query: keysQuery, requestPolicy: 'network-only' });
  const reload = () => again({ requestPolicy: 'network-only' });
  const absent = failures(error).some((f) => f.code === 'NOT_FOUND');
  const admin = can('keys', 'admin') && !absent;
  const keys = data?.admin.keys;
  return (
    <Page
      title="Keys"
      hint="API keys of the gateway's own, for services without an issuer."
      actions={
        <>
          <Button onPress={reload}>Read again</Button>
          {admin && <CreateButton onDone={reload} />}
        </>
      }
    >
      {!absent && <Failures error={error} />}
      {absent ? (
        <Empty title="This gateway takes no API keys">
          Write <code>api_keys: {'{}'}</code> under <code>auth</code> in the configuration. The first start makes one
          and writes it into <code>first-api-key</code> in the data directory.
        </Empty>
      ) : !keys ? (
        fetching && <Loading what="keys" />
      ) : keys.length === 0 ? (
        <Empty title="There is no key">
          {admin && 'Create one for each service, so that each can be revoked alone.'}
        </Empty>
      ) : (
        <Panel title={`Keys: ${keys.length}`}>
          <ShortList<Key> items={keys.toReversed()} label="Keys" what="keys" id={(k) => k.id}>
            {(k) => <KeyRow of={k} admin={admin} onDone={reload} />}
          </ShortList>
        </Panel>
      )}
    </Page>
  );
}

function KeyRow({ of: k, admin, onDone }: { of: Key; admin: boolean; onDone: () => void }) {
  const [, revoke] = useMutation(revokeKey);
  const expired = k.expires !== null && new Date(k.expires).getTime() <= Date.now();
  const good = !k.revoked && !expired;
  const label = cut(k.label || k.subject, 100);
  const may = [
    ['roles', k.roles],
    ['groups', k.groups],
    ['bounded by', k.scopes],
  ] as const;
  return (
    <Entry
      title={label}
      badge={<Badge tone={good ? 'good' : 'bad'}>{k.revoked ? 'Revoked' : expired ? 'Expired' : 'Good'}</Badge>}
      id={`${cut(k.subject, 200)} · ${cut(k.id, 60)}`}
      what={
        <>
          {may.map(
            ([name, list]) =>
              list.length > 0 && (
                <span key={name}>
                  <span className="muted">{name}</span> {cut(list.join(', '), 300)}
                </span>
              ),
          )}
          {k.tenant && <span>tenant {cut(k.tenant, 100)}</span>}
        </>
      }
      when={
        <>
          <span>
            {k.revoked ? `revoked ${moment(k.revoked)}` : `${expired ? 'ended' : 'ends'} ${moment(k.expires)}`}
          </span>
          <span className="muted" title={cut(k.createdBy, 300)}>
            made {moment(k.created)}, {k.lastUsed ? `used ${moment(k.lastUsed)}` : 'never used'}
          </span>
        </>
      }
      actions={
        <>
          <Link className="ui-button" href={`/audit?principal=${encodeURIComponent(`*|${k.subject}`)}`}>
            Records
          </Link>
          {admin && good && (
            <ConfirmButton
              label="Revoke"
              title={`Revoke ${label}`}
              confirm="Revoke it"
              danger
              act={async () => {
                const { error } = await revoke({ id: k.id });
                if (error) return <Failures error={error} />;
                onDone();
              }}
            >
              <p>It is refused on every node from now on, and what was opened with it ends. This cannot be undone.</p>
            </ConfirmButton>
          )}
        </>
      }
    />
  );
}
