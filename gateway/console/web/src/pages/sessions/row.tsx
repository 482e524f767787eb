import { Button } from 'react-aria-components';
import { useMutation } from 'urql';
import { Link } from 'wouter';
import { cut, moment, plain } from '../../lib/format';
import type { ResultOf } from '../../lib/graphql';
import { Badge, ConfirmButton, Failures } from '../../ui';
import { endSession, type sessionsQuery } from './queries';
import css from './sessions.module.css';

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
    <div className={css.row}>
      <div className={css.who}>
        <div className="row">
          <strong>{who}</strong>
          {own && <Badge tone="accent">This browser</Badge>}
        </div>
        <span className="mono muted">{cut(s.principal, 300)}</span>
      </div>
      <span>
        {plain(s.via)} · {plain(s.kind)}
      </span>
      <span className="muted">
        since {moment(s.opened)}
        {s.node && `, on ${plain(s.node)}`}
      </span>
      <div className={css.act}>
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
      </div>
    </div>
  );
}
