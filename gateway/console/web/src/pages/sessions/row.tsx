import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { Link } from 'wouter';
import { cut, moment, plain } from '../../lib/format';
import type { ResultOf } from '../../lib/graphql';
import { Badge, ConfirmButton, Entry, Failures } from '../../ui';
import { endSession, type sessionsQuery } from './queries';

export type Session = NonNullable<ResultOf<typeof sessionsQuery>['admin']['sessions']>['nodes'][number];

/** One session, with what can be done to it. */
export function SessionRow(props: {
  session: Session;
  own: boolean;
  admin: boolean;
  onPick: () => void;
  onEnded: () => void;
}) {
  const { session: s, own } = props;
  const [, end] = useMutation(endSession);
  const who = cut(s.principalName || s.principal, 80);
  const act = async () => {
    const { error } = await end({ id: s.id });
    if (error) return <Failures error={error} />;
    props.onEnded();
  };
  return (
    <Entry
      title={who}
      badge={own && <Badge tone="accent">This browser</Badge>}
      id={cut(s.principal, 300)}
      what={`${plain(s.via)} · ${plain(s.kind)}`}
      when={
        <span className="muted">
          since {moment(s.opened)}
          {s.node && `, on ${plain(s.node)}`}
        </span>
      }
      actions={
        <>
          <Button className="react-aria-Button quiet" aria-label={`Only these: ${who}`} onPress={props.onPick}>
            Only these
          </Button>
          <Link
            className="ui-button"
            href={`/audit?principal=${encodeURIComponent(s.principal)}`}
            aria-label={`Records: ${who}`}
          >
            Records
          </Link>
          {props.admin && (
            <ConfirmButton label="End" title={`End the session of ${who}`} confirm="End it" danger act={act}>
              <p>
                {own
                  ? 'This is the session of your own browser: you will have to sign in again.'
                  : 'Whatever it has open ends now. Its client may connect again: to prevent that, revoke its credentials.'}
              </p>
            </ConfirmButton>
          )}
        </>
      }
    />
  );
}
