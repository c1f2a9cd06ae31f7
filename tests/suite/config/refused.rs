//! What settings refuse: every problem of each, in its order.

use super::{forms, problems};

pub(super) const CASES: &[(&str, &[&str])] = &[
    (
        "realm = 5
         optional = 'true'
         allow_preflight = 1
         challenge_scopes = 'a'
         header = ['X-Access']
         cookie = true
         cookie_origins = 5
         danger_allow_cross_site = 'no'
         query = 1.5
         prefer_header = 'x'
         token_cache = 0
         issuer = 1
         provider = 2
         danger_any_issuer = 'x'
         aliases = [1, 'a', true]
         domain = 1
         server = 1
         region = 1
         pool = 1
         tenant = 1
         keycloak_realm = 1
         trust_domain = 1
         bundle_url = 1",
        &[
            "challenge_scopes: is a text, and must be a list of texts: `[\"…\"]`",
            "realm: is a number, and must be a text",
            "optional: must be `true` or `false`",
            "allow_preflight: must be `true` or `false`",
            "header: is a list, and must be a text",
            "cookie: is `true` or `false`, and must be a text",
            "cookie_origins: is a number, and must be a list of texts: `[\"…\"]`",
            "danger_allow_cross_site: must be `true` or `false`",
            "query: is a fraction, and must be a text",
            "prefer_header: must be `true` or `false`",
            "token_cache: must be a whole number from 1 to 10000000",
            "issuer: is a number, and must be a text",
            "provider: is a number, and must be a text",
            "domain: is a number, and must be a text",
            "server: is a number, and must be a text",
            "region: is a number, and must be a text",
            "pool: is a number, and must be a text",
            "tenant: is a number, and must be a text",
            "keycloak_realm: is a number, and must be a text",
            "trust_domain: is a number, and must be a text",
            "bundle_url: is a number, and must be a text",
            "danger_any_issuer: must be `true` or `false`",
            "provider: `issuer` says already who the issuer is: keep one of the two",
            "aliases[0]: is a number, and must be a text",
            "aliases[2]: is `true` or `false`, and must be a text",
            "audiences: missing: name the audience that this service is, as in the tokens' `aud`",
        ],
    ),
    (
        "issuer = 'https://login.example.com'
         audiences = 'orders'
         danger_any_audience = 1
         audience_claim = ''
         algorithms = ['none']
         types = []
         access_token_profile = 'yes'
         leeway = '6m'
         max_age = 60
         max_lifetime = '0s'
         danger_allow_no_expiry = 'true'
         require_claims = ['']
         require_claim_values = { tid = [], hd = 1 }
         shared = 0
         danger_any_subject = 'x'
         scope_claims = 'scope'
         revocation_claims = {}
         danger_binding_checked_upstream = 'x'
         jwks = 1
         algorithm = 'none'
         secret_encoding = 1
         danger_weak_secret = 1
         rsa_algorithm = 'ES256'",
        &[
            "jwks: is a number, and must be a text",
            "algorithm: \"none\" is no algorithm: use one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87",
            "secret_encoding: is a number, and must be a text",
            "danger_weak_secret: must be `true` or `false`",
            "algorithm: only with a secret or a PEM (which algorithms tokens may have is said by `algorithms`): name one, or leave it out",
            "secret_encoding: only with a secret: name one, or leave it out",
            "danger_weak_secret: only with a secret: name one, or leave it out",
            "rsa_algorithm: must be one of RS256, RS384, RS512, PS256, PS384, PS512",
            "algorithms[0]: \"none\" is no algorithm: use one of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, ML-DSA-44, ML-DSA-65, ML-DSA-87",
            "danger_any_audience: must be `true` or `false`",
            "audiences: is a text, and must be a list of texts: `[\"…\"]`",
            "audience_claim: is empty: leave the key out, or say what it is",
            "types: is empty: leave the key out, or name one",
            "access_token_profile: must be `true` or `false`",
            "types: `access_token_profile` says which pass: keep one of the two",
            "leeway: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: at most `5m`",
            "max_age: must have its unit: `\"60s\"` for seconds",
            "max_lifetime: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "danger_allow_no_expiry: must be `true` or `false`",
            "require_claims[0]: is empty: leave the key out, or say what it is",
            "require_claim_values.hd: is a number, and must be a list of texts: `[\"…\"]`",
            "require_claim_values.tid: is empty: leave the key out, or name one",
            "shared: must be `true` or `false`",
            "danger_any_subject: must be `true` or `false`",
            "scope_claims: is a text, and must be a list of texts: `[\"…\"]`",
            "revocation_claims: is a table, and must be a list of texts: `[\"…\"]`",
            "danger_binding_checked_upstream: must be `true` or `false`",
        ],
    ),
    (
        "issuer = 'https://login.example.com'
         audiences = ['orders']
         time_to_live = 600
         shortest_time_to_live = '10'
         longest_time_to_live = '367d'
         stale_for = '-1s'
         connect_timeout = '0s'
         fetch_timeout = '5'
         wait_timeout = true
         forced_refetches = 0
         forced_window = '0ms'
         remembered_kids = '5'
         waiting_requests = -1
         waiting_requests_without_keys = 1.5
         shortest_backoff = ''
         longest_backoff = '1w'
         longest_backoff_without_keys = '1.5h'
         longest_retry_after = '1h30m'
         discover_every = '6H'
         longest_answer = 9999999999
         most_keys = 0
         initial_jwks_file = '/nowhere/at/all'
         danger_allow_http = 'x'",
        &[
            "time_to_live: must have its unit: `\"600s\"` for seconds",
            "shortest_time_to_live: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "longest_time_to_live: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "stale_for: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: at most `366d`",
            "connect_timeout: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "fetch_timeout: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "wait_timeout: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "forced_window: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "shortest_backoff: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "longest_backoff: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "longest_backoff_without_keys: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: more than nothing and at most `366d`",
            "longest_retry_after: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: at most `366d`",
            "discover_every: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: at most `366d`",
            "forced_refetches: must be a whole number from 1 to 1073741824",
            "remembered_kids: must be a whole number from 1 to 1073741824",
            "waiting_requests: must be a whole number from 1 to 1073741824",
            "waiting_requests_without_keys: must be a whole number from 1 to 1073741824",
            "longest_answer: must be a whole number from 1 to 1073741824",
            "most_keys: must be a whole number from 1 to 1073741824",
            "initial_jwks_file: the file cannot be read (No such file or directory (os error 2)): name one; a relative path starts at the working directory",
            "danger_allow_http: must be `true` or `false`",
        ],
    ),
    (
        "[[issuers]]
         issuer = 'a'
         audiences = ['x']
         discovery_url = 'https://a.example'
         jwks_url = 'https://a.example'
         jwks_file = 'a'
         jwks = 'a'
         pem_file = 'a'
         pem = 'a'
         secret_file = 'a'
         secret = 'a'
         [[issuers]]
         issuer = 'http://a.example'
         audiences = ['x']
         [[issuers]]
         provider = 'auth0'
         domain = 'https://a.example/'
         discovery_url = 'https://a.example'
         audiences = ['x']
         [[issuers]]
         danger_any_issuer = true
         aliases = ['b']
         audiences = ['x']
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         discovery_url = 'ftp://a.example'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         jwks_url = 'a.example'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         jwks = '{}'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         algorithm = 'HS256'
         pem = 'x'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         algorithm = 'HS256'
         secret = 'short'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         secret_file = '/nowhere/at/all'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         jwks_file = '/nowhere/at/all'
         stale_for = '1h'
         danger_allow_http = true
         algorithm = 'HS256'
         secret_encoding = 'text'
         danger_weak_secret = true
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         pem_file = '/nowhere/at/all'
         rsa_algorithm = 'RS256'
         algorithm = 'RS256'
         [[issuers]]
         issuer = 'a'
         audiences = ['x']
         secret = '0123456789abcdef0123456789abcdef'
         algorithm = 'HS256'
         algorithms = ['HS512']
         secret_encoding = 'hex'",
        &[
            "issuers[0].jwks_url: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].jwks: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].jwks_file: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].pem: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].pem_file: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].secret: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[0].secret_file: `issuers[0].discovery_url` says already where the keys are: keep one of the two",
            "issuers[1].issuer: \"http://a.example\": keys come over https; http is for loopback, or by `danger_allow_http`",
            "issuers[2].domain: \"https://a.example/\" is no host: leave `https://` and paths out",
            "issuers[3].aliases: only with an `issuer`: leave it out",
            "issuers[3].danger_any_issuer: there is nothing to discover: say with `jwks_url`, `jwks_file`, `pem_file` or `secret_file` where the keys are",
            "issuers[4].discovery_url: \"ftp://a.example\": keys come over https and nothing else",
            "issuers[5].jwks_url: \"a.example\" is not a URL (relative URL without a base): write `https://a.example`",
            "issuers[6].jwks: a JWK set has an array named `keys`",
            "issuers[7].pem: not a PEM: expected one block that starts with -----BEGIN PUBLIC KEY-----",
            "issuers[8].secret: a secret for HS256 needs at least 32 bytes (RFC 7518 section 3.2), this one has 5: make one with `openssl rand -base64 32`, which `secret_encoding` reads, or see `danger_weak_secret`",
            "issuers[9].algorithm: missing: a secret or a PEM does not say for which it is, as in `HS256` or `RS256`",
            "issuers[9].secret_file: the file cannot be read (No such file or directory (os error 2)): name one; a relative path starts at the working directory",
            "issuers[10].algorithm: only with a secret or a PEM (which algorithms tokens may have is said by `algorithms`): name one, or leave it out",
            "issuers[10].secret_encoding: only with a secret: name one, or leave it out",
            "issuers[10].danger_weak_secret: only with a secret: name one, or leave it out",
            "issuers[10].stale_for: only for keys that are fetched: leave it out",
            "issuers[10].danger_allow_http: only for keys that are fetched: leave it out",
            "issuers[10].jwks_file: the file cannot be read (No such file or directory (os error 2)): name one; a relative path starts at the working directory",
            "issuers[11].rsa_algorithm: only with JWK sets, whose keys may lack `alg`: name one, or leave it out",
            "issuers[11].pem_file: the file cannot be read (No such file or directory (os error 2)): name one; a relative path starts at the working directory",
            "issuers[12].secret_encoding: must be `text` or `base64`",
            "issuers[12].algorithms: the key is for HS256, which the list lacks: leave it out",
        ],
    ),
    (
        "[[issuers]]
         provider = 'auth0'
         issuer = 'a'
         danger_any_issuer = true
         audiences = ['x']
         [[issuers]]
         provider = 'okta'
         region = 'r'
         audiences = ['x']
         [[issuers]]
         provider = 'nobody'
         domain = 'x'
         audiences = ['x']
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         domain = 'x'
         keycloak_realm = 'x'
         [[issuers]]
         provider = 'entra'
         tenant = 'common'
         audiences = ['x']
         [[issuers]]
         provider = 'google'
         audiences = ['x']
         [[issuers]]
         provider = 'cognito_id'
         region = 'eu'
         pool = 'a/b'
         audiences = ['x']
         [[issuers]]
         provider = 'spiffe'
         trust_domain = 'https://a'
         bundle_url = 'https://a.example'
         audiences = ['x']
         rsa_algorithm = 'RS256'
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         danger_any_audience = true
         types = ['at+jwt']
         access_token_profile = true
         algorithms = ['HS256']
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         shared = true
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         revocation_claims = ['sub']
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         shortest_time_to_live = '2h'",
        &[
            "issuers[0].domain: missing: this provider needs it",
            "issuers[0].provider: `issuer` says already who the issuer is: keep one of the two",
            "issuers[0].danger_any_issuer: `issuer` says already who the issuer is: keep one of the two",
            "issuers[0].issuer: \"a\" is not a URL (relative URL without a base): write it like `https://login.example.com`",
            "issuers[1].domain: missing: this provider needs it",
            "issuers[1].server: missing: this provider needs it",
            "issuers[1].region: this provider has no use for it: leave it out",
            "issuers[2].provider: there is no such provider: one of auth0, okta, okta_org, cognito_access, cognito_id, entra, entra_multi_tenant, entra_v1, keycloak, google, github_actions, gitlab, spiffe, cloudflare_access; any other is an `issuer`",
            "issuers[3].domain: only with a `provider`: leave it out",
            "issuers[3].keycloak_realm: only with a `provider`: leave it out",
            "issuers[4].tenant: \"common\" is no tenant: give its id, a GUID",
            "issuers[5]: issuer \"https://accounts.google.com\": strangers can get tokens for any audience from this issuer: say who may come with `require_claim_values` on `hd`, `sub`, or take everybody with `danger_any_subject`",
            "issuers[6].region: \"a/b\" is no part of a path",
            "issuers[7].trust_domain: \"https://a\" is no trust domain: write it like `example.org`",
            "issuers[8].audiences: `danger_any_audience` takes tokens for any: keep one of the two",
            "issuers[8].types: `access_token_profile` says which pass: keep one of the two",
            "issuers[9]: issuer \"https://a.example\": strangers can get tokens for any audience from this issuer: say who may come with `require_claim_values`, or take everybody with `danger_any_subject`",
            "issuers[10]: issuer \"https://a.example\": \"sub\" does not name a token: name a claim like `jti`",
            "issuers[11].issuer: the bounds of the time to live are the wrong way round",
        ],
    ),
    (
        "cookie_origins = ['https://a.example']
         danger_allow_cross_site = true
         prefer_header = true
         challenge_scopes = ['a b']
         header = 'Cookie'
         reelm = 'shop'
         audiences = ['x']
         [[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         isuer = 'https://a.example'
         realm = 'shop'
         log_level = 'debug'",
        &[
            "challenge_scopes: has one that is no scope: leave spaces, quotes and backslashes out",
            "header: for `Cookie`, see `Cookie`",
            "cookie_origins: only with a `cookie`: leave it out",
            "danger_allow_cross_site: only with a `cookie`: leave it out",
            "issuers[0].isuer: there is no such key; did you mean `issuer`?",
            "issuers[0].log_level: there is no such key",
            "issuers[0].realm: is not of one issuer: set it at the top",
            "audiences: is of one issuer: set it in the list of `issuers`",
            "reelm: there is no such key; did you mean `realm`?",
        ],
    ),
    (
        "cookie = 'a=b'
         issuer = 'https://a.example'
         audiences = ['x']
         port = 3000",
        &["cookie: is no name of a cookie", "port: there is no such key"],
    ),
    (
        "cookie = 'a'
         cookie_origins = ['https://a.example/path', 'b']
         prefer_header = true
         issuers = []",
        &[
            "cookie_origins: \"https://a.example/path\" is no origin: write it like `https://shop.example.com`",
            "cookie_origins: \"b\" is no origin: write it like `https://shop.example.com`",
            "issuers: is empty: name one, or leave it out",
        ],
    ),
    ("issuers = { issuer = 'https://a.example' }", &["issuers: is a table, and must be a list of tables"]),
    ("issuers = ['https://a.example']", &["issuers[0]: is a text, and must be a table"]),
    (
        "[[issuers]]
         issuer = 'https://a.example'
         audiences = ['x']
         [[issuers]]
         issuer = 'https://b.example'
         aliases = ['https://a.example']
         audiences = ['x']",
        &["issuers: the issuer \"https://a.example\" is trusted twice: give it one key set with all its keys"],
    ),
    (
        "issuer = 'https://a.example'\naudiences = ['a']\nrequire_claim_values = {}",
        &["require_claim_values: is empty: leave the key out, or name a claim"],
    ),
    (
        "",
        &[
            "issuer: missing: name the issuer as in the tokens' `iss`, or a `provider`",
            "audiences: missing: name the audience that this service is, as in the tokens' `aud`",
        ],
    ),
];

#[test]
fn everything_that_is_wrong_is_said_with_its_key_in_every_format() {
    for (text, expected) in CASES {
        for (form, settings) in forms(text).into_iter().filter(|(form, _)| *form != "variables") {
            assert_eq!(problems(settings), *expected, "{form} {text}");
        }
    }
}

#[test]
fn a_key_that_is_given_twice_is_refused_where_the_format_lets_it_through() {
    let settings = serde_json::from_str(r#"{"issuer": "a", "audiences": ["x"], "jwks": "", "issuer": "b"}"#);
    let expected = ["issuer: given twice: keep one", "jwks: is empty: leave the key out, or say what it is"];
    assert_eq!(problems(settings.expect("JSON")), expected);
}
