//! What settings accept, seen in the answers of the layer.

use std::collections::BTreeMap;
use std::slice;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use http::Request;
use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::config::Settings;
use tower_jwt_auth::issue::{SigningKey, TokenIssuer};
use tower_jwt_auth::revocation::RevocationList;
use tower_jwt_auth::testing::{Authority, TokenBuilder};
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind};

use super::{AUTHORITY, ask, bearer, file, forms, verdict};

const BASE: &str = "issuer = 'https://login.example.com'\naudiences = ['orders']\njwks = 'JWKS'\n";

/// Of a token that is good by `BASE`, made into another; nothing where it passes.
type Case = (fn(TokenBuilder<'_>) -> TokenBuilder<'_>, Option<Kind>);

/// Settings beside `BASE`, or the whole of them where they start with `#`, and what they say of tokens.
const RULES: &[(&str, &[Case])] = &[
    (
        "",
        &[
            (|token| token, None),
            (|token| token.claim("iss", "https://old.example.com"), Some(Kind::InvalidIssuer)),
            (|token| token.claim("aud", "invoices"), Some(Kind::InvalidAudience)),
            (|token| token.expires_in(-10), None),
            (|token| token.expires_in(-31), Some(Kind::Expired)),
            (|token| token.without("exp"), Some(Kind::MissingTime)),
            (|token| token.claim("cnf", json!({ "jkt": "x" })), Some(Kind::BindingNotChecked)),
            (|token| token.claim("iat", 1), None),
        ],
    ),
    ("aliases = ['https://old.example.com']", &[(|token| token.claim("iss", "https://old.example.com"), None)]),
    (
        "algorithms = ['ES256', 'ES384']\nrsa_algorithm = 'PS256'",
        &[(|token| token, None), (|token| token.header("alg", "RS256"), Some(Kind::AlgorithmNotAllowed))],
    ),
    (
        "# \nissuer = 'https://login.example.com'\njwks = 'JWKS'\ndanger_any_audience = true",
        &[(|token| token.claim("aud", "invoices"), None)],
    ),
    (
        "# \ndanger_any_issuer = true\naudiences = ['orders']\njwks = 'JWKS'",
        &[(|token| token.claim("iss", "https://old.example.com"), None)],
    ),
    (
        "audience_claim = 'client_id'",
        &[
            (|token| token.without("aud").claim("client_id", "orders"), None),
            (|token| token, Some(Kind::InvalidAudience)),
        ],
    ),
    ("types = ['at+jwt']", &[(|token| token.header("typ", "at+jwt"), None), (|token| token, Some(Kind::WrongType))]),
    (
        "access_token_profile = true",
        &[
            (|token| token.header("typ", "at+jwt").claim("client_id", "c").claim("jti", "1"), None),
            (|token| token.header("typ", "at+jwt"), Some(Kind::MissingClaim)),
            (|token| token, Some(Kind::WrongType)),
        ],
    ),
    ("leeway = '5s'", &[(|token| token.expires_in(-1), None), (|token| token.expires_in(-10), Some(Kind::Expired))]),
    ("max_age = '1h'", &[(|token| token, None), (|token| token.claim("iat", 1), Some(Kind::TooOld))]),
    ("max_lifetime = '300s'", &[(|token| token, None), (|token| token.expires_in(301), Some(Kind::LivesTooLong))]),
    ("danger_allow_no_expiry = true", &[(|token| token.without("exp"), None)]),
    (
        "require_claims = ['email', 'name']",
        &[
            (|token| token.claim("email", "x").claim("name", 1), None),
            (|token| token.claim("email", "x"), Some(Kind::MissingClaim)),
        ],
    ),
    (
        "shared = true\nrequire_claim_values = { tid = ['a', 'b'], kind = 'c' }",
        &[
            (|token| token.claim("tid", "b").claim("kind", "c"), None),
            (|token| token.claim("tid", "c").claim("kind", "c"), Some(Kind::ClaimRefused)),
            (|token| token.claim("tid", "a"), Some(Kind::ClaimRefused)),
        ],
    ),
    ("shared = true\ndanger_any_subject = true", &[(|token| token, None)]),
    ("danger_binding_checked_upstream = true", &[(|token| token.claim("cnf", json!({ "jkt": "x" })), None)]),
    (
        "# \n[[issuers]]\nissuer = 'https://old.example.com'\naudiences = ['invoices']\njwks = 'JWKS'\n\
         [[issuers]]\nissuer = 'https://login.example.com'\naudiences = ['orders']\njwks_file = 'JWKS_FILE'",
        &[
            (|token| token, None),
            (|token| token.claim("iss", "https://old.example.com").claim("aud", "invoices"), None),
            (|token| token.claim("iss", "https://old.example.com"), Some(Kind::InvalidAudience)),
        ],
    ),
];

/// Settings that are looked at by the other tests of this module, or whose effect is another's to test.
const OTHERS: &[&str] = &[
    "realm = 'shop'\noptional = true\nallow_preflight = true\nchallenge_scopes = ['orders:read', 'b']\ntoken_cache = 1000",
    "header = 'X-Access'\ncookie = '__Host-access'\ncookie_origins = ['https://shop.example.com']\nquery = 'token'",
    "cookie = '__Host-access'\ndanger_allow_cross_site = true\nprefer_header = true",
    "scope_claims = ['permissions']\nrevocation_claims = ['jti', 'sid']",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']\njwks_url = 'ISSUER/jwks'",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']\ndiscovery_url = 'ISSUER/elsewhere'",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']\njwks_file = 'JWKS_FILE'",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']\njwks_url = 'http://127.0.0.1:9/'\ninitial_jwks_file = 'JWKS_FILE'",
    "# \nissuer = 'ISSUER'\naudiences = ['orders']\njwks_url = 'http://10.0.0.1/'\ndanger_allow_http = true\n\
     time_to_live = '2m'\nshortest_time_to_live = '30s'\nlongest_time_to_live = '2h'\nstale_for = '0s'\n\
     connect_timeout = '100ms'\nfetch_timeout = '100ms'\nwait_timeout = '100ms'\nforced_refetches = 1\n\
     forced_window = '1m'\nremembered_kids = 1\nwaiting_requests = 1\nwaiting_requests_without_keys = 1\n\
     shortest_backoff = '1s'\nlongest_backoff = '2s'\nlongest_backoff_without_keys = '2s'\n\
     longest_retry_after = '10s'\ndiscover_every = '1d'\nlongest_answer = 1000\nmost_keys = 1",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'HS256'\nsecret = 'SECRET'",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'HS256'\nsecret = 'BASE64'\nsecret_encoding = 'base64'",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'HS256'\nsecret_file = 'SECRET_FILE'\nsecret_encoding = 'text'",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'HS256'\nsecret_file = 'BASE64_FILE'\nsecret_encoding = 'base64'",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'HS256'\nsecret = 'weak'\ndanger_weak_secret = true",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'ES256'\npem = 'PEM'",
    "# \nissuer = 'i'\naudiences = ['orders']\nalgorithm = 'ES256'\npem_file = 'PEM_FILE'\nalgorithms = ['ES256']",
    "# \nprovider = 'auth0'\ndomain = 'tenant.eu.auth0.com'\naudiences = ['orders']",
    "# \nprovider = 'okta'\ndomain = 'a.okta.com'\nserver = 'default'\naudiences = ['orders']",
    "# \nprovider = 'okta_org'\ndomain = 'a.okta.com'\naudiences = ['orders']",
    "# \nprovider = 'cognito_access'\nregion = 'eu-west-1'\npool = 'eu-west-1_a'\naudiences = ['orders']",
    "# \nprovider = 'cognito_id'\nregion = 'eu-west-1'\npool = 'eu-west-1_a'\naudiences = ['orders']",
    "# \nprovider = 'entra'\ntenant = '9122040d-6c67-4c5b-b112-36a304b66dad'\naudiences = ['orders']",
    "# \nprovider = 'entra_v1'\ntenant = '9122040d-6c67-4c5b-b112-36a304b66dad'\naudiences = ['orders']",
    "# \nprovider = 'entra_multi_tenant'\nrequire_claim_values = { tid = 'x' }\naudiences = ['orders']",
    "# \nprovider = 'keycloak'\nserver = 'https://id.example.com'\nkeycloak_realm = 'shop'\naudiences = ['orders']",
    "# \nprovider = 'google'\nrequire_claim_values = { hd = 'example.com' }\naudiences = ['orders']",
    "# \nprovider = 'github_actions'\nrequire_claim_values = { repository = 'a/b' }\naudiences = ['orders']",
    "# \nprovider = 'gitlab'\ndomain = 'gitlab.com'\ndanger_any_subject = true\naudiences = ['orders']",
    "# \nprovider = 'cloudflare_access'\ndomain = 'team.cloudflareaccess.com'\naudiences = ['orders']",
    "# \nprovider = 'spiffe'\ntrust_domain = 'example.org'\nbundle_url = 'https://a.example/b'\naudiences = ['orders']",
    "# \nprovider = 'spiffe'\ntrust_domain = 'example.org'\nbundle_url = 'https://a.example/b'\njwks_file = 'BUNDLE_FILE'\n\
     audiences = ['orders']",
];

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The settings with everything that stands for something else filled in, but `ISSUER`.
fn filled(text: &str) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(SECRET);
    let jwks = AUTHORITY.jwks();
    let bundle = jwks.replace(r#""use":"sig""#, r#""use":"jwt-svid""#);
    let pem = PEM.0.trim().replace('\n', "\\n");
    let path = |name, content: &str| file(name, content).display().to_string();
    let text = if text.starts_with('#') { text.to_owned() } else { format!("{BASE}{text}") };
    text.replace("'PEM'", &format!("\"{pem}\""))
        .replace("JWKS_FILE", &path("jwks.json", &jwks))
        .replace("BUNDLE_FILE", &path("bundle.json", &bundle))
        .replace("PEM_FILE", &path("key.pem", &PEM.0))
        .replace("BASE64_FILE", &path("base64", &format!("{base64}\n")))
        .replace("SECRET_FILE", &path("secret", &format!("{SECRET}\r\n")))
        .replace("'JWKS'", &format!("'{jwks}'"))
        .replace("BASE64", &base64)
        .replace("SECRET", SECRET)
}

