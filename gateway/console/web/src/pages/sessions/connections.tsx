import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useMutation, useQuery } from 'urql';
import { failures } from '../../lib/errors';
import { count, cut, moment, plain } from '../../lib/format';
import { ConfirmButton, Empty, Entry, Failures, Loading, Note, Panel, ShortList } from '../../ui';
import { connectionsQuery, endConnection } from './queries';

/** The sources that users have connected with accounts of their own. */
export function Connections({ principal, admin }: { principal: string; admin: boolean }) {
  const [{ data, error, fetching }, again] = useQuery({
    query: connectionsQuery,
    variables: { principal: principal || null },
    requestPolicy: 'network-only',
  });
  const [, end] = useMutation(endConnection);
  const [told, setTold] = useState('');
  const list = data?.admin.connections;
  const reload = () => again({ requestPolicy: 'network-only' });
  const absent = failures(error).some((f) => f.code === 'NOT_FOUND');
  return (
    <Panel
      title={list ? `Connections to sources: ${count(list.totalCount)}` : 'Connections to sources'}
      actions={<Button onPress={reload}>Read again</Button>}
    >
      {!absent && <Failures error={error} />}
      {told && <Note tone="good">{told}</Note>}
      {absent ? (
        <Empty title="No source is called with accounts of users">
          Give a source <code>oauth</code> with <code>users: true</code> in the configuration: users then connect their
          own accounts, and stand here.
        </Empty>
      ) : !list ? (
        fetching && <Loading what="connections" />
      ) : list.nodes.length === 0 ? (
        <Empty title="Nobody has connected a source">
          A user who calls a source that wants an account of theirs is asked to connect it, and stands here then.
        </Empty>
      ) : (
        <ShortList
          items={list.nodes}
          label="Connections"
          what="connections"
          id={(c) => JSON.stringify([c.principal, c.tenant, c.source])}
        >
          {(c) => (
            <Entry
              title={cut(c.source, 100)}
              id={cut(c.principal, 300)}
              what={c.tenant && `Tenant ${cut(c.tenant, 100)}`}
              when={<span className="muted">since {moment(c.since)}</span>}
              actions={
                admin && (
                  <ConfirmButton
                    label="End"
                    title={`End the connection to ${plain(c.source)}`}
                    confirm="End it"
                    danger
                    act={async () => {
                      const { data: done, error: wrong } = await end({
                        principal: c.principal,
                        source: c.source,
                        tenant: c.tenant || null,
                      });
                      if (wrong) return <Failures error={wrong} />;
                      setTold(
                        done?.endConnection?.revoked
                          ? 'Ended. The authorization server of the source has ended the tokens.'
                          : 'Ended: the gateway has forgotten the tokens. The authorization server of the source was not told.',
                      );
                      reload();
                    }}
                  >
                    <p>The gateway forgets the tokens. The next call of this user asks them to connect anew.</p>
                  </ConfirmButton>
                )
              }
            />
          )}
        </ShortList>
      )}
    </Panel>
  );
}
