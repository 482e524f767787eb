import { useState } from 'react';
import { Link } from 'wouter';
import { count, cut, plain } from '../../lib/format';
import { graphql, type ResultOf } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import { Badge, Empty, Failures, Loading, Panel } from '../../ui';
import css from './overview.module.css';

const healthEvents = graphql(`
  subscription SourceHealth {
    sources { name available problem quarantined guard { breaker } }
  }
`);
type Health = ResultOf<typeof healthEvents>['sources'][number];

/** How many sources are listed, the worst first. */
const most = 8;

const troubles = (s: Health) =>
  (s.available ? 0 : 8) +
  (s.guard && s.guard.breaker !== 'closed' && s.guard.breaker ? 4 : 0) +
  (s.quarantined ? 2 : 0) +
  (s.problem ? 1 : 0);

/** How the sources do, with the links to them. */
export function SourceHealth() {
  const [sources, setSources] = useState<Health[]>();
  const error = useLive(healthEvents, {}, (d) => setSources(d.sources));
  const worst = [...(sources ?? [])].sort((a, b) => troubles(b) - troubles(a)).slice(0, most);
  return (
    <Panel title="Sources" actions={<Link href="/sources">{sources ? `All ${count(sources.length)}` : 'All'}</Link>}>
      <Failures error={error} what="Sources" />
      {!sources && !error && <Loading what="sources" />}
      {sources?.length === 0 && (
        <Empty title="No source is configured">Add one under sources in the configuration, and reload it.</Empty>
      )}
      <ul className={css.list}>
        {worst.map((s) => (
          <li key={s.name}>
            <div className="spread">
              <Link href={`/sources/${encodeURIComponent(s.name)}`}>{plain(s.name)}</Link>
              <span className="row">
                {s.quarantined > 0 && <Badge tone="warn">{count(s.quarantined)} in quarantine</Badge>}
                {s.guard?.breaker === 'open' && <Badge tone="bad">breaker open</Badge>}
                {s.guard?.breaker === 'half-open' && <Badge tone="warn">breaker half-open</Badge>}
                <Badge tone={s.available ? 'good' : 'bad'}>{s.available ? 'available' : 'away'}</Badge>
              </span>
            </div>
            {s.problem && <div className="muted">{cut(s.problem, 200)}</div>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