/// A public key and a key that signs for it.
static PEM: std::sync::LazyLock<(String, String)> = std::sync::LazyLock::new(|| {
    let key = rcgen::KeyPair::generate().expect("P-256");
    let pem = |label: &str, der: &[u8]| {
        let base64 = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    };
    (pem("PUBLIC KEY", &key.subject_public_key_info()), pem("PRIVATE KEY", &key.serialize_der()))
});

pub(super) fn texts() -> impl Iterator<Item = String> {
    RULES.iter().map(|(text, _)| *text).chain(OTHERS.iter().copied()).map(filled)
}

#[tokio::test]
async fn settings_build_in_every_form_and_say_the_same_of_tokens() {
    for (text, cases) in RULES {
        for (form, settings) in forms(&filled(text)) {
            let config = settings.build().unwrap_or_else(|errors| panic!("{form} {text}:\n{errors}"));
            for (at, (change, expected)) in cases.iter().enumerate() {
                let token = change(AUTHORITY.token()).sign();
                assert_eq!(verdict(&config, &token).await, *expected, "{form} {text}, token {at}");
            }
        }
    }
    for text in OTHERS {
        for (form, settings) in forms(&filled(text).replace("ISSUER", "https://login.example.com")) {
            let built = settings.build();
            assert!(built.is_ok(), "{form} {text}:\n{}", built.expect_err("refused"));
        }
    }
}

