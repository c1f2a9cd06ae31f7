// A real OpenID provider for the integration tests, on 127.0.0.1 only.
//
//   node provider.mjs --port 0 [--watch-stdin]
//
// It prints one line, `READY http://127.0.0.1:PORT`, and that URL is the issuer.
//
// The resource indicator of a token request says what the token looks like:
//   https://api.example.com/orders?alg=ES256&ttl=2
// asks for a token signed with ES256 (default RS256), valid for 2 seconds
// (default 3600), whose `aud` is the resource without its query.
//
// The client `app` has no secret, and sends a user through the code flow with PKCE to
// http://127.0.0.1/callback, on any port. The user is `user-1`, who signs in and agrees
// to whatever is asked, by following redirects with cookies.
//
// Tests drive it over the same port:
//   POST /control/rotate[?overlap=1]       new signing keys; answers {alg: kid}
//   POST /control/fail?mode=ok|500|hang    how discovery and the key set answer
//   GET  /control/counts                   {"jwks": n, "discovery": n}

import { once } from 'node:events';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import Provider, { errors } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

// The library prints its notices with console.info, and stdout belongs to READY.
console.info = console.error;

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const SCOPE = 'orders:read orders:write health';
const USER = 'user-1';
const INTERACTION_PATH = '/interaction/';
const DEFAULT_TTL_SECONDS = 3600;
// The secret has no character that HTTP Basic would need form-encoded first.
const CLIENT_SECRET = 'integration-test-secret-0123456789abcdef';
const COUNTED_PATHS = { '/jwks': 'jwks', '/.well-known/openid-configuration': 'discovery' };
const FAIL_MODES = ['ok', '500', 'hang'];

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'watch-stdin': { type: 'boolean', default: false },
  },
});

/** Makes one private signing key for each algorithm. */
function generateKeys() {
  return Promise.all(ALGORITHMS.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { modulusLength: 2048, extractable: true });
    const jwk = await exportJWK(privateKey);
    // A thumbprint keeps the kids of two providers in one test run apart. RS256
    // and PS256 have a key each, so that `alg` can be on every published key.
    return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg, use: 'sig' };
  }));
}

/** Reads what a token should look like from the resource it is asked for. */
function resourceServer(_ctx, resource) {
  // The audience is cut from the text, because URL would add a slash to a bare origin.
  const [audience] = resource.split('?', 1);
  const query = new URL(resource).searchParams;
  const alg = query.get('alg') ?? 'RS256';
  const ttl = Number(query.get('ttl') ?? DEFAULT_TTL_SECONDS);
  if (!ALGORITHMS.includes(alg)) throw new errors.InvalidTarget('unknown alg in the resource');
  if (!Number.isInteger(ttl) || ttl < 1) throw new errors.InvalidTarget('bad ttl in the resource');
  return {
    audience,
    scope: SCOPE,
    accessTokenTTL: ttl,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg } },
  };
}

function ttl(_ctx, token) {
  return token.resourceServer?.accessTokenTTL ?? DEFAULT_TTL_SECONDS;
}

function client(id, authMethod) {
  return {
    client_id: id,
    client_secret: CLIENT_SECRET,
    token_endpoint_auth_method: authMethod,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
  };
}

/** The user signs in, and then agrees to all that the client asks for: no page, no click. */
async function interact(provider, request, response) {
  const { grantId, params, prompt } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: USER } });
  }
  // With an earlier grant the user adds to what was agreed to before.
  const earlier = grantId && await provider.Grant.find(grantId);
  const grant = earlier || new provider.Grant({ accountId: USER, clientId: params.client_id });
  grant.addOIDCScope(prompt.details.missingOIDCScope?.join(' ') ?? '');
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

/** Builds the request handler of a provider that signs with the first key of each algorithm. */
function providerCallback(issuer, keys) {
  const provider = new Provider(issuer, {
    clients: [
      client('service', 'client_secret_basic'),
      client('service-post', 'client_secret_post'),
      {
        client_id: 'app',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code'],
        redirect_uris: ['http://127.0.0.1/callback'],
        response_types: ['code'],
        scope: SCOPE,
      },
    ],
    jwks: { keys },
    // The library warns about its own adapter and lifetime unless both are named.
    adapter: (model) => new MemoryAdapter(model),
    ttl: {
      AccessToken: ttl,
      ClientCredentials: ttl,
      Grant: DEFAULT_TTL_SECONDS,
      Interaction: DEFAULT_TTL_SECONDS,
      Session: DEFAULT_TTL_SECONDS,
    },
    scopes: SCOPE.split(' '),
    cookies: { keys: ['only-the-test-user-has-cookies'] },
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    interactions: { url: (_ctx, { uid }) => `${INTERACTION_PATH}${uid}` },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      // A DPoP proof on the token request adds `cnf.jkt`; without one the token is a Bearer token.
      dPoP: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    },
  });
  provider.on('server_error', (_ctx, error) => console.error(error));
  const answer = provider.callback();
  return (request, response) => {
    if (!request.url.startsWith(INTERACTION_PATH)) {
      answer(request, response);
      return;
    }
    interact(provider, request, response).catch((error) => {
      console.error(error);
      response.writeHead(400).end();
    });
  };
}

let failMode = 'ok';
const counts = { jwks: 0, discovery: 0 };
let keys = await generateKeys();
let issuer;
let callback;

/** Answers a control request with a status and a JSON body. */
async function control(method, { pathname, searchParams }) {
  switch (`${method} ${pathname}`) {
    case 'POST /control/rotate': {
      const fresh = await generateKeys();
      // The library signs with the first fitting key, so the new keys lead. It reads its
      // keys only when constructed, hence the new instance under the same issuer.
      keys = searchParams.get('overlap') === '1' ? [...fresh, ...keys] : fresh;
      callback = providerCallback(issuer, keys);
      return [200, Object.fromEntries(fresh.map(({ alg, kid }) => [alg, kid]))];
    }
    case 'POST /control/fail':
      if (!FAIL_MODES.includes(searchParams.get('mode'))) return [400, { error: 'unknown mode' }];
      failMode = searchParams.get('mode');
      return [200, { mode: failMode }];
    case 'GET /control/counts':
      return [200, counts];
    default:
      return [404, { error: 'unknown control request' }];
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(`${issuer}${request.url}`);
  if (url.pathname.startsWith('/control/')) {
    const [status, body] = await control(request.method, url);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    return;
  }
  const counted = COUNTED_PATHS[url.pathname];
  if (counted) {
    // A fetch that is made to fail counts too, so that tests can see retries.
    counts[counted] += 1;
    if (failMode === 'hang') return;
    if (failMode === '500') {
      response.writeHead(500).end();
      return;
    }
  }
  callback(request, response);
});

function shutDown() {
  server.close(() => process.exit(0));
  // Idle keep-alive connections and hanging requests would hold the server open.
  server.closeAllConnections();
}

// The issuer contains the port, so the port must be taken before the provider is built.
server.listen(Number(options.port), '127.0.0.1');
await once(server, 'listening');
issuer = `http://127.0.0.1:${server.address().port}`;
callback = providerCallback(issuer, keys);

process.once('SIGTERM', shutDown);
process.once('SIGINT', shutDown);
if (options['watch-stdin']) {
  // The pipe closes however the parent ends, so a killed test run leaves no provider behind.
  process.stdin.once('close', shutDown).resume();
}
console.log(`READY ${issuer}`);
