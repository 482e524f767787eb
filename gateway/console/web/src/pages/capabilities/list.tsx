import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { Link, useSearchParams } from 'wouter';
import { count, cut } from '../../lib/format';
import { useLive } from '../../lib/live';
import { usePages } from '../../lib/pages';
import { Badge, Choice, Empty, Page, Rows, Search } from '../../ui';
import css from './capabilities.module.css';
import { changes, countQuery, type Kind, kinds, lists, pathOf, titles, toolsetQuery } from './documents';

const filters = ['source', 'tag', 'toolset'] as const;

/** Finds what the viewer may use. What is searched for stands in the URL. */
export function List() {
  const [params, setParams] = useSearchParams();
  const kind = kinds.find((k) => k === params.get('kind')) ?? 'tool';
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
  const q = params.get('q') ?? '';
  const [search, setSearch] = useState(q);
  useEffect(() => {
    const soon = setTimeout(() => setSearch(q), 80); // One question for a few quick keys.
    return () => clearTimeout(soon);
  }, [q]);
  const filter = {
    search: search || null,
    ...Object.fromEntries(filters.map((f) => [f, params.get(f) || null])),
  };
  const [counts, again] = useQuery({ query: countQuery, variables: { tools: filter, filter } });
  const [toolsets] = useQuery({ query: toolsetQuery });
  const named = toolsets.data?.toolsets ?? [];

  return (
    <Page title="Capabilities" hint="What you may use through this gateway, by any of its doors.">
      <div className={css.filters}>
        <Search label="Search" value={q} onChange={(v) => set('q', v)} placeholder="Name, title or description" />
        <Search
          label="Source"
          value={params.get('source') ?? ''}
          onChange={(v) => set('source', v)}
          placeholder="Any"
        />
        <Search label="Tag" value={params.get('tag') ?? ''} onChange={(v) => set('tag', v)} placeholder="Any" />
        {(named.length > 0 || params.get('toolset')) && (
          <Choice
            label="Toolset"
            value={params.get('toolset') ?? ''}
            onChange={(v) => set('toolset', v)}
            options={[['', 'Any'], ...named.map((t) => [t.name, t.name] as const)]}
          />
        )}
      </div>
      <nav className={css.kinds} aria-label="Kinds">
        {kinds.map((k) => {
          const to = new URLSearchParams(params);
          to.set('kind', k);
          return (
            <Link key={k} href={`/capabilities?${to}`} aria-current={k === kind ? 'page' : undefined}>
              {titles[k]} <span className="muted">{counts.data ? count(counts.data[k].totalCount) : '…'}</span>
            </Link>
          );
        })}
      </nav>
      <Found key={kind} kind={kind} filter={filter} changed={() => again({ requestPolicy: 'network-only' })} />
    </Page>
  );
}

function Found({ kind, filter, changed }: { kind: Kind; filter: object; changed: () => void }) {
  const pages = usePages(lists[kind] as typeof lists.tool, { filter }, (d) => ({
    nodes: d.page.nodes,
    endCursor: d.page.pageInfo.hasNextPage ? d.page.pageInfo.endCursor : null,
    total: d.page.totalCount,
  }));
  useLive(changes, {}, () => {
    pages.refresh();
    changed();
  });
  return (
    <Rows
      label={titles[kind]}
      pages={pages}
      id={(c) => c.id}
      text={(c) => cut(c.id, 200)}
      href={(c) => pathOf(kind, c.id)}
      size="max(300px, calc(100dvh - 270px))"
      row={(c) => (
        <div className={css.row}>
          <div className={css.line}>
            <span className={css.name}>{cut(c.id, 200)}</span>
            {c.title && <span className={css.title}>{cut(c.title, 100)}</span>}
            <span className={css.marks}>
              {c.readOnly && <Badge>says it only reads</Badge>}
              {c.destructive && <Badge tone="warn">says it may destroy</Badge>}
              {c.tags.slice(0, 4).map((t) => (
                <Badge key={t}>{cut(t, 40)}</Badge>
              ))}
              <Badge tone="accent">{cut(c.source, 64)}</Badge>
            </span>
          </div>
          <div className={`muted ${css.brief}`}>{c.description ? cut(c.description.slice(0, 400), 300) : '–'}</div>
        </div>
      )}
      empty={
        <Empty title={`No ${titles[kind].toLowerCase()} here`}>
          Another kind may have what you look for. Empty the search and the filters, or ask an administrator for a role
          that may use it.
        </Empty>
      }
    />
  );
}
