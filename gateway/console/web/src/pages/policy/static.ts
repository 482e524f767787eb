import { useSyncExternalStore } from 'react';
import type { Pages } from '../../lib/pages';

const nothing = () => {};

/** A list that is here as a whole, for `Rows`. */
export const whole = <T>(items: T[]): Pages<T> => ({
  items,
  total: items.length,
  loading: false,
  error: undefined,
  more: false,
  loadMore: nothing,
  reload: nothing,
});

/** How high a list of so many rows is, at most. */
export const sizeOf = (rows: number, height: number, most = '62dvh') => `min(${most}, ${rows * height + 2}px)`;

/** Whether the window is so narrow that rows take more lines. */
export function useNarrow(): boolean {
  const query = '(max-width: 900px)';
  return useSyncExternalStore(
    (tell) => {
      const media = window.matchMedia(query);
      media.addEventListener('change', tell);
      return () => media.removeEventListener('change', tell);
    },
    () => window.matchMedia(query).matches,
  );
}
