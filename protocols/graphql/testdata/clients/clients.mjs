// Real clients on the frontend of external_test.go: node clients.mjs ORIGIN
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { buildClientSchema, getIntrospectionQuery, validateSchema } from 'graphql';
import { createClient as createStreamClient } from 'graphql-sse';
import { createClient as createSocketClient } from 'graphql-ws';
import WebSocket from 'ws';
import { check, collect, end, equal } from './check.mjs';

const origin = process.argv[2];
const url = `${origin}/graphql`;
const socketURL = url.replace('http', 'ws');
const steps = 'subscription($n:JSON){event:toolCall(name:"demo.steps",arguments:{n:$n}){__typename dropped ...on ToolFinished{result{isError content{text}}}}}';
const stepsEvents = (results) => results.map(({ data }) => data.event.__typename);
const wantSteps = ['ToolProgress', 'ToolProgress', 'ToolLog', 'ToolFinished'];

const socket = createSocketClient({ url: socketURL, webSocketImpl: WebSocket, retryAttempts: 0 });
const overSocket = ({ query = '', variables }) => ({
  subscribe: (observer) => ({ unsubscribe: socket.subscribe({ query, variables }, observer) }),
});
const urql = new Client({ url, preferGetMethod: false, exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription: overSocket })] });

await check('urql: query', async () => {
  const { data, error } = await urql.query('query($n:String!){tool(name:$n){name readOnly}}', { n: 'demo.echo' }).toPromise();
  equal([data?.tool?.name, data?.tool?.readOnly, error?.message], ['demo.echo', true, undefined]);
});
await check('urql: mutation', async () => {
  const { data } = await urql.mutation('mutation($a:JSON){callTool(name:"demo.echo",arguments:$a){structured}}', { a: { n: 5 } }).toPromise();
  equal(data.callTool.structured, { n: 5 });
});
await check('urql: error with a code', async () => {
  const { error } = await urql.mutation('mutation{callTool(name:"demo.none"){isError}}', {}).toPromise();
  equal([error.graphQLErrors[0].extensions.code, error.graphQLErrors[0].path], ['NOT_FOUND', ['callTool']]);
});
await check('urql: validation error', async () => {
  const { error } = await urql.query('{nope}', {}).toPromise();
  equal(error.graphQLErrors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
});
await check('urql: subscription', async () => {
  const seen = [];
  await new Promise((resolve) => {
    urql.subscription(steps, { n: 2 }).subscribe(({ data }) => {
      seen.push(data.event.__typename);
      if (data.event.__typename === 'ToolFinished') resolve();
    });
  });
  equal(seen, wantSteps);
});

await check('graphql-ws: subscription', async () => {
  const { results, error } = await collect(socket, { query: steps, variables: { n: 2 } });
  equal([stepsEvents(results), error], [wantSteps, undefined]);
});
await check('graphql-ws: query', async () => {
  const { results } = await collect(socket, { query: '{viewer{name}}' });
  equal(results, [{ data: { viewer: { name: 'Alice' } } }]);
});
await check('graphql-ws: refused subscription', async () => {
  const { results, error } = await collect(socket, { query: 'subscription{e:toolCall(name:"demo.none"){dropped}}' });
  equal([results[0].errors[0].extensions.code, results[0].errors[0].path, error], ['NOT_FOUND', ['e'], undefined]);
});
await check('graphql-ws: validation error', async () => {
  const { error } = await collect(socket, { query: 'subscription{nope}' });
  equal(error[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
});
await check('graphql-ws: token in connection_init', async () => {
  const client = createSocketClient({ url: `${origin}/open`.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { Authorization: 'Bearer bob-token' } });
  const { results } = await collect(client, { query: '{viewer{name}}' });
  equal(results, [{ data: { viewer: { name: 'Bob' } } }]);
  client.dispose();
});
await check('graphql-ws: bad token', async () => {
  const client = createSocketClient({ url: `${origin}/open`.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { Authorization: 'Bearer nobody' } });
  const { error } = await collect(client, { query: '{viewer{name}}' });
  equal([error.code, error.reason], [4403, 'Forbidden']);
});
await check('graphql-ws: expiry is told and counts as a failed attempt', async () => {
  let connections = 0;
  const client = createSocketClient({
    url: `${origin}/open`.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0,
    connectionParams: { Authorization: 'Bearer brief-token' }, on: { connected: () => connections++ },
  });
  const { error } = await collect(client, { query: 'subscription{capabilitiesChanged{tools}}' });
  equal([error.code, error.reason, connections], [4403, 'Credential expired', 1]);
});

const stream = createStreamClient({ url });
await check('graphql-sse: subscription', async () => {
  const { results, error } = await collect(stream, { query: steps, variables: { n: 2 } });
  equal([stepsEvents(results), error], [wantSteps, undefined]);
});
await check('graphql-sse: mutation', async () => {
  const { results } = await collect(stream, { query: 'mutation{callTool(name:"demo.sick"){isError}}' });
  equal(results, [{ data: { callTool: { isError: true } } }]);
});
await check('graphql-sse: validation error', async () => {
  const { results } = await collect(stream, { query: 'subscription{nope}' });
  equal(results[0].errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
});

await check('graphql-js: introspection makes a valid schema', async () => {
  const query = getIntrospectionQuery({ specifiedByUrl: true, schemaDescription: true, inputValueDeprecation: true, directiveIsRepeatable: true, oneOf: true });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) });
  equal(validateSchema(buildClientSchema((await response.json()).data)).map((e) => e.message), []);
});
end();
