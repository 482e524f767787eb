// An identity provider for tests, on loopback: oidc-provider with a login page that believes everybody.
// It prints its issuer URL once it serves. POST /_test/rotate makes new keys and forgets the old ones.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';

const GATEWAY = 'https://gateway.example.test';
const SCOPES = 'mcp:tools.list mcp:tools.call';
const USERS = { alice: { groups: ['eng'], tenant: 'acme' } };
const SERVICES = { svc: { groups: ['bots'], tenant: 'acme' } };

async function makeKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, alg, use: 'sig', kid: await calculateJwkThumbprint(jwk) };
}
const makeKeys = () => Promise.all(['RS256', 'PS256', 'ES256', 'Ed25519'].map(makeKey));

// What the path of a resource says about its tokens: the algorithm, or that they are opaque or as Dex makes them.
function resourceServer(resource) {
  const kind = new URL(resource).pathname.slice(1);
  const server = { scope: SCOPES, audience: resource, accessTokenTTL: 300, accessTokenFormat: 'jwt' };
  if (kind === 'short') return { ...server, accessTokenTTL: 20 };
  if (kind === 'opaque') return { ...server, accessTokenFormat: 'opaque' };
  return { ...server, jwt: { sign: { alg: ['RS256', 'PS256', 'ES256', 'Ed25519'].includes(kind) ? kind : 'RS256' } } };
}

// Dex knows no resources, no scope and no client_id claim, and does not say that a token is an access token.
function likeDex(_ctx, token, jwt) {
  if (!token.aud?.endsWith?.('/dex')) return;
  jwt.header = { ...jwt.header, typ: undefined };
  jwt.payload.aud = token.clientId;
  delete jwt.payload.scope;
  delete jwt.payload.client_id;
  delete jwt.payload.groups;
}

const configuration = (keys) => ({
  jwks: { keys },
  cookies: { keys: ['for tests only'] },
  clients: [
    { client_id: 'svc', client_secret: 'svc-secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    { client_id: 'gateway', client_secret: 'gateway-secret', grant_types: [], redirect_uris: [], response_types: [] },
    {
      client_id: 'browser', token_endpoint_auth_method: 'none', grant_types: ['authorization_code'], response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'], application_type: 'native',
    },
    {
      client_id: 'console', token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/auth/callback'], application_type: 'native',
    },
  ],
  scopes: ['openid'],
  issueRefreshToken: async (_ctx, client) => client.clientId === 'console',
  pkce: { required: () => true },
  findAccount: async (_ctx, id) => USERS[id] && { accountId: id, claims: async () => ({ sub: id }) },
  extraTokenClaims: async (_ctx, token) => (token.kind === 'ClientCredentials' ? SERVICES[token.clientId] : USERS[token.accountId]),
  formats: { customizers: { jwt: likeDex } },
  features: {
    devInteractions: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: () => true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => `${GATEWAY}/mcp`,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => {
        if (!resource.startsWith(`${GATEWAY}/`) && resource !== 'https://elsewhere.example.test/') throw new Error('unknown resource');
        return resourceServer(resource);
      },
    },
  },
});

let handler;
const server = createServer(async (req, res) => {
  if (req.method === 'POST' && req.url === '/_test/rotate') {
    await build();
    res.end();
    return;
  }
  handler(req, res);
});
async function build() {
  const provider = new Provider(`http://127.0.0.1:${server.address().port}`, configuration(await makeKeys()));
  provider.on('server_error', (_ctx, err) => console.error(err));
  handler = provider.callback();
}
server.listen(0, '127.0.0.1', async () => {
  await build();
  console.log(`http://127.0.0.1:${server.address().port}`);
});
