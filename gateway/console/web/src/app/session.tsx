import { createContext, type ReactNode, useContext, useEffect } from 'react';
import { useQuery } from 'urql';
import { markConnected, useConnection } from '../lib/connection';
import { failures } from '../lib/errors';
import { plain } from '../lib/format';
import { graphql, type ResultOf } from '../lib/graphql';
import { useLive } from '../lib/live';
import { Failures, Loading, Note } from '../ui';
import css from './app.module.css';

const viewerQuery = graphql(`
  query Viewer {
    viewer {
      id
      name
      kind
      roles
      expires
      session
      admin {
        area
        read
        admin
      }
    }
  }
`);

/** It also tells that the policy has changed what the viewer may do. */
const changes = graphql(`
  subscription ViewChanges {
    capabilitiesChanged {
      tools
    }
  }
`);

export type Viewer = ResultOf<typeof viewerQuery>['viewer'];

const Session = createContext<Viewer | null>(null);

/** Who is signed in. */
export function useViewer(): Viewer {
  const viewer = useContext(Session);
  if (!viewer) throw new Error('a page outside the session');
  return viewer;
}

/** Where a browser signs in, to come back to the page where it is. */
const signInAt = () => `/auth/login?return=${encodeURIComponent(window.location.pathname + window.location.search)}`;

/** Ends the session, and shows the page of those who are not signed in. */
export async function signOut() {
  await fetch('/auth/logout', { method: 'POST', credentials: 'same-origin' });
  window.location.assign('/console/');
}

/**
 * Shows its children to who is signed in. When the session ends later they stay, with what was typed into them: the
 * reader signs in again in another tab, and goes on here.
 */
export function SignedIn({ children }: { children: ReactNode }) {
  const [{ data, error, fetching }, again] = useQuery({ query: viewerQuery, requestPolicy: 'network-only' });
  const connection = useConnection();
  const seen = data?.viewer;

  useEffect(() => {
    const look = () => again({ requestPolicy: 'network-only' });
    window.addEventListener('focus', look);
    return () => window.removeEventListener('focus', look);
  }, [again]);
  useLive(changes, {}, () => again({ requestPolicy: 'network-only' }), !seen);
  useEffect(() => {
    if (data && !error) markConnected();
  }, [data, error]);

  if (!seen) {
    if (fetching) return <Loading />;
    const signedOut = failures(error).some((f) => f.code === 'UNAUTHENTICATED') || error?.response?.status === 401;
    return signedOut ? <SignIn /> : <Failures error={error} />;
  }
  return (
    <Session value={seen}>
      <div className={css.whole}>
        {children}
        <div className={css.notice}>
          {connection === 'expired' && (
            <Note tone="warn">
              Your session has ended. What you have typed is still here.{' '}
              <a href="/auth/login?return=/console/" target="_blank" rel="noopener">
                Sign in again
              </a>{' '}
              in a new tab and come back to this one.
            </Note>
          )}
          {connection === 'lost' && (
            <Note tone="warn">The connection to the gateway is lost. It is being opened again.</Note>
          )}
        </div>
      </div>
    </Session>
  );
}

function SignIn() {
  useEffect(() => {
    document.title = 'Sign in · Trilith';
  }, []);
  return (
    <main className={css.signIn}>
      <img src="/console/icon.svg" alt="" width="48" height="48" />
      <h1>Trilith</h1>
      <p className="muted">{plain(window.location.host)}</p>
      <a className="ui-button primary" href={signInAt()}>
        Sign in
      </a>
    </main>
  );
}