#[tokio::test]
async fn secrets_and_pems_verify_from_texts_and_files() {
    let issuer = |key: SigningKey| TokenIssuer::builder("i", key).audience("orders").build().expect("valid");
    let token = |key| issuer(key).token().subject("u").client("c").sign().expect("signs").into_string();
    let of_secret = token(SigningKey::secret(Algorithm::HS256, SECRET).expect("long enough"));
    let of_pem = token(SigningKey::from_pem(Algorithm::ES256, &PEM.1).expect("P-256"));
    let mut seen = 0;
    for text in OTHERS.iter().filter(|text| text.contains("issuer = 'i'") && !text.contains("weak")) {
        let (good, bad) = if text.contains("pem") { (&of_pem, &of_secret) } else { (&of_secret, &of_pem) };
        for (form, settings) in forms(&filled(text)) {
            let config = settings.build().unwrap_or_else(|errors| panic!("{form} {text}:\n{errors}"));
            assert_eq!(verdict(&config, good).await, None, "{form} {text}");
            assert_eq!(verdict(&config, bad).await, Some(Kind::AlgorithmNotAllowed), "{form} {text}");
            assert_eq!(config.key_files().len(), usize::from(text.contains("_file")), "{form} {text}");
            seen += 1;
        }
    }
    assert_eq!(seen, 6 * 4);
}

