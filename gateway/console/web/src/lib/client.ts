import { Client, cacheExchange, fetchExchange, mapExchange, type Operation, subscriptionExchange } from '@urql/core';
import { createClient as createSocket } from 'graphql-ws';
import { connection, followConnection, markConnected, markExpired, markLost } from './connection';
import { number } from './exact';

const url = new URL('/graphql', window.location.href);
const socketURL = new URL(url);
socketURL.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';

/** Close codes after which only signing in again helps. */
const signedOut = new Set([4401, 4403]);

const socket = createSocket({
  url: socketURL.href,
  lazy: true,
  lazyCloseTimeout: 3_000,
  keepAlive: 20_000,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: (event) => !(event instanceof CloseEvent && signedOut.has(event.code)),
  retryWait: (retries) =>
    new Promise((done) => setTimeout(done, Math.min(500 * 2 ** retries, 10_000) * (0.5 + Math.random()))),
  jsonMessageReviver: exact,
  on: {
    connected: () => markConnected(),
    closed: (event) => {
      if (!(event instanceof CloseEvent) || event.code === 1000) return;
      if (signedOut.has(event.code)) markExpired();
      else {
        markLost();
        void lookIfSignedIn();
      }
    },
  },
});

/** A socket that is refused does not say why to the page: an answer over HTTP tells whether the session has ended. */
async function lookIfSignedIn() {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json' },
      body: '{"query":"{ viewer { id } }"}',
    });
    if (answer.status === 401) markExpired();
  } catch {
    // The gateway does not answer; the socket asks again.
  }
}

/** Keeps the digits of numbers that JavaScript cannot hold (lib/exact.ts), where the browser shows the text of a number. */
function exact(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? number(context.source) : value;
}

/** What was asked when the session was over. What a page still shows of it is asked again once its reader is back. */
const unanswered = new Map<number, Operation>();

/** The gateway's GraphQL door, with the session's cookie. Queries and mutations go over HTTP, subscriptions over one WebSocket. */
export const client = new Client({
  url: url.href,
  preferGetMethod: false,
  exchanges: [
    mapExchange({
      onResult(result) {
        const status = result.error?.response?.status;
        const refused = result.error?.graphQLErrors.some((e) => e.extensions?.code === 'UNAUTHENTICATED');
        if (status === 401 || refused) {
          if (result.operation.kind === 'query') unanswered.set(result.operation.key, result.operation);
          markExpired();
        } else if (result.operation.kind !== 'subscription' && !result.error?.networkError) markConnected();
      },
    }),
    cacheExchange,
    subscriptionExchange({
      // What must keep its numbers goes over the socket, too: `context: { exact: true }`.
      isSubscriptionOperation: (operation) => operation.kind === 'subscription' || operation.context.exact === true,
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe(
            { query: request.query ?? '', variables: request.variables, operationName: null },
            sink,
          ),
        }),
      }),
    }),
    fetchExchange,
  ],
  fetchOptions: {
    credentials: 'same-origin',
    headers: { Accept: 'application/graphql-response+json, application/json' },
  },
});

followConnection(() => {
  if (connection() !== 'ok') return;
  const again = [...unanswered.values()];
  unanswered.clear();
  for (const o of again)
    client.reexecuteOperation(
      client.createRequestOperation('query', o, { ...o.context, requestPolicy: 'network-only' }),
    );
});
