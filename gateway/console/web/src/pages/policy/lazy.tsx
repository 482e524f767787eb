import { type ComponentProps, lazy, Suspense } from 'react';
import { Loading } from '../../ui';

const LazyEditor = lazy(() => import('./editor'));
const LazyMerge = lazy(() => import('./editor/merge'));

/** The editor, which is loaded when it is first shown. */
export const Editor = (props: ComponentProps<typeof LazyEditor>) => (
  <Suspense fallback={<Loading what="the editor" />}>
    <LazyEditor {...props} />
  </Suspense>
);

/** Two texts as one, with what differs. */
export const Merge = (props: ComponentProps<typeof LazyMerge>) => (
  <Suspense fallback={<Loading what="the editor" />}>
    <LazyMerge {...props} />
  </Suspense>
);