/// A provider whose metadata stands in two places.
async fn provider() -> Authority {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("just bound"));
    let authority = Authority::new(Algorithm::ES256).named(&url).for_audience("orders");
    let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") }).to_string();
    let (again, jwks) = (metadata.clone(), authority.jwks());
    let app = Router::new()
        .route("/.well-known/openid-configuration", get(|| async { metadata }))
        .route("/elsewhere", get(|| async { again }))
        .route("/jwks", get(|| async { jwks }));
    tokio::spawn(async { axum::serve(listener, app).await });
    authority
}

#[tokio::test]
async fn keys_are_fetched_from_where_the_settings_say_and_their_state_is_at_hand() {
    let authority = provider().await;
    let path = file("provider.json", authority.jwks()).display().to_string();
    for text in OTHERS.iter().filter(|text| text.contains("ISSUER") && !text.contains("10.0.0.1")) {
        let toml = text.replace("JWKS_FILE", &path).replace("ISSUER", authority.name());
        let settings: Settings = toml::from_str(&toml).expect("TOML");
        let config = settings.build().unwrap_or_else(|errors| panic!("{text}:\n{errors}"));
        assert_eq!(verdict(&config, &authority.token().sign()).await, None, "{text}");
        let is_remote = !text.contains("\njwks_file");
        assert_eq!((config.remote_keys().len(), config.key_files().len()), (is_remote.into(), (!is_remote).into()));
        // A second layer shares the keys.
        assert_eq!(verdict(&config, &authority.token().tampered().sign()).await, Some(Kind::InvalidSignature));
        for keys in config.remote_keys() {
            assert!(keys.is_ready() && keys.status().keys == 1, "{text}: {:?}", keys.status());
            assert!(text.contains("initial") || keys.status().fetches == 1, "{text}: {:?}", keys.status());
        }
    }
}

