import { useSearchParams } from 'wouter';
import { count, cut, plain } from '../../lib/format';
import { graphql } from '../../lib/graphql';
import { usePages } from '../../lib/pages';
import { Badge, Choice, Empty, Panel, Rows, type Tone } from '../../ui';
import css from './sources.module.css';

const notesQuery = graphql(`
  query ImportNotes($source: String!, $after: String, $change: String) {
    admin {
      importNotes(source: $source, first: 100, after: $after, change: $change) {
        nodes { subject change reason }
        endCursor
        total
      }
    }
  }
`);

const changes = [
  ['', 'all'],
  ['skipped', 'skipped'],
  ['renamed', 'renamed'],
  ['approximated', 'approximated'],
] as const;
const tones: Record<string, Tone> = { skipped: 'warn', renamed: 'accent', approximated: 'none' };

/** What of a source is not offered, or not as the source has it. */
export function Notes({ source }: { source: string }) {
  const [params, setParams] = useSearchParams();
  const asked = params.get('change') ?? '';
  const change = changes.some(([c]) => c === asked) ? asked : '';
  const pages = usePages(notesQuery, { source, change: change || null }, (d) => d.admin.importNotes);
  const pick = (value: string) =>
    setParams(
      (old) => {
        const next = new URLSearchParams(old);
        if (value) next.set('change', value);
        else next.delete('change');
        return next;
      },
      { replace: true },
    );
  return (
    <Panel title={pages.total ? `Import report (${count(pages.total)})` : 'Import report'}>
      <div className={css.one}>
        <Choice label="Change" value={change} onChange={pick} options={changes} />
      </div>
      <Rows
        label="Import report"
        pages={{ ...pages, items: pages.items.map((n, i) => ({ ...n, id: String(i) })) }}
        id={(n) => n.id}
        text={(n) => `${cut(n.subject, 200)}, ${plain(n.change)}: ${cut(n.reason, 300)}`}
        height={62}
        size={`min(40dvh, ${Math.max(1, pages.items.length) * 62 + 2}px)`}
        row={(n) => (
          <div className="spread">
            <div className={css.note}>
              <strong className="mono">{cut(n.subject, 300)}</strong>
              <span className="muted" title={cut(n.reason, 2_000)}>
                {cut(n.reason, 500)}
              </span>
            </div>
            <Badge tone={tones[n.change]}>{plain(n.change)}</Badge>
          </div>
        )}
        empty={
          change ? (
            <Empty title={`Nothing is ${change}`}>Choose another change.</Empty>
          ) : (
            <Empty title="All of it is offered">Everything is as the source has it.</Empty>
          )
        }
      />
    </Panel>
  );
}
