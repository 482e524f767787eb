import { Suspense, useEffect, useRef, useState } from 'react';
import { Button, RouterProvider } from 'react-aria-components';
import { Link, Route, Router, Switch, useLocation } from 'wouter';
import { plain } from '../lib/format';
import { Empty, Loading } from '../ui';
import css from './app.module.css';
import { areas } from './areas';
import { Boundary } from './boundary';
import { useRights } from './rights';
import { SignedIn, signOut, useViewer } from './session';
import { ThemeButton } from './theme';

/** Below this path lies every page. */
const base = '/console';

export const App = () => (
  <Router base={base}>
    <Kit>
      <SignedIn>
        <Frame />
      </SignedIn>
    </Kit>
  </Router>
);

/** Lets links of the component kit change the page without loading it. */
function Kit({ children }: { children: React.ReactNode }) {
  const [, navigate] = useLocation();
  return (
    <RouterProvider navigate={(to) => navigate(to)} useHref={(to) => base + to}>
      {children}
    </RouterProvider>
  );
}

const Brand = () => (
  <Link href="/" className={css.brand}>
    <img src="/console/icon.svg" alt="" width="24" height="24" /> Trilith
  </Link>
);

function Frame() {
  const viewer = useViewer();
  const can = useRights();
  const [path] = useLocation();
  const [menu, setMenu] = useState(false);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const shown = areas.filter((a) => !a.right || can(a.right, 'read'));
  const area = `/${path.split('/')[1]}`;

  // biome-ignore lint/correctness/useExhaustiveDependencies: The path is what it follows.
  useEffect(() => {
    setMenu(false);
    if (!first.current) main.current?.focus(); // A screen reader reads the new page, not the link that led to it.
    first.current = false;
  }, [area]);

  return (
    <div className={css.frame}>
      <a className={css.skip} href="#main">
        Skip to the content
      </a>
      <header className={css.bar}>
        <Brand />
        <Button aria-expanded={menu} aria-controls="menu" onPress={() => setMenu(!menu)}>
          Menu
        </Button>
      </header>
      <nav id="menu" className={`${css.nav} ${menu ? css.open : ''}`} aria-label="Console">
        <div className={css.wide}>
          <Brand />
        </div>
        <ul>
          {shown.map((a) => (
            <li key={a.path}>
              <Link href={`/${a.path}`} aria-current={area === `/${a.path}` ? 'page' : undefined}>
                {a.title}
              </Link>
            </li>
          ))}
        </ul>
        <ul>
          <li>
            <a href="/graphql/ui/">GraphiQL</a>
          </li>
          <li>
            <a href="/docs/">API reference</a>
          </li>
        </ul>
        <div className={css.viewer}>
          <span title={plain(viewer.id)}>{plain(viewer.name || viewer.id)}</span>
          <span className="muted">{viewer.roles.map(plain).join(', ')}</span>
          <div className="row">
            <ThemeButton />
            <Button onPress={signOut}>Sign out</Button>
          </div>
        </div>
      </nav>
      <main id="main" ref={main} tabIndex={-1} className={css.main}>
        <Boundary key={area}>
          <Suspense fallback={<Loading />}>
            <Switch>
              {shown.map((a) => (
                <Route key={a.path} path={a.path === '' ? '/' : `/${a.path}/*?`} component={a.page} />
              ))}
              <Route>
                <Empty title="There is no such page">
                  It may be one that you may not see. <Link href={`/${shown[0]?.path ?? ''}`}>Go on from here.</Link>
                </Empty>
              </Route>
            </Switch>
          </Suspense>
        </Boundary>
      </main>
    </div>
  );
}
