import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { useQuery } from 'urql';
import { useSearchParams } from 'wouter';
import { useRights } from '../../app/rights';
import { count, plain } from '../../lib/format';
import { Empty, Failures, Field, Loading, Note, Page, Panel, ShortList } from '../../ui';
import { Connections } from './connections';
import { sessionsQuery } from './queries';
import { RevokeButton } from './revoke';
import { type Session, SessionRow } from './row';

export default function Sessions() {
  const [search, setSearch] = useSearchParams();
  const can = useRights();
  const principal = search.get('principal') ?? '';
  const setPrincipal = (id: string) => setSearch(id ? { principal: id } : {}, { replace: true });
  const [{ data, error, fetching }, again] = useQuery({
    query: sessionsQuery,
    variables: { principal: principal || null },
    requestPolicy: 'network-only',
  });
  const reload = () => again({ requestPolicy: 'network-only' });
  const list = data?.admin.sessions;
  const admin = can('sessions', 'admin');
  return (
    <Page
      title="Sessions"
      hint="Streams, sockets and browsers that are signed in, on every node."
      actions={
        <>
          <Button onPress={reload}>Read again</Button>
          {admin && <RevokeButton principal={principal} onDone={reload} />}
        </>
      }
    >
      <PrincipalFilter value={principal} onChange={setPrincipal} />
      <Failures error={error} />
      {list && list.missingNodes.length > 0 && (
        <Note tone="warn">
          These nodes did not answer in time, so that what is open there is missing:{' '}
          {list.missingNodes.map(plain).join(', ')}.
        </Note>
      )}
      <Panel title={list ? `Open now: ${count(list.totalCount)}` : 'Open now'}>
        {!list ? (
          fetching && <Loading what="sessions" />
        ) : list.nodes.length === 0 ? (
          <Empty title="Nothing is open">
            {principal ? (
              <Button onPress={() => setPrincipal('')}>Show everybody</Button>
            ) : (
              'A session appears here when somebody connects to a door or signs in with a browser.'
            )}
          </Empty>
        ) : (
          <>
            {list.totalCount > list.nodes.length && (
              <p className="muted">
                The oldest {count(list.nodes.length)} are shown: name a principal to see the others.
              </p>
            )}
            <ShortList<Session> items={list.nodes} label="Sessions" what="sessions" id={(s) => s.id}>
              {(s) => (
                <SessionRow
                  session={s}
                  own={s.id === data.viewer.session}
                  admin={admin}
                  onPick={() => setPrincipal(s.principal)}
                  onEnded={reload}
                />
              )}
            </ShortList>
          </>
        )}
      </Panel>
      <Connections principal={principal} admin={admin} />
    </Page>
  );
}

/** The id of a principal, which goes into the URL when it is whole: with Enter, or when the field is left. */
function PrincipalFilter({ value, onChange }: { value: string; onChange: (id: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const apply = () => text.trim() !== value && onChange(text.trim());
  return (
    <search>
      <form
        className="row"
        style={{ alignItems: 'end' }}
        onSubmit={(e) => {
          e.preventDefault();
          apply();
        }}
      >
        <div style={{ flex: '1 1 280px', maxInlineSize: 640 }}>
          <Field
            label="Principal"
            value={text}
            onChange={setText}
            onBlur={apply}
            maxLength={512}
            placeholder="Whole id: issuer|kind|subject"
          />
        </div>
        {value && <Button onPress={() => onChange('')}>Show everybody</Button>}
      </form>
    </search>
  );
}
