// Real clients on the frontend of external_test.go: node clients.mjs ORIGIN
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client';
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

const weather = 'query($c:String!,$u:DemoWeatherUnitsInput){demo_weather(city:$c,units:$u){city units wind{speed}}}';
const wantWeather = { city: 'Oslo', units: 'us_imperial', wind: { speed: 3.5 } };
const follow = 'subscription{w:demo_weather(city:"Oslo"){__typename ...on ToolProgress{progress total} ...on DemoWeatherFinished{result{city}}}}';
const wantFollowed = [{ __typename: 'ToolProgress', progress: 1, total: 2 }, { __typename: 'ToolLog' }, { __typename: 'DemoWeatherFinished', result: { city: 'Oslo' } }];
const bare = (value) => JSON.parse(JSON.stringify(value, (key, v) => (v && v.__typename && !v.__typename.startsWith('Tool') && !v.__typename.endsWith('Finished') ? { ...v, __typename: undefined } : v)));
await check('urql: typed query', async () => {
  const { data, error } = await urql.query(weather, { c: 'Oslo', u: 'us_imperial' }).toPromise();
  equal([bare(data?.demo_weather), error?.message], [wantWeather, undefined]);
});
await check('urql: typed mutation with @oneOf', async () => {
  const { data } = await urql.mutation('mutation($w:DemoCreateIssueWhoOneOfInput){demo_create_issue(title:"x",who:$w){number args}}', { w: { team: { slug: 's' } } }).toPromise();
  equal(bare(data.demo_create_issue), { number: 7, args: { title: 'x', who: { slug: 's' } } });
});
await check('urql: error of a typed field', async () => {
  const { error } = await urql.query(weather, { c: 'windbroken' }).toPromise();
  equal([error.graphQLErrors[0].extensions.code, error.graphQLErrors[0].path], ['INVALID_TOOL_OUTPUT', ['demo_weather', 'wind', 'speed']]);
});
await check('Apollo: typed query', async () => {
  const client = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
  const { data } = await client.query({ query: gql(weather), variables: { c: 'Oslo', u: 'us_imperial' } });
  equal(bare(data.demo_weather), wantWeather);
});
await check('graphql-ws: typed subscription', async () => {
  const { results, error } = await collect(socket, { query: follow });
  equal([results.map(({ data }) => data.w), error], [wantFollowed, undefined]);
});
await check('graphql-sse: typed subscription', async () => {
  const { results, error } = await collect(stream, { query: follow });
  equal([results.map(({ data }) => data.w), error], [wantFollowed, undefined]);
});
await check('graphql-js: partial introspection', async () => {
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query: '{__type(name:"DemoWeatherUnitsInput"){kind enumValues{name description}} __schema{queryType{name}}}' }) });
  equal((await response.json()).data, { __type: { kind: 'ENUM', enumValues: [{ name: 'metric', description: null }, { name: 'us_imperial', description: '"us-imperial"' }] }, __schema: { queryType: { name: 'Query' } } });
});

await check('graphql-js: introspection makes a valid schema', async () => {
  const query = getIntrospectionQuery({ specifiedByUrl: true, schemaDescription: true, inputValueDeprecation: true, directiveIsRepeatable: true, oneOf: true });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) });
  equal(validateSchema(buildClientSchema((await response.json()).data)).map((e) => e.message), []);
});
end();
