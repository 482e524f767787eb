import { useEffect, useRef } from 'react';
import { useSearchParams } from 'wouter';
import { cut, moment, plain } from '../../lib/format';
import { graphql } from '../../lib/graphql';
import { usePages } from '../../lib/pages';
import { Badge, Choice, Empty, Rows } from '../../ui';
import { pinPath, pinTone, type Source } from './sources';
import css from './sources.module.css';

const pinsQuery = graphql(`
  query Pins($after: String, $source: String, $state: String) {
    admin {
      pins(first: 100, after: $after, source: $source, state: $state) {
        nodes { id source kind name state served since hidden }
        endCursor
      }
    }
  }
`);

const states = [
  ['', 'all'],
  ['quarantined', 'quarantined'],
  ['changed', 'changed'],
  ['approved', 'approved'],
  ['rejected', 'rejected'],
] as const;

/** What changes when the pins of some sources may have changed. */
export const pinsOf = (sources: Source[] | undefined) =>
  (sources ?? []).map((s) => [s.name, s.quarantined, s.tools, s.resources, s.prompts, ...s.hidden].join()).join(';');

/** Pinned definitions, of one source or of all, by state; it follows the sources. */
export function Pins({ source, sources }: { source?: string; sources: Source[] | undefined }) {
  const [params, setParams] = useSearchParams();
  const asked = params.get('pins') ?? '';
  const state = states.some(([s]) => s === asked) ? asked : '';
  const pages = usePages(pinsQuery, { source: source ?? null, state: state || null }, (d) => d.admin.pins);
  const now = pinsOf(sources);
  const seen = useRef(now);
  const reload = useRef(pages.reload);
  reload.current = pages.reload;
  useEffect(() => {
    if (seen.current !== '' && seen.current !== now) reload.current();
    seen.current = now;
  }, [now]);
  const pick = (value: string) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set('pins', value);
        else next.delete('pins');
        return next;
      },
      { replace: true },
    );
  return (
    <>
      <div className={css.one}>
        <Choice label="State" value={state} onChange={pick} options={states} />
      </div>
      <Rows
        label="Pinned definitions"
        pages={pages}
        id={(p) => p.id}
        text={(p) => `${plain(p.kind)} ${cut(p.name, 200)} of ${plain(p.source)}, ${plain(p.state)}`}
        href={(p) => pinPath(p.source, p.id)}
        height={60}
        size={`min(40dvh, ${Math.max(1, pages.items.length) * 60 + 2}px)`}
        row={(p) => (
          <div className={css.line}>
            <div className={css.name}>
              <strong>{cut(p.name, 300)}</strong>
              <span className="muted">
                {plain(p.kind)} of {plain(p.source)}
              </span>
            </div>
            <span className={`${css.counts} muted`}>{p.since && `offered since ${moment(p.since)}`}</span>
            <div className={css.badges}>
              {p.hidden.length > 0 && <Badge tone="bad">hidden text</Badge>}
              <Badge tone={pinTone[p.state]}>{plain(p.state)}</Badge>
              {!p.served && <Badge>not served</Badge>}
            </div>
          </div>
        )}
        empty={
          state ? (
            <Empty title={`No definition is ${state}`}>Choose another state.</Empty>
          ) : (
            <Empty title="No definition is pinned">
              <span>
                With <code>pin: require</code> in the configuration of a source, nothing of it is served before somebody
                has approved it.
              </span>
            </Empty>
          )
        }
      />
    </>
  );
}
