import type { CombinedError } from '@urql/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import type { Exact } from '../../lib/exact';
import type { Json } from '../../lib/graphql';
import { type CallEvent, callEvents, type Question, type Result } from './documents';

export type Call = {
  state: 'none' | 'running' | 'done' | 'failed' | 'cancelled';
  /** When it began, and how long it took, in milliseconds. */
  began: number;
  took: number;
  progress: { progress: number; total: number | null; message: string | null } | null;
  /** The last lines of its log. */
  log: { level: string; logger: string | null; data: Exact }[];
  lines: number;
  /** How many events did not come. */
  dropped: number;
  question: Question | null;
  result: Result | null;
  error: CombinedError | undefined;
};

const none: Call = {
  state: 'none',
  began: 0,
  took: 0,
  progress: null,
  log: [],
  lines: 0,
  dropped: 0,
  question: null,
  result: null,
  error: undefined,
};
const mostLines = 200;

/** Calls a tool and follows the call. It is cancelled by `cancel`, by the next call, and when its page is left. */
export function useCall(name: string) {
  const client = useClient();
  const [call, setCall] = useState(none);
  const end = useRef<() => void>(undefined);
  const frame = useRef(0);
  const now = useRef(none);

  // A tool may report much faster than a screen shows.
  const set = useCallback((next: Call) => {
    now.current = next;
    frame.current ||= requestAnimationFrame(() => {
      frame.current = 0;
      setCall(now.current);
    });
  }, []);
  const stop = useCallback(() => {
    end.current?.();
    end.current = undefined;
  }, []);
  useEffect(
    () => () => {
      stop();
      cancelAnimationFrame(frame.current);
      frame.current = 0;
    },
    [stop],
  );

  const start = (args: Exact) => {
    stop();
    const began = performance.now();
    set({ ...none, state: 'running', began });
    const finish = (part: Partial<Call>) => {
      stop();
      set({ ...now.current, question: null, took: performance.now() - began, ...part });
      window.dispatchEvent(new Event('trilith-called'));
    };
    const variables = { name, arguments: args as unknown as Json };
    const { unsubscribe } = client.subscription(callEvents, variables).subscribe(({ data, error }) => {
      if (error) finish({ state: 'failed', error });
      else if (data?.toolCall) follow(data.toolCall, finish);
    });
    end.current = unsubscribe;
  };
  const follow = (event: CallEvent, finish: (part: Partial<Call>) => void) => {
    const old = { ...now.current, dropped: event.dropped };
    switch (event.__typename) {
      case 'ToolProgress':
        return set({ ...old, progress: { ...event, progress: Number(event.progress), total: event.total ?? null } });
      case 'ToolLog': {
        const line = { level: event.level, logger: event.logger, data: event.data as Exact };
        return set({ ...old, lines: old.lines + 1, log: [...old.log.slice(1 - mostLines), line] });
      }
      case 'ToolQuestion':
        return set({ ...old, question: event });
      case 'ToolFinished':
        return finish({ state: 'done', dropped: event.dropped, result: event.result });
    }
  };
  const cancel = () => {
    if (!end.current) return;
    stop();
    set({ ...now.current, state: 'cancelled', question: null, took: performance.now() - now.current.began });
  };
  const answered = () => set({ ...now.current, question: null });
  return { call, start, cancel, answered };
}
