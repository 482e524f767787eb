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
