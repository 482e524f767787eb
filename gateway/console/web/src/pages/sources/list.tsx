import { useSearchParams } from 'wouter';
import { count, cut, duration, plain } from '../../lib/format';
import { Badge, Choice, Empty, Failures, Loading, Page, Panel, Rows, Search } from '../../ui';
import { Pins } from './pins';
import { breakerTone, isTroubled, pathOf, type Source, type SourceShare, useSources, useTraffic } from './sources';
import css from './sources.module.css';

/** All sources, and the definitions that wait for somebody to approve them. */
export function List() {
  const { sources, error } = useSources();
  const { shares } = useTraffic();
  const [params, setParams] = useSearchParams();
  const set = (name: string, value: string) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set(name, value);
        else next.delete(name);
        return next;
      },
      { replace: true },
    );
  const text = (params.get('q') ?? '').toLowerCase();
  const show = params.get('show') ?? '';
  const kind = params.get('kind') ?? '';
  const found = (sources ?? []).filter(
    (s) =>
      `${s.name} ${s.tags.join(' ')}`.toLowerCase().includes(text) &&
      (kind === '' || s.kind === kind) &&
      (show === '' || (show === 'away' ? !s.available : isTroubled(s))),
  );
  const kinds = [...new Set((sources ?? []).map((s) => s.kind))].sort();
  return (
    <Page title="Sources" hint="Where the gateway's tools, resources and prompts come from, as this node sees them.">
      <Failures error={error} />
      <div className={css.filters}>
        <Search label="Search" value={params.get('q') ?? ''} onChange={(v) => set('q', v)} placeholder="Name or tag" />
        <Choice
          label="Show"
          value={show}
          onChange={(v) => set('show', v)}
          options={[
            ['', 'all'],
            ['troubled', 'what needs a look'],
            ['away', 'what is away'],
          ]}
        />
        <Choice
          label="Kind"
          value={kind}
          onChange={(v) => set('kind', v)}
          options={[['', 'any'], ...kinds.map((k) => [k, k] as const)]}
        />
      </div>
      {!sources && !error && <Loading what="sources" />}
      {sources && (
        <Rows
          label="Sources"
          pages={{
            items: found,
            total: found.length,
            loading: false,
            error: undefined,
            more: false,
            loadMore: () => {},
            reload: () => {},
          }}
          id={(s) => s.name}
          text={(s) => `${plain(s.name)}, ${s.available ? 'available' : 'away'}`}
          href={(s) => pathOf(s.name)}
          row={(s) => <Line source={s} share={shares.get(s.name)} />}
          height={76}
          size={`min(60dvh, ${Math.max(1, found.length) * 76 + 2}px)`}
          empty={
            sources.length === 0 ? (
              <Empty title="No source is configured">Add one under sources in the configuration, and reload it.</Empty>
            ) : (
              <Empty title="No source is like that">Choose other filters, or none.</Empty>
            )
          }
        />
      )}
      <Panel title="Pinned definitions">
        <Pins sources={sources} />
      </Panel>
    </Page>
  );
}

function Line({ source: s, share }: { source: Source; share: SourceShare | undefined }) {
  return (
    <div className={css.line}>
      <div className={css.name}>
        <strong>{plain(s.name)}</strong>
        <span className="muted">{s.problem ? cut(s.problem, 160) : [s.kind, ...s.tags.map(plain)].join(' · ')}</span>
      </div>
      <div className={`${css.counts} muted`}>
        {count(s.tools)} tools, {count(s.resources)} resources, {count(s.prompts)} prompts
        <br />
        {share
          ? `p99 ${duration(share.p99Ms)}, ${count(share.calls)} calls in the last minute`
          : 'no calls in the last minute'}
      </div>
      <div className={css.badges}>
        {s.quarantined > 0 && <Badge tone="warn">{count(s.quarantined)} in quarantine</Badge>}
        {s.hidden.length > 0 && <Badge tone="bad">hidden text</Badge>}
        {s.canary?.phase === 'running' && <Badge tone="accent">canary {s.canary.percent} %</Badge>}
        {s.guard && s.guard.breaker !== '' && s.guard.breaker !== 'closed' && (
          <Badge tone={breakerTone[s.guard.breaker]}>breaker {plain(s.guard.breaker)}</Badge>
        )}
        <Badge tone={s.available ? 'good' : 'bad'}>{s.available ? 'available' : 'away'}</Badge>
      </div>
    </div>
  );
}
