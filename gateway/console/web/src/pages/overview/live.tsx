import { lazy, Suspense, useMemo, useState } from 'react';
import { Link, useSearchParams } from 'wouter';
import { count, duration, plain } from '../../lib/format';
import { useLive } from '../../lib/live';
import { Choice, Empty, Failures, Loading, Panel } from '../../ui';
import {
  type By,
  busiest,
  columns,
  errorsOf,
  type Metric,
  metrics,
  nameOf,
  remember,
  type Sample,
  type Share,
  type Traffic,
  trafficEvents,
} from './history';
import css from './overview.module.css';

const Chart = lazy(() => import('./chart'));

/** A rate, with as many digits as it has meaning. */
const rate = (n: number) => (n >= 10 || Number.isInteger(n) ? count(Math.round(n)) : n.toFixed(n < 1 ? 2 : 1));
const percent = (part: number, all: number) =>
  all === 0 ? '0 %' : `${((100 * part) / all).toFixed(part && part * 10 < all ? 1 : 0)} %`;

/** What passes through the gateway, second by second. */
export function Live({ links }: { links: boolean }) {
  const [history, setHistory] = useState<Sample[]>([]);
  const [minute, setMinute] = useState<Traffic>();
  const error = useLive(trafficEvents, { seconds: 1 }, (d) => setHistory((h) => remember(h, d.traffic)));
  useLive(trafficEvents, { seconds: 60 }, (d) => setMinute(d.traffic));
  if (!minute || history.length === 0)
    return error ? <Failures error={error} what="Traffic" /> : <Loading what="traffic" />;
  const idle = minute.total.calls === 0 && history.every((s) => s.total.calls === 0);
  return (
    <>
      <Failures error={error} what="Traffic" />
      <Tiles now={history[history.length - 1]?.total} minute={minute} />
      {idle ? <Idle /> : <Charts history={history} />}
      {minute.total.calls > 0 && (
        <Panel title="The last minute">
          <Shares title="Door" shares={minute.doors} seconds={minute.seconds} />
          <Shares title="Source" shares={minute.sources} seconds={minute.seconds} link={links} />
        </Panel>
      )}
    </>
  );
}

function Tiles({ now, minute }: { now: Share | undefined; minute: Traffic }) {
  const { total, seconds } = minute;
  const tile = (title: string, value: string, hint: string, bad = false) => (
    <div className={css.tile}>
      <dt>{title}</dt>
      <dd className={bad ? css.bad : undefined}>{value}</dd>
      <dd className="muted">{hint}</dd>
    </div>
  );
  const errors = errorsOf(total);
  const none = total.calls === 0;
  return (
    <dl className={css.tiles} aria-label="Now">
      {tile(
        'Calls per second',
        rate(now?.calls ?? 0),
        `${rate(total.calls / Math.max(1, seconds))} over the last minute`,
      )}
      {tile(
        'Errors',
        percent(errors, total.calls),
        `${count(errors)} of ${count(total.calls)} in the last minute`,
        errors > 0,
      )}
      {tile('p50', none ? '–' : duration(total.p50Ms), 'half of the calls are faster')}
      {tile('p99', none ? '–' : duration(total.p99Ms), '99 of 100 calls are faster')}
    </dl>
  );
}

const Idle = () => (
  <Panel title="The last five minutes">
    <Empty title="No calls yet">
      <Link href="/capabilities">Find a tool and try it</Link>, or connect an agent with the addresses below. What it
      does is shown here at once.
    </Empty>
  </Panel>
);

function Charts({ history }: { history: Sample[] }) {
  const [params, setParams] = useSearchParams();
  const by: By = params.get('by') === 'source' ? 'sources' : 'doors';
  const { names, others } = useMemo(() => busiest(history, by), [history, by]);
  const data = useMemo(() => {
    const of = (metric: Metric) => columns(history, by, names, metric);
    return { calls: of('calls'), errors: of('errors'), p50: of('p50'), p99: of('p99') };
  }, [history, by, names]);
  return (
    <Panel
      title="The last five minutes"
      actions={
        <Choice
          label="Lines"
          value={by}
          onChange={(value) => setParams(value === 'sources' ? { by: 'source' } : {}, { replace: true })}
          options={[
            ['doors', 'by door'],
            ['sources', 'by source'],
          ]}
        />
      }
    >
      <ul className={css.legend} aria-label="Lines">
        {names.map((name, i) => (
          <li key={name}>
            <span className={`${css.swatch} ${css[`line${i}`]} ${i < 4 ? '' : css.dashed}`} aria-hidden="true" />
            {plain(nameOf(name))}
          </li>
        ))}
        {others > 0 && <li className="muted">{count(others)} more have fewer calls; the table has them.</li>}
      </ul>
      <div className={css.charts}>
        <Suspense fallback={<Loading what="charts" />}>
          {(Object.keys(metrics) as Metric[]).map((metric) => {
            const counts = metric === 'calls' || metric === 'errors';
            return (
              <Chart
                key={metric}
                title={metrics[metric].title}
                names={names}
                data={data[metric]}
                show={counts ? rate : duration}
                counts={counts}
              />
            );
          })}
        </Suspense>
      </div>
    </Panel>
  );
}

function Shares(props: { title: string; shares: Share[]; seconds: number; link?: boolean }) {
  const shares = [...props.shares].sort((a, b) => b.calls - a.calls || (a.name < b.name ? -1 : 1)).slice(0, 100);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it.
    <section className="scroll" tabIndex={0} aria-label={`The last minute by ${props.title.toLowerCase()}`}>
      <table>
        <thead>
          <tr>
            <th scope="col" className={css.first}>
              {props.title}
            </th>
            {['Calls/s', 'Tool errors', 'Refused', 'Failed', 'Cancelled', 'p50', 'p99'].map((name) => (
              <th key={name} scope="col" className="number nowrap">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shares.map((s) => (
            <tr key={s.name}>
              <th scope="row" className={css.first}>
                {props.link && s.name ? (
                  <Link href={`/sources/${encodeURIComponent(s.name)}`}>{plain(s.name)}</Link>
                ) : (
                  plain(nameOf(s.name))
                )}
              </th>
              <td className="number">{rate(s.calls / Math.max(1, props.seconds))}</td>
              {[s.toolErrors, s.refused, s.failed].map((n, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: The three columns are always these.
                <td key={i} className={`number ${n > 0 ? css.bad : 'muted'}`}>
                  {count(n)}
                </td>
              ))}
              <td className={`number ${s.canceled > 0 ? '' : 'muted'}`}>{count(s.canceled)}</td>
              <td className="number nowrap">{duration(s.p50Ms)}</td>
              <td className="number nowrap">{duration(s.p99Ms)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
