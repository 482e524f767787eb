import { useSyncExternalStore } from 'react';

/**
 * How the page stands with the gateway. `expired`: the session has ended, and only signing in again helps. `lost`: the
 * socket is being opened again. What has been typed stays in both.
 */
export type Connection = 'ok' | 'lost' | 'expired';

let now: Connection = 'ok';
const listeners = new Set<() => void>();

function set(next: Connection) {
  if (now === next) return;
  now = next;
  for (const tell of listeners) tell();
}

export const markConnected = () => set('ok');
export const markLost = () => now !== 'expired' && set('lost');
export const markExpired = () => set('expired');

/** Tells each time that `connection` gives something else, until what it returns is called. */
export function followConnection(tell: () => void): () => void {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export const connection = (): Connection => now;

/** Follows how the page stands with the gateway. */
export const useConnection = (): Connection => useSyncExternalStore(followConnection, connection);