#[tokio::test]
async fn a_provider_that_hangs_costs_the_time_that_is_set() {
    // It accepts by its backlog, and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}/", listener.local_addr().expect("just bound"));
    let variables = [("A_ISSUER", "i"), ("A_AUDIENCES", "orders"), ("A_JWKS_URL", &*url), ("A_WAIT_TIMEOUT", "100ms")];
    let config = Settings::default().with_variables("A_", variables).build().expect("valid");
    let start = Instant::now();
    let token = AUTHORITY.token().claim("iss", "i").sign();
    assert_eq!(verdict(&config, &token).await, Some(Kind::KeysUnavailable));
    assert!((Duration::from_millis(90)..Duration::from_secs(4)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_layer_is_as_the_settings_say() {
    let config = |text: &str| toml::from_str::<Settings>(&filled(text)).expect("TOML").build().expect("valid");
    let token = AUTHORITY.token().sign();
    let request = |headers: &[(&str, String)], method: &str, uri: &str| {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(()).expect("a request")
    };

    let none = || request(&[], "GET", "/");
    let (kind, answer) = ask(&config("realm = 'shop'\nchallenge_scopes = ['a', 'b']"), none()).await;
    assert_eq!(kind, Some(Kind::MissingToken));
    assert_eq!(answer.headers()["www-authenticate"], r#"Bearer realm="shop", scope="a b""#);
    assert_eq!(ask(&config("optional = true"), none()).await.0, None);
    assert_eq!(ask(&config("optional = true"), bearer("x")).await.0, Some(Kind::MalformedToken));
    let origin = |name| (name, "https://shop.example.com".to_owned());
    let preflight =
        || request(&[origin("origin"), ("access-control-request-method", "GET".to_owned())], "OPTIONS", "/");
    assert_eq!(ask(&config("allow_preflight = true"), preflight()).await.0, None);
    assert_eq!(ask(&config(""), preflight()).await.0, Some(Kind::MissingToken));

    let cookie = ("cookie", format!("__Host-access={token}"));
    let header = ("x-access", token.clone());
    let all =
        "header = 'X-Access'\ncookie = '__Host-access'\ncookie_origins = ['https://shop.example.com']\nquery = 'token'";
    let by_query = request(&[], "GET", &format!("/?token={token}"));
    let by_cookie =
        |method, more: &[(&'static str, String)]| request(&[slice::from_ref(&cookie), more].concat(), method, "/");
    let both = || request(&[cookie.clone(), header.clone()], "GET", "/");
    let cases = [
        (all, bearer(&token), None),
        (all, request(slice::from_ref(&header), "POST", "/"), None),
        (all, by_query, None),
        (all, by_cookie("GET", &[]), None),
        (all, by_cookie("POST", &[]), Some(Kind::CrossSite)),
        (all, by_cookie("POST", &[origin("origin")]), None),
        (all, both(), Some(Kind::SeveralCredentials)),
        (&*format!("{all}\nprefer_header = true"), both(), None),
        ("cookie = '__Host-access'\ndanger_allow_cross_site = true", by_cookie("POST", &[]), None),
        ("cookie = '__Host-access'", request(slice::from_ref(&header), "GET", "/"), Some(Kind::MissingToken)),
        ("", by_cookie("GET", &[]), Some(Kind::MissingToken)),
    ];
    for (at, (text, request, expected)) in cases.into_iter().enumerate() {
        assert_eq!(ask(&config(text), request).await.0, expected, "{at} {text}");
    }
}

#[tokio::test]
async fn scopes_revocation_and_memory_are_as_the_settings_say() {
    let text = "scope_claims = ['permissions']\nrevocation_claims = ['sid']\ntoken_cache = 10";
    let config = toml::from_str::<Settings>(&filled(text)).expect("TOML").build().expect("valid");
    let list = RevocationList::new();
    let verifier = config.verifier_builder::<Value>().revocation(list.clone()).build().expect("valid");
    let token = AUTHORITY.token().claim("permissions", "a").claim("scope", "b").claim("sid", "s").sign();
    let jwt = verifier.verify(&token).await.expect("good");
    assert_eq!(jwt.scopes().collect::<Vec<_>>(), ["a"]);
    list.revoke(AUTHORITY.name(), "s", UnixTime::from_secs(4_102_444_800)).expect("there is room");
    assert_eq!(verifier.verify(&token).await.map_err(|error| error.kind()).err(), Some(Kind::Revoked));
    assert!(config.verifier::<Value>().expect("judged").verify(&token).await.is_ok(), "without the list");
    let layer = config.layer_with(verifier);
    assert!(layer.is_ok());
}

#[test]
fn toml_yaml_and_json_are_read_alike() {
    let toml = r#"
        realm = "shop"
        challenge_scopes = ["a", "b"]
        optional = false
        token_cache = 100

        [[issuers]]
        provider = "google"
        audiences = ["orders"]
        leeway = "10s"
        [issuers.require_claim_values]
        hd = ["example.com"]
    "#;
    let yaml = "
realm: shop
challenge_scopes: [a, b]
optional: false
token_cache: 100
issuers:
  - provider: google
    audiences:
      - orders
    leeway: 10s
    require_claim_values:
      hd: [example.com]
";
    let json = r#"{
        "realm": "shop", "challenge_scopes": ["a", "b"], "optional": false, "token_cache": 100,
        "issuers": [{ "provider": "google", "audiences": ["orders"], "leeway": "10s",
                      "require_claim_values": { "hd": ["example.com"] } }]
    }"#;
    let read: BTreeMap<_, Settings> = BTreeMap::from([
        ("TOML", toml::from_str(toml).expect("TOML")),
        ("YAML", serde_saphyr::from_str(yaml).expect("YAML")),
        ("JSON", serde_json::from_str(json).expect("JSON")),
    ]);
    for (form, settings) in read {
        let config = settings.build().unwrap_or_else(|errors| panic!("{form}: {errors}"));
        let debug = format!("{config:?}");
        assert!(debug.contains("https://accounts.google.com") && debug.contains("orders"), "{debug}");
    }
}
