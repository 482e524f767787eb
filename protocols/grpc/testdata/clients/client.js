// node client.js ADDRESS PROTO-DIR...: calls the gateway with @grpc/grpc-js and
// prints what happens, a line of JSON each.
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const [address, ...includeDirs] = process.argv.slice(2);
const definition = loader.loadSync('gateway/v1/gateway.proto', { includeDirs, longs: String, oneofs: true });
const { GatewayService } = grpc.loadPackageDefinition(definition).gateway.v1;
const client = new GatewayService(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set('who', 'alice');

const print = (what, value) => console.log(JSON.stringify([what, value]));

const unary = (method, request) =>
  new Promise((resolve, reject) => client[method](request, metadata, (err, answer) => (err ? reject(err) : resolve(answer))));

// Reads a stream to its end; stop decides at each message whether to cancel.
const stream = (method, request, stop = () => false) =>
  new Promise((resolve) => {
    const messages = [];
    const call = client[method](request, metadata);
    call.on('data', (m) => {
      messages.push(m);
      if (stop(m)) call.cancel();
    });
    call.on('error', (err) => resolve({ messages, code: err.code }));
    call.on('end', () => resolve({ messages, code: 0 }));
  });

const sum = await unary('CallTool', { name: 'demo.add', argumentsJson: JSON.stringify({ a: 1, b: 2 }) });
print('unary', JSON.parse(sum.resultJson).structuredContent);

const refused = await unary('CallTool', { name: 'demo.add', argumentsJson: '{"a":"x","b":2}' }).catch((err) => err);
print('refused', { code: refused.code, message: refused.details, details: refused.metadata.get('grpc-status-details-bin').length });

const { messages, code } = await stream('CallToolStream', { name: 'demo.steps' });
print('stream', { events: messages.map((m) => m.event), code });

const cancelled = await stream('WatchCapabilities', {}, () => true);
print('cancelled', { first: cancelled.messages[0], code: cancelled.code });
client.close();
