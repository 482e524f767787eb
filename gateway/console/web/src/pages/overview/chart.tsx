import { useEffect, useRef, useState } from 'react';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { plain } from '../../lib/format';
import { nameOf, span, steps } from './history';
import css from './overview.module.css';

const height = 150;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const minutes = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
/** The steps between the numbers of calls that an axis names. */
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1_000, n * 1_000_000]).sort((a, b) => a - b);
const timeOf = (at: number) => clock.format(new Date(at * 1000));

/** The class that gives a line its colour. */
export const lineClass = (i: number) => css[`line${i}`] ?? '';

/** Lines over the last five minutes, with the same numbers as a table for those who do not see them. */
export default function Chart(props: {
  title: string;
  names: string[];
  data: [number[], ...(number | null)[][]];
  show: (n: number) => string;
  /** Whether values are counts, which have a mean; times have a longest. */
  counts: boolean;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(null);
  const [at, setAt] = useState<number | null>(null);
  const { names, data, show, counts } = props;
  const latest = useRef({ data, show });
  latest.current = { data, show };
  const key = JSON.stringify(names);

  // biome-ignore lint/correctness/useExhaustiveDependencies: The key is the names.
  useEffect(() => {
    const box = host.current;
    if (!box) return;
    const colour = (i: number) => getComputedStyle(box.querySelector(`[data-line="${i}"]`) ?? box).color;
    const axis = {
      stroke: () => getComputedStyle(box).color,
      grid: { stroke: () => colour(-1), width: 1 },
      ticks: { show: false },
    };
    const chart = new UPlot(
      {
        width: box.clientWidth || 300,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'overview' } },
        scales: {
          x: {
            range: () => {
              const times = latest.current.data[0];
              const end = times[times.length - 1] ?? Math.floor(Date.now() / 1000);
              return [end - span, end];
            },
          },
          y: { range: (_u, _min, max) => [0, Math.max(1, (max ?? 0) * 1.1)] },
        },
        axes: [
          { ...axis, space: 70, size: 30, values: (_u, all) => all.map((t) => minutes.format(new Date(t * 1000))) },
          {
            ...axis,
            size: 62,
            space: 30,
            ...(counts ? { incrs: whole } : {}),
            values: (_u, all) => all.map((v) => latest.current.show(v)),
          },
        ],
        series: [
          {},
          ...names.map((_, i) => ({
            stroke: () => colour(i),
            width: 1.5,
            dash: i < 4 ? undefined : [6, 3],
            points: counts ? { show: false } : { show: true, size: 4, fill: () => colour(i) },
          })),
        ],
        hooks: { setCursor: [(u) => setAt(u.cursor.idx ?? null)] },
      },
      latest.current.data,
      box,
    );
    plot.current = chart;
    const resize = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height }));
    resize.observe(box);
    const redraw = () => chart.redraw(false, true);
    const scheme = window.matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', redraw);
    const theme = new MutationObserver(redraw);
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      resize.disconnect();
      scheme.removeEventListener('change', redraw);
      theme.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [key, counts]);

  useEffect(() => plot.current?.setData(data), [data]);

  const [times, ...values] = data;
  const index = at ?? times.length - 1;
  const shown = (v: number | null | undefined) => (v === null || v === undefined ? '–' : show(v));
  const summary = names.map((name, i) => {
    const all = (values[i] ?? []).filter((v) => v !== null);
    return `${plain(nameOf(name))}: now ${shown(values[i]?.[times.length - 1])}, at most ${shown(all.length ? Math.max(...all) : null)}`;
  });

  return (
    <figure className={css.chart}>
      <figcaption>
        <strong>{props.title}</strong>
        <span className="muted">
          {at !== null && times[index] !== undefined && `${timeOf(times[index])} · `}
          {names.map((name, i) => (
            <span key={name} className="nowrap">
              {i > 0 && ' · '}
              {plain(nameOf(name))} {shown(values[i]?.[index])}
            </span>
          ))}
        </span>
      </figcaption>
      <div
        ref={host}
        className={css.canvas}
        role="img"
        aria-label={`${props.title}, last five minutes. ${summary.join('; ')}`}
      >
        <span hidden data-line={-1} className={css.gridLine} />
        {names.map((name, i) => (
          <span key={name} hidden data-line={i} className={lineClass(i)} />
        ))}
      </div>
      <Table {...props} />
    </figure>
  );
}

function Table(props: Parameters<typeof Chart>[0]) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{props.title} as a table</summary>
      {open && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it.
        <section className={css.table} aria-label={`${props.title} as a table`} tabIndex={0}>
          <table>
            <caption className="muted">
              {props.counts ? 'Means of ten seconds.' : 'The longest within ten seconds.'}
            </caption>
            <thead>
              <tr>
                <th scope="col">From</th>
                {props.names.map((name) => (
                  <th key={name} scope="col" className="number">
                    {plain(nameOf(name))}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {steps(props.data, props.counts).map((row) => (
                <tr key={row.at}>
                  <th scope="row">{timeOf(row.at)}</th>
                  {row.values.map((v, i) => (
                    <td key={props.names[i]} className="number">
                      {v === null ? '–' : props.show(v)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
    </details>
  );
}
