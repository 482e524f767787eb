import { useEffect, useRef, useState } from 'react';
import { Button } from 'react-aria-components';
import { count } from '../../lib/format';
import { useLive } from '../../lib/live';
import { Badge, Failures } from '../../ui';
import css from './audit.module.css';
import type { AuditFilter } from './filter';
import { recordEvents } from './queries';
import { type Record, recordOf } from './record';
import { Ring } from './ring';
import { RecordTable } from './table';

const kept = 2_000;

/**
 * Records as they are written, the newest first. However many come, the page is drawn once a frame, and the last 2,000
 * are kept.
 */
export function Live({ filter, href }: { filter: AuditFilter; href: (r: Record) => string }) {
  const ring = useRef(new Ring<Record>(kept));
  const seen = useRef({ total: 0, dropped: 0, frame: 0, marks: [] as { at: number; total: number }[] });
  const [shown, setShown] = useState({ total: 0, dropped: 0, rate: 0 });
  const [frozen, setFrozen] = useState<Record[]>();

  // biome-ignore lint/correctness/useExhaustiveDependencies: What another filter let through goes.
  useEffect(() => {
    ring.current = new Ring(kept);
    seen.current = { ...seen.current, total: 0, dropped: 0, marks: [] };
    setShown({ total: 0, dropped: 0, rate: 0 });
    setFrozen(undefined);
  }, [JSON.stringify(filter)]);

  const draw = () => {
    const now = performance.now();
    const s = seen.current;
    s.frame = 0;
    s.marks.push({ at: now, total: s.total });
    while (s.marks.length > 2 && now - (s.marks[1]?.at ?? now) > 1_000) s.marks.shift();
    const first = s.marks[0];
    const rate = first && now - first.at > 200 ? ((s.total - first.total) * 1_000) / (now - first.at) : 0;
    setShown({ total: s.total, dropped: s.dropped, rate });
  };
  useEffect(() => () => cancelAnimationFrame(seen.current.frame), []);

  const error = useLive(recordEvents, { filter }, ({ auditRecords: event }) => {
    const record = recordOf(event.record);
    if (!record) return;
    const s = seen.current;
    ring.current.push(record);
    s.total++;
    s.dropped = event.dropped;
    if (s.frame === 0) s.frame = requestAnimationFrame(draw);
  });

  const rows = frozen ?? ring.current;
  const size = frozen ? frozen.length : ring.current.size;
  return (
    <>
      <Failures error={error} />
      <div className={`spread ${css.live}`}>
        <div className="row">
          <Badge tone={frozen ? 'warn' : 'good'}>{frozen ? 'Paused' : 'Live'}</Badge>
          <span>
            {count(shown.total)} records since you look
            {shown.rate >= 1 && <span className="muted">, {count(Math.round(shown.rate))} a second</span>}
          </span>
          {shown.dropped > 0 && (
            <span className="muted">
              {count(shown.dropped)} left out: they came faster than this connection takes them.
            </span>
          )}
          {shown.total > kept && <span className="muted">The last {count(kept)} are kept here; the list has all.</span>}
        </div>
        <Button onPress={() => setFrozen(frozen ? undefined : ring.current.newestFirst())}>
          {frozen ? 'Resume' : 'Pause'}
        </Button>
      </div>
      <RecordTable
        label="Records as they are written"
        count={size}
        at={(row) => rows.at(row)}
        href={href}
        footer={size === 0 && !error ? 'Waiting for the next record that matches.' : undefined}
      />
    </>
  );
}
