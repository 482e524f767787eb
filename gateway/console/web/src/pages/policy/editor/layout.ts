import { useSyncExternalStore } from 'react';

/** How two texts are compared: one below the other, or side by side. */
export type Layout = 'unified' | 'split';

const key = 'trilith-diff';
const listeners = new Set<() => void>();
const wide = () => window.matchMedia('(min-width: 1000px)');

function chosen(): Layout {
  try {
    return localStorage.getItem(key) === 'split' ? 'split' : 'unified';
  } catch {
    return 'unified'; // A browser that keeps nothing.
  }
}

function choose(layout: Layout) {
  try {
    localStorage.setItem(key, layout);
  } catch {
    return;
  }
  for (const tell of listeners) tell();
}

function follow(tell: () => void) {
  const media = wide();
  listeners.add(tell);
  media.addEventListener('change', tell);
  return () => {
    listeners.delete(tell);
    media.removeEventListener('change', tell);
  };
}

/** What the reader has chosen for every comparison; where the window is not wide it is unified, and there is no choice. */
export function useLayout(): { layout: Layout; choose?: (layout: Layout) => void } {
  const now = useSyncExternalStore(follow, () => (wide().matches ? chosen() : 'narrow'));
  return now === 'narrow' ? { layout: 'unified' } : { layout: now, choose };
}
