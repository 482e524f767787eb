// biome-ignore-all lint/a11y/useSemanticElements: Only the rows that are seen are in the page, and each has its place: no <table> does that.
// biome-ignore-all lint/a11y/useFocusableInteractive: The link in a row has the focus, and arrow keys move it.
import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { Link } from 'wouter';
import { clock, cut, dayUnlessToday, duration, plain } from '../../lib/format';
import { Badge } from '../../ui';
import css from './audit.module.css';
import { did, door, outcome, type Record, tone, what, who } from './record';

const spare = 8; // Rows beyond what is seen, so that a little scrolling draws nothing.
const narrow = 720; // Pixels up to which a row takes two lines; audit.module.css has it too.

/**
 * Records as a table of which only what is seen is in the page. Arrow keys go from row to row. `at` gives the record of a row, so
 * that a table can stand over a ring; `onEnd` is called when the last rows come near.
 */
export function RecordTable(props: {
  label: string;
  count: number;
  at: (row: number) => Record | undefined;
  href: (r: Record) => string;
  onEnd?: () => void;
  footer?: ReactNode;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600, width: 1_000 });
  const focus = useRef(-1);
  const high = view.width <= narrow ? 62 : 34;
  const first = Math.max(0, Math.floor(view.top / high) - spare);
  const last = Math.min(props.count, Math.ceil((view.top + view.height) / high) + spare);
  const { onEnd, count } = props;

  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const look = () =>
      setView((v) =>
        v.top === el.scrollTop && v.height === el.clientHeight && v.width === el.offsetWidth
          ? v
          : { top: el.scrollTop, height: el.clientHeight, width: el.offsetWidth },
      );
    const size = new ResizeObserver(look);
    size.observe(el);
    el.addEventListener('scroll', look, { passive: true });
    return () => {
      size.disconnect();
      el.removeEventListener('scroll', look);
    };
  }, []);
  useEffect(() => {
    if (last + 20 >= count) onEnd?.();
  }, [last, count, onEnd]);
  useEffect(() => {
    if (focus.current < 0) return;
    const link = box.current?.querySelector<HTMLElement>(`[data-row="${focus.current}"]`);
    if (link) {
      focus.current = -1;
      link.focus({ preventScroll: true });
    }
  });

  const onKeyDown = (e: KeyboardEvent) => {
    const el = box.current;
    const now = Number((e.target as HTMLElement).dataset.row ?? Number.NaN);
    const page = Math.max(1, Math.floor(view.height / high) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -count, End: count }[e.key];
    if (!el || step === undefined || count === 0) return;
    e.preventDefault();
    const next = Math.min(count - 1, Math.max(0, Number.isNaN(now) ? first + spare : now + step));
    if (next * high < el.scrollTop) el.scrollTop = next * high;
    if ((next + 1) * high > el.scrollTop + el.clientHeight) el.scrollTop = (next + 1) * high - el.clientHeight;
    focus.current = next;
    setView((v) => ({ ...v, top: el.scrollTop }));
  };

  const rows: ReactNode[] = [];
  for (let i = first; i < last; i++) {
    const r = props.at(i);
    if (r) rows.push(<Row key={i} row={i} top={i * high} high={high} record={r} href={props.href(r)} />);
  }
  return (
    <div className={css.table} role="table" aria-label={props.label} aria-rowcount={count + 1}>
      <div role="rowgroup">
        <div className={css.head} role="row" aria-rowindex={1}>
          {['Record', 'Time', 'Did', 'What', 'Who', 'Outcome', 'Took'].map((h) => (
            <span key={h} role="columnheader">
              {h}
            </span>
          ))}
        </div>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it. */}
      <div ref={box} className={css.body} role="rowgroup" tabIndex={0} onKeyDown={onKeyDown}>
        <div role="presentation" style={{ blockSize: count * high, position: 'relative' }}>
          {rows}
        </div>
        {props.footer && (
          <div role="row" className={css.footer}>
            <span role="cell">{props.footer}</span>
          </div>
        )}
      </div>
    </div>
  );
}

function Row({
  row,
  top,
  high,
  record: r,
  href,
}: {
  row: number;
  top: number;
  high: number;
  record: Record;
  href: string;
}) {
  const at = new Date(r.time);
  const day = dayUnlessToday(at, new Date());
  return (
    <div
      className={css.row}
      role="row"
      aria-rowindex={row + 2}
      style={{ transform: `translateY(${top}px)`, blockSize: high }}
    >
      <span role="cell" className={css.seq}>
        <Link href={href} data-row={row}>
          {r.seq}
        </Link>
      </span>
      <span role="cell" className={css.time}>
        <time dateTime={r.time} title={r.time}>
          {day !== '' && <span className="muted">{day} </span>}
          {clock(at)}
        </time>
      </span>
      <span role="cell" className={css.did}>
        {plain(did(r))} {r.via && <span className="muted">{plain(door(r.via))}</span>}
      </span>
      <span role="cell" className={css.what} title={cut(what(r), 300)}>
        {cut(what(r), 120)}
      </span>
      <span role="cell" className={css.who} title={cut(r.principal?.id ?? '', 300)}>
        {cut(who(r), 60)}
      </span>
      <span role="cell" className={css.code}>
        <Badge tone={tone(r)}>{cut(outcome(r), 40)}</Badge>
      </span>
      <span role="cell" className={css.took}>
        {r.duration_us === undefined ? '' : duration(r.duration_us / 1_000)}
      </span>
    </div>
  );
}
