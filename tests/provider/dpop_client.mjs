// A client with a DPoP key: gets a bound token from the provider, and calls a protected service with it.
//
//   node dpop_client.mjs --issuer http://127.0.0.1:PORT --url http://127.0.0.1:PORT/orders
//
// It prints one line of JSON: the statuses and challenges of five requests, and how often it was asked for a nonce.

import { webcrypto } from 'node:crypto';
import { parseArgs } from 'node:util';

// Node 18 has these, and does not make them global.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
const oauth = await import('oauth4webapi');

const { values: options } = parseArgs({ options: { issuer: { type: 'string' }, url: { type: 'string' } } });
const insecure = { [oauth.allowInsecureRequests]: true };
const client = { client_id: 'service-post' };

const issuer = new URL(options.issuer);
const found = await oauth.discoveryRequest(issuer, insecure);
const server = await oauth.processDiscoveryResponse(issuer, found);

const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
const secret = oauth.ClientSecretPost('integration-test-secret-0123456789abcdef');
const wanted = { resource: 'https://api.example.com/orders?alg=ES256', scope: 'orders:read' };
const granted = await oauth.clientCredentialsGrantRequest(server, client, secret, wanted, { DPoP, ...insecure });
const { access_token: token, token_type: type } = await oauth.processClientCredentialsResponse(server, client, granted);

/** The request that the library sent last, for the thief. */
let sent;
let nonces = 0;

async function call() {
  const remember = (url, init) => {
    sent = { url, init };
    return fetch(url, init);
  };
  const request = () => oauth.protectedResourceRequest(token, 'GET', new URL(options.url), undefined, undefined, {
    DPoP,
    [oauth.customFetch]: remember,
    ...insecure,
  });
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    nonces += 1;
    return request();
  }
}

async function result(response) {
  return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.text() };
}

const first = await result(await call());
const again = await result(await call());
const replayed = await result(await fetch(sent.url, sent.init));
const stolen = await result(await fetch(options.url, { headers: { authorization: `DPoP ${token}` } }));
const asBearer = await result(await fetch(options.url, { headers: { authorization: `Bearer ${token}` } }));
console.log(JSON.stringify({ type, nonces, first, again, replayed, stolen, asBearer }));
