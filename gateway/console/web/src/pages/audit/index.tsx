import { useCallback, useState } from 'react';
import { Button } from 'react-aria-components';
import { useLocation, useRoute } from 'wouter';
import { count } from '../../lib/format';
import { usePages } from '../../lib/pages';
import { Empty, Failures, Loading, Page } from '../../ui';
import { ExportButton } from './export';
import { type AuditFilter, useFilter } from './filter';
import { Filters } from './filters';
import { Live } from './live';
import { recordsQuery } from './queries';
import { type Record, recordOf } from './record';
import { RecordWindow } from './recordview';
import { RecordTable } from './table';
import { VerifyButton } from './verify';

const kept = 20_000; // Records of the list that the page holds at most.

export default function Audit() {
  const [turn, setTurn] = useState(0);
  const { search, filter, change } = useFilter(turn);
  const [, params] = useRoute('/audit/:seq');
  const [, navigate] = useLocation();
  const live = search.get('live') === '1';
  const query = search.toString();
  const back = `/audit${query ? `?${query}` : ''}`;
  const href = useCallback((r: { seq: number }) => `/audit/${r.seq}${query ? `?${query}` : ''}`, [query]);
  return (
    <Page
      title="Audit"
      hint="One record of every call, refused or not, and of what happens to the gateway."
      actions={
        <>
          <Button
            className={`react-aria-Button ${live ? 'primary' : ''}`}
            aria-pressed={live}
            onPress={() => change({ live: live ? '' : '1' })}
          >
            Follow live
          </Button>
          <ExportButton filter={filter} />
          <VerifyButton />
        </>
      }
    >
      <Filters search={search} change={change} />
      {live ? (
        <Live filter={filter} href={href} />
      ) : (
        <List
          filter={filter}
          oldestFirst={search.get('order') === 'oldest'}
          start={search.get('after')}
          href={href}
          again={() => setTurn(turn + 1)}
          change={change}
        />
      )}
      {params && <RecordWindow seq={Number(params.seq)} href={href} onClose={() => navigate(back)} />}
    </Page>
  );
}

function List(props: {
  filter: AuditFilter;
  oldestFirst: boolean;
  start: string | null;
  href: (r: Record) => string;
  again: () => void;
  change: (values: { [name: string]: string }) => void;
}) {
  const { filter, oldestFirst, start, change } = props;
  const pages = usePages(
    recordsQuery,
    { first: 100, filter, oldestFirst },
    (data) => {
      const page = data.admin.auditRecords;
      return page && { nodes: page.nodes.map(recordOf).filter((r) => r !== undefined), endCursor: page.endCursor };
    },
    kept,
    start,
  );
  const { items, more, next = null, loading, error } = pages;
  const again = () => {
    props.again();
    pages.reload();
  };
  const older = oldestFirst ? 'newer' : 'older';
  const footer = loading ? (
    'Loading…'
  ) : next !== null && !more ? (
    <>
      {count(items.length)} records are shown, as many as the page keeps.{' '}
      <Button onPress={() => change({ after: next })}>Go on with {older} ones</Button>
    </>
  ) : next === null && !error ? (
    `These are all${start ? ` the ${older} ones` : ''}.`
  ) : undefined;
  return (
    <>
      <div className="spread">
        <span className="muted" role="status">
          {count(items.length)}
          {next !== null && items.length > 0 && ' and more'} {items.length === 1 ? 'record' : 'records'},{' '}
          {oldestFirst ? 'the oldest first' : 'the newest first'}
        </span>
        <div className="row">
          {start !== null && <Button onPress={() => change({ after: '' })}>Back to the first</Button>}
          <Button onPress={() => change({ order: oldestFirst ? '' : 'oldest' })}>
            {oldestFirst ? 'Newest first' : 'Oldest first'}
          </Button>
          <Button onPress={again}>Read again</Button>
        </div>
      </div>
      <Failures error={error} what="The records" />
      {items.length === 0 ? (
        loading ? (
          <Loading what="records" />
        ) : (
          !error && (
            <Empty title="No record matches">
              Widen the time, or remove a filter: in patterns * stands for any text. What happens from now on is under
              Follow live.
            </Empty>
          )
        )
      ) : (
        <RecordTable
          label="Records"
          count={items.length}
          at={(row) => items[row]}
          href={props.href}
          onEnd={more && !loading ? pages.loadMore : undefined}
          footer={footer}
        />
      )}
    </>
  );
}
