// node typed.js ADDRESS PROTO-DIR: calls a typed service with @grpc/grpc-js and
// the file that the gateway has exported; prints a line of JSON for each call.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, dir] = process.argv.slice(2);
const definition = loader.loadSync('trilith/demo/v1/demo.proto', { includeDirs: [dir], longs: String, oneofs: true, keepCase: false });
const { DemoService } = grpc.loadPackageDefinition(definition).trilith.demo.v1;
const client = new DemoService(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set('who', 'alice');

const print = (what, value) => console.log(JSON.stringify([what, value]));

const unary = (method, request) =>
  new Promise((resolve, reject) => client[method](request, metadata, (err, answer) => (err ? reject(err) : resolve(answer))));

// google.protobuf.Value as plain JSON, and back.
const plain = (v) => {
  switch (v.kind) {
    case 'structValue':
      return Object.fromEntries(Object.entries(v.structValue.fields).map(([k, f]) => [k, plain(f)]));
    case 'listValue':
      return v.listValue.values.map(plain);
    case 'nullValue':
      return null;
    default:
      return v[v.kind];
  }
};
const value = (v) => {
  if (v === null) return { nullValue: 'NULL_VALUE' };
  if (Array.isArray(v)) return { listValue: { values: v.map(value) } };
  if (typeof v === 'object') return { structValue: struct(v) };
  return { [`${typeof v}Value`]: v };
};
const struct = (o) => ({ fields: Object.fromEntries(Object.entries(o).map(([k, v]) => [k, value(v)])) });

const { sum } = await unary('Add', { a: 40, b: 2 });
print('unary', { sum });

const echo = await unary('Echo', { fields: struct({ x: [1, null, 'é'] }) });
print('free', { content: echo.content ?? [], structuredContent: plain(echo.structuredContent) });

const refused = await unary('Fail', {}).catch((err) => err);
print('refused', { code: refused.code, message: refused.details });

const events = await new Promise((resolve, reject) => {
  const seen = [];
  const call = client.StepsStream({}, metadata);
  call.on('data', (m) => seen.push(m.event));
  call.on('error', reject);
  call.on('end', () => resolve(seen));
});
print('stream', events);
client.close();
