import type { CSSProperties, ReactNode } from 'react';
import {
  Collection,
  GridList,
  GridListItem,
  GridListLoadMoreItem,
  ListLayout,
  Virtualizer,
} from 'react-aria-components';
import type { Pages } from '../lib/pages';
import { Empty, Failures, Loading } from './state';
import css from './ui.module.css';

/**
 * A long list, of which only what is seen is in the page; the next page is asked for when its end comes near. Every row
 * has the same height, unless they are measured: then its layout is the style sheet's, at every width of the window.
 * `text` is what a screen reader calls the row.
 */
export function Rows<T extends object>(props: {
  label: string;
  pages: Pages<T>;
  id: (item: T) => string;
  text: (item: T) => string;
  href?: (item: T) => string;
  row: (item: T) => ReactNode;
  height?: number;
  /** Whether each row is as high as what it holds; `height` is then what most of them have. */
  measured?: boolean;
  /** How high the list is, as CSS; 60 % of the window by default. */
  size?: string;
  /** How high it may become, as CSS: it is no higher than its rows. In place of `size`. */
  most?: string;
  empty: ReactNode;
}) {
  const { pages, height = 60 } = props;
  if (pages.error && pages.items.length === 0) return <Failures error={pages.error} />;
  if (pages.loading && pages.items.length === 0) return <Loading />;
  if (pages.items.length === 0) return <>{props.empty ?? <Empty title="Nothing here" />}</>;
  return (
    <>
      <Failures error={pages.error} />
      <Virtualizer
        layout={ListLayout}
        layoutOptions={{ [props.measured ? 'estimatedRowHeight' : 'rowHeight']: height, loaderHeight: 40 }}
      >
        <GridList
          aria-label={props.label}
          className={`react-aria-GridList ${props.most ? css.upTo : css.rows}`}
          style={{ '--rows-height': props.most ?? props.size } as CSSProperties}
        >
          <Collection items={pages.items}>
            {(item) => (
              <GridListItem id={props.id(item)} textValue={props.text(item)} href={props.href?.(item)}>
                {props.row(item)}
              </GridListItem>
            )}
          </Collection>
          <GridListLoadMoreItem onLoadMore={pages.loadMore} isLoading={pages.loading && pages.more}>
            <div className={css.more}>Loading…</div>
          </GridListLoadMoreItem>
        </GridList>
      </Virtualizer>
    </>
  );
}
