import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { useRights } from '../../app/rights';
import { count, cut, duration, moment, plain } from '../../lib/format';
import { Badge, Empty, Failures, Loading, Note, Page, Panel } from '../../ui';
import { CanaryPanel } from './canary';
import { Notes } from './notes';
import { Pins } from './pins';
import { breakerTone, type Endpoint, type Source, type SourceShare, useSources, useTraffic } from './sources';
import css from './sources.module.css';

/** One source: how it does, what of it is offered, and what of it waits. */
export function Detail({ name }: { name: string }) {
  const { sources, error } = useSources();
  const { shares } = useTraffic();
  const can = useRights();
  const source = sources?.find((s) => s.name === name);
  if (!source) {
    return (
      <Page title={cut(name, 100)} hint={<Link href="/sources">All sources</Link>}>
        <Failures error={error} />
        {!sources && !error && <Loading />}
        {sources && (
          <Empty title="There is no source of this name">
            It may have left the configuration. <Link href="/sources">See those that are there.</Link>
          </Empty>
        )}
      </Page>
    );
  }
  return (
    <Page
      title={plain(source.name)}
      hint={
        <>
          <Link href="/sources">Sources</Link> · {plain(source.kind)}
          {source.tags.map((t) => ` · ${plain(t)}`)}
        </>
      }
      actions={
        <>
          <Badge tone={source.available ? 'good' : 'bad'}>{source.available ? 'available' : 'away'}</Badge>
          {source.guard?.breaker && (
            <Badge tone={breakerTone[source.guard.breaker]}>breaker {plain(source.guard.breaker)}</Badge>
          )}
        </>
      }
    >
      <Failures error={error} />
      {source.problem && (
        <Note tone={source.available ? 'warn' : 'bad'}>
          {cut(source.problem, 2_000)}
          {!source.available && ' The gateway tries again by itself; its tools come back when it does.'}
        </Note>
      )}
      {source.hidden.length > 0 && (
        <Note tone="bad">
          Its definitions have text that people do not see and models read:
          <ul className={css.hidden}>
            {source.hidden.map((h) => (
              <li key={h}>{cut(h, 400)}</li>
            ))}
          </ul>
        </Note>
      )}
      <Offer source={source} share={shares.get(source.name)} />
      {source.endpoints.length > 0 && <Endpoints endpoints={source.endpoints} />}
      {source.canary && <CanaryPanel source={source.name} canary={source.canary} mayChange={can('sources', 'admin')} />}
      {source.guard && <Guards guard={source.guard} />}
      {source.pool && <Pool pool={source.pool} />}
      {source.pin !== 'off' && (
        <Panel title="Pinned definitions">
          <Pins source={source.name} sources={[source]} />
        </Panel>
      )}
      <Notes source={source.name} />
    </Page>
  );
}

/** Numbers with their names. */
const Numbers = (props: { of: (readonly [string, ReactNode] | false)[] }) => (
  <dl className={css.numbers}>
    {props.of.map(
      (pair) =>
        pair && (
          <div key={pair[0]}>
            <dt>{pair[0]}</dt>
            <dd>{pair[1]}</dd>
          </div>
        ),
    )}
  </dl>
);

const Offer = ({ source: s, share }: { source: Source; share: SourceShare | undefined }) => (
  <Panel
    title="What it offers"
    actions={<Link href={`/capabilities?source=${encodeURIComponent(s.name)}`}>Its capabilities</Link>}
  >
    <Numbers
      of={[
        ['Tools', count(s.tools)],
        ['Resources', count(s.resources)],
        ['Prompts', count(s.prompts)],
        ['Pins', plain(s.pin)],
        s.pin !== 'off' && ['In quarantine', count(s.quarantined)],
        ['Calls in the last minute', count(share?.calls ?? 0)],
        ['Errors', count((share?.toolErrors ?? 0) + (share?.refused ?? 0) + (share?.failed ?? 0))],
        ['p50', share?.calls ? duration(share.p50Ms) : '–'],
        ['p99', share?.calls ? duration(share.p99Ms) : '–'],
      ]}
    />
  </Panel>
);

const Endpoints = ({ endpoints }: { endpoints: readonly Endpoint[] }) => (
  <Panel title="Endpoints">
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it. */}
    <section className="scroll" tabIndex={0} aria-label="Endpoints as a table">
      <table>
        <thead>
          <tr>
            {['Name', 'Address', 'Role', 'State'].map((h) => (
              <th key={h} scope="col">
                {h}
              </th>
            ))}
            {['Weight', 'Running', 'Calls', 'Failed', 'Latency'].map((h) => (
              <th key={h} scope="col" className="number">
                {h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {endpoints.map((e) => (
            <tr key={e.name}>
              <th scope="row">{plain(e.name)}</th>
              <td className="mono">{cut(e.address, 300)}</td>
              <td>{plain(e.role)}</td>
              <td>
                <EndpointState endpoint={e} />
              </td>
              <td className="number">{count(e.weight)}</td>
              <td className="number">{count(e.running)}</td>
              <td className="number">{count(e.calls)}</td>
              <td className="number">{count(e.failed)}</td>
              <td className="number nowrap">{e.calls ? duration(e.latencyMs) : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  </Panel>
);

function EndpointState({ endpoint: e }: { endpoint: Endpoint }) {
  if (e.ejectedUntil) return <Badge tone="bad">ejected until {moment(e.ejectedUntil)}</Badge>;
  return <Badge tone={e.present ? 'good' : 'bad'}>{e.present ? 'present' : 'away'}</Badge>;
}

const Guards = ({ guard: g }: { guard: NonNullable<Source['guard']> }) => (
  <Panel title="Guards">
    <Numbers
      of={[
        ['Breaker', plain(g.breaker) || 'none'],
        ['Opened', count(g.opened)],
        ['Met it open', count(g.refused)],
        ['Running', count(g.running)],
        ['Waiting', count(g.queued)],
        ['May run at once', g.limit ? count(g.limit) : 'any number'],
        ['Found no place', count(g.rejected)],
        ['Retries', count(g.retries)],
        ['Hedges', count(g.hedges)],
        ['Fallbacks', count(g.fallbacks)],
        ['Cache hits', count(g.cacheHits)],
        ['Cache misses', count(g.cacheMisses)],
        ['Stale answers', count(g.cacheStale)],
        ['Shared misses', count(g.cacheJoined)],
        ['Answers kept', `${count(g.cacheEntries)} (${count(Math.ceil(g.cacheBytes / 1024))} KiB)`],
      ]}
    />
  </Panel>
);

const Pool = ({ pool: p }: { pool: NonNullable<Source['pool']> }) => (
  <Panel title="Sessions and connections">
    <Numbers
      of={[
        ['Sessions open', count(p.open)],
        ['Busy', count(p.busy)],
        ['Idle', count(p.idle)],
        ['Spare', count(p.spare)],
        ['Ever opened', count(p.opened)],
        ['Lost', count(p.lost)],
        ['Failed to open', count(p.failed)],
        ['Expired', count(p.expired)],
        ['Evicted', count(p.evicted)],
        ['Calls refused', count(p.refused)],
        ['Idle connections', count(p.connectionsIdle)],
        ['Connections opened', count(p.connectionsOpened)],
        ['Requests that reused one', count(p.connectionsReused)],
      ]}
    />
  </Panel>
);
