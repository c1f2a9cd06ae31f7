//! Presets of providers, on tokens in the shape that each documents, and on the nearest wrong ones.

use serde_json::{Value, json};
use tower_jwt_auth::providers::{self, Provider};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::verify::Check;
use tower_jwt_auth::{Algorithm, AuthErrorKind, ConfigError, Issuer, Jwt, KeySet, TokenCache, Verifier};

use crate::support::verdict;

const TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";
const OTHER_TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const STRANGE_TENANT: &str = "00000000-0000-4000-8000-000000000001";
const STRANGE_ISSUER: &str = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000001/v2.0";

/// One provider: its preset with the settings of a service, a documented token, and what is near it.
struct Case {
    provider: Provider,
    settings: fn(Issuer) -> Issuer,
    /// `kid` and `typ` of its tokens, and their claims beside the times.
    header: Value,
    claims: Value,
    /// Changes to the claims, `null` for one that is left out, and the refusal.
    wrong: Vec<(Value, AuthErrorKind)>,
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    use AuthErrorKind::{ClaimRefused, InvalidAudience, InvalidIssuer, MissingClaim};
    let valid = |provider: Result<Provider, ConfigError>| provider.expect("valid");
    vec![
        Case {
            provider: valid(providers::auth0("tenant.eu.auth0.com")),
            settings: |issuer| issuer.audience("https://api.example.com").scope_claims(["scope", "permissions"]),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|123456", "azp": "my_client_id", "gty": "password",
                "aud": ["https://api.example.com", "https://tenant.eu.auth0.com/userinfo"],
                "scope": "openid profile", "permissions": ["read:orders"],
            }),
            wrong: vec![
                (json!({"iss": "https://tenant.eu.auth0.com"}), InvalidIssuer),
                (json!({"iss": "https://other.eu.auth0.com/"}), InvalidIssuer),
                (json!({"aud": "my_client_id"}), InvalidAudience),
            ],
        },
        Case {
            provider: valid(providers::auth0("tenant.eu.auth0.com")),
            settings: |issuer| issuer.audience("https://api.example.com").access_token_profile(),
            header: json!({"typ": "at+jwt"}),
            claims: json!({
                "iss": "https://tenant.eu.auth0.com/", "sub": "auth0|123456", "client_id": "my_client_id", "jti": "x",
                "aud": "https://api.example.com", "scope": "openid profile",
            }),
            wrong: vec![(json!({"client_id": null}), MissingClaim), (json!({"jti": null}), MissingClaim)],
        },
        Case {
            provider: valid(providers::okta("dev-1.okta.com", "default")),
            settings: |issuer| issuer.audience("api://default"),
            header: json!({"typ": null}),
            claims: json!({
                "ver": 1, "jti": "AT.0mP4", "iss": "https://dev-1.okta.com/oauth2/default", "aud": "api://default",
                "cid": "nmdP1fcyvdVO11AL7ECm", "uid": "00ujmdobSnj0ZMdPn0g3", "scp": ["openid", "orders"], "sub": "a@b",
            }),
            wrong: vec![
                (json!({"iss": "https://dev-1.okta.com"}), InvalidIssuer),
                (json!({"aud": "https://dev-1.okta.com"}), InvalidAudience),
            ],
        },
        Case {
            provider: valid(providers::okta_org("dev-1.okta.com")),
            settings: |issuer| issuer.audience("client"),
            header: json!({}),
            claims: json!({"iss": "https://dev-1.okta.com", "aud": "client", "sub": "00u"}),
            wrong: vec![(json!({"iss": "https://dev-1.okta.com/oauth2/default"}), InvalidIssuer)],
        },
        Case {
            provider: valid(providers::cognito_access("us-east-1", "us-east-1_example")),
            settings: |issuer| issuer.audience("57cbishk4j24pabc1234567890"),
            header: json!({"typ": null}),
            claims: json!({
                "iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example", "aud": null,
                "client_id": "57cbishk4j24pabc1234567890", "token_use": "access", "sub": "aaaa", "username": "bob",
                "scope": "aws.cognito.signin.user.admin", "auth_time": 1_676_312_777, "jti": "dddd", "version": 2,
            }),
            wrong: vec![
                (json!({"token_use": "id"}), ClaimRefused),
                (json!({"token_use": null}), ClaimRefused),
                (json!({"client_id": "another"}), InvalidAudience),
                (json!({"client_id": null, "aud": "57cbishk4j24pabc1234567890"}), InvalidAudience),
                (json!({"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_other"}), InvalidIssuer),
            ],
        },
        Case {
            provider: valid(providers::cognito_id("us-east-1", "us-east-1_example")),
            settings: |issuer| issuer.audience("57cbishk4j24pabc1234567890"),
            header: json!({"typ": null}),
            claims: json!({
                "iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_example", "token_use": "id", "sub": "aaaa",
                "aud": "57cbishk4j24pabc1234567890", "email": "bob@example.com", "email_verified": true,
            }),
            wrong: vec![(json!({"token_use": "access"}), ClaimRefused), (json!({"aud": "another"}), InvalidAudience)],
        },
        Case {
            provider: valid(providers::entra(TENANT)),
            settings: |issuer| issuer.audience("6e74172b-be56-4843-9ff4-e66a39bb12e3"),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3", "tid": TENANT, "ver": "2.0", "uti": "x", "oid": "y",
                "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "scp": "access_as_user", "sub": "z",
            }),
            wrong: vec![
                (json!({"tid": "00000000-6c67-4c5b-b112-36a304b66dad"}), InvalidIssuer),
                (json!({"tid": null}), InvalidIssuer),
                (json!({"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"}), InvalidIssuer),
                (json!({"iss": format!("https://sts.windows.net/{TENANT}/")}), InvalidIssuer),
            ],
        },
        Case {
            provider: providers::entra_multi_tenant(),
            settings: |issuer| issuer.audience("orders").require_claim_value("tid", [TENANT, OTHER_TENANT]),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "aud": "orders", "tid": TENANT, "ver": "2.0", "uti": "x", "oid": "y", "sub": "z",
                "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "scp": "access_as_user",
            }),
            wrong: vec![
                (json!({"tid": OTHER_TENANT}), InvalidIssuer),
                (json!({"tid": null}), InvalidIssuer),
                (json!({"tid": 7}), InvalidIssuer),
                (
                    json!({"iss": "https://login.microsoftonline.com/{tenantid}/v2.0", "tid": "{tenantid}"}),
                    InvalidIssuer,
                ),
                (json!({"iss": "https://login.microsoftonline.com/common/v2.0", "tid": "common"}), InvalidIssuer),
                (json!({"iss": format!("https://sts.windows.net/{TENANT}/")}), InvalidIssuer),
                (json!({"iss": null}), InvalidIssuer),
                (json!({"iss": STRANGE_ISSUER, "tid": STRANGE_TENANT}), ClaimRefused),
            ],
        },
        Case {
            provider: valid(providers::spiffe("example.org", "https://bundle.example.org/")),
            settings: |issuer| issuer.audience("spiffe://example.org/orders"),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "sub": "spiffe://example.org/ns/shop/sa/web", "aud": ["spiffe://example.org/orders"], "iss": null,
            }),
            wrong: vec![
                (json!({"sub": "spiffe://example.com/ns/shop/sa/web"}), InvalidIssuer),
                (json!({"sub": "spiffe://example.org"}), InvalidIssuer),
                (json!({"sub": "web"}), InvalidIssuer),
                (json!({"sub": null, "iss": "spiffe://example.org"}), InvalidIssuer),
                (json!({"aud": "spiffe://example.org/bills"}), InvalidAudience),
                (json!({"aud": null}), InvalidAudience),
                (json!({"exp": null}), AuthErrorKind::MissingTime),
            ],
        },
        Case {
            provider: valid(providers::entra_v1(&TENANT.to_uppercase())),
            settings: |issuer| issuer.audience("api://orders"),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "aud": "api://orders", "iss": format!("https://sts.windows.net/{TENANT}/"), "tid": TENANT, "ver": "1.0",
                "appid": "x", "appidacr": "0", "scp": "user_impersonation", "sub": "z", "uti": "y",
            }),
            wrong: vec![(json!({"iss": format!("https://sts.windows.net/{TENANT}")}), InvalidIssuer)],
        },
        Case {
            provider: valid(providers::keycloak("https://sso.example.com/", "shop")),
            settings: |issuer| issuer.audience("orders"),
            header: json!({"typ": "JWT"}),
            claims: json!({
                "iss": "https://sso.example.com/realms/shop", "aud": ["orders", "account"], "azp": "spa", "sub": "u",
                "typ": "Bearer", "realm_access": {"roles": ["admin"]}, "resource_access": {"orders": {"roles": ["read"]}},
                "scope": "openid email", "acr": "1", "auth_time": 0, "sid": "s", "jti": "j",
            }),
            wrong: vec![
                (json!({"aud": "account"}), InvalidAudience),
                (json!({"iss": "https://sso.example.com/realms/master"}), InvalidIssuer),
            ],
        },
        Case {
            provider: providers::google(),
            settings: |issuer| {
                issuer.audience("1234987819200.apps.googleusercontent.com").require_claim_value("hd", ["example.com"])
            },
            header: json!({"typ": "JWT"}),
            claims: json!({
                "iss": "https://accounts.google.com", "azp": "1234987819200.apps.googleusercontent.com", "sub": "107",
                "aud": "1234987819200.apps.googleusercontent.com", "hd": "example.com", "email": "a@example.com",
                "email_verified": true, "at_hash": "HK6E", "nonce": "0394852",
            }),
            wrong: vec![
                (json!({"hd": "evil.example"}), ClaimRefused),
                (json!({"hd": null}), ClaimRefused),
                (json!({"iss": "http://accounts.google.com"}), InvalidIssuer),
            ],
        },
        Case {
            provider: providers::github_actions(),
            settings: |issuer| {
                let issuer = issuer.audience("https://deploy.example.com");
                issuer
                    .require_claim_value("repository", ["octo-org/octo-repo"])
                    .require_claim_value("environment", ["prod"])
            },
            header: json!({"typ": "JWT"}),
            claims: json!({
                "iss": "https://token.actions.githubusercontent.com", "aud": "https://deploy.example.com", "jti": "x",
                "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod", "ref": "refs/heads/main",
                "repository": "octo-org/octo-repo", "repository_owner": "octo-org", "repository_owner_id": "65",
                "repository_visibility": "private", "run_id": "1", "actor": "octocat", "event_name": "workflow_dispatch",
            }),
            wrong: vec![
                (json!({"repository": "evil/octo-repo"}), ClaimRefused),
                (json!({"repository": "octo-org/octo-repo-evil"}), ClaimRefused),
                (json!({"environment": null}), ClaimRefused),
                (json!({"environment": ["prod"]}), ClaimRefused),
            ],
        },
        Case {
            provider: valid(providers::gitlab("gitlab.com")),
            settings: |issuer| {
                issuer
                    .audience("https://vault.example.com")
                    .require_claim_value("sub", ["project_path:g/p:ref_type:branch:ref:main"])
            },
            header: json!({"typ": "JWT"}),
            claims: json!({
                "iss": "https://gitlab.com", "aud": "https://vault.example.com", "project_path": "g/p", "namespace_id": "72",
                "sub": "project_path:g/p:ref_type:branch:ref:main", "ref": "main", "ref_protected": "true", "jti": "x",
            }),
            wrong: vec![
                (json!({"sub": "project_path:g/p:ref_type:branch:ref:other"}), ClaimRefused),
                (json!({"sub": null}), ClaimRefused),
            ],
        },
        Case {
            provider: providers::kubernetes("https://kubernetes.default.svc.cluster.local"),
            settings: |issuer| {
                issuer.audience("vault").require_claim_value("sub", ["system:serviceaccount:shop:orders"])
            },
            header: json!({"typ": null}),
            claims: json!({
                "iss": "https://kubernetes.default.svc.cluster.local", "aud": ["vault"], "jti": "x",
                "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "orders", "uid": "y"}},
                "sub": "system:serviceaccount:shop:orders",
            }),
            wrong: vec![
                (json!({"sub": "system:serviceaccount:evil:orders"}), ClaimRefused),
                (json!({"aud": ["https://kubernetes.default.svc.cluster.local"]}), InvalidAudience),
            ],
        },
        Case {
            provider: valid(providers::cloudflare_access("team.cloudflareaccess.com")),
            settings: |issuer| issuer.audience("32eafc7626e737969c0e0b6a"),
            header: json!({"typ": null}),
            claims: json!({
                "aud": ["32eafc7626e737969c0e0b6a"], "email": "user@example.com", "type": "app", "sub": "7335d417",
                "iss": "https://team.cloudflareaccess.com", "identity_nonce": "6ei69kawdKzMIAPF", "country": "US",
            }),
            wrong: vec![
                (json!({"aud": ["another application"]}), InvalidAudience),
                (json!({"iss": "https://evil.cloudflareaccess.com"}), InvalidIssuer),
            ],
        },
    ]
}

fn sign(authority: &Authority, header: &Value, claims: &[&Value]) -> String {
    let mut token = authority.token();
    for (name, value) in header.as_object().expect("an object") {
        token = if value.is_null() { token.without_header(name) } else { token.header(name, value) };
    }
    for (name, value) in claims.iter().flat_map(|claims| claims.as_object().expect("an object")) {
        token = if value.is_null() { token.without(name) } else { token.claim(name, value) };
    }
    token.sign()
}

#[tokio::test]
async fn documented_tokens_pass_and_those_nearest_to_them_do_not() {
    let authority = Authority::new(Algorithm::RS256);
    for case in cases() {
        let name = case.provider.name().to_owned();
        let issuer = (case.settings)(case.provider.with_keys(authority.key_set()));
        let verifier = Verifier::<Value>::new(issuer).unwrap_or_else(|error| panic!("{name}: {error}"));
        let good = sign(&authority, &case.header, &[&case.claims]);
        assert_eq!(verdict(&verifier, &good).await, Ok(()), "{name}");
        for (change, kind) in &case.wrong {
            let wrong = sign(&authority, &case.header, &[&case.claims, change]);
            assert_eq!(verdict(&verifier, &wrong).await, Err(*kind), "{name}: {change}");
        }
    }
}

/// Entra has keys that sign for every tenant, and keys for one alone; each says so in `issuer`.
#[tokio::test]
async fn a_key_for_one_tenant_verifies_no_other() {
    let authority = Authority::new(Algorithm::RS256);
    let with_issuer = |issuer: Value| {
        let mut set: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
        set["keys"][0]["issuer"] = issuer;
        KeySet::jwk_set(set.to_string()).expect("usable")
    };
    let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let token = |tenant: &str| authority.token().claim("aud", "a").claim("iss", of(tenant)).claim("tid", tenant).sign();
    let cases = [
        (json!("https://login.microsoftonline.com/{tenantid}/v2.0"), Ok(()), Ok(())),
        (json!(of(TENANT)), Ok(()), Err(AuthErrorKind::UnknownKey)),
        (json!(of(OTHER_TENANT)), Err(AuthErrorKind::UnknownKey), Ok(())),
        (
            json!("https://login.microsoftonline.com/{tenantid}"),
            Err(AuthErrorKind::UnknownKey),
            Err(AuthErrorKind::UnknownKey),
        ),
        (json!(null), Err(AuthErrorKind::UnknownKey), Err(AuthErrorKind::UnknownKey)),
    ];
    for (issuer, one, other) in cases {
        let trusted = providers::entra_multi_tenant().with_keys(with_issuer(issuer.clone())).audience("a");
        let verifier = Verifier::new(trusted.require_claim_value("tid", [TENANT, OTHER_TENANT])).expect("valid");
        assert_eq!(verdict(&verifier, &token(TENANT)).await, one, "{issuer}");
        assert_eq!(verdict(&verifier, &token(OTHER_TENANT)).await, other, "{issuer}");
        // The same where only one of them is trusted, and its keys come with those of all.
        let trusted = providers::entra(TENANT).expect("a GUID").with_keys(with_issuer(issuer.clone())).audience("a");
        let verifier = Verifier::new(trusted).expect("valid");
        assert_eq!(verdict(&verifier, &token(TENANT)).await, one, "{issuer}");
        assert_eq!(verdict(&verifier, &token(OTHER_TENANT)).await, Err(AuthErrorKind::InvalidIssuer), "{issuer}");
    }
}

/// Beside other issuers, a token finds its own: by the name of its tenant, by `sub`, or by `iss`.
#[tokio::test]
async fn tenants_and_trust_domains_stand_beside_other_issuers() {
    let [entra, spire, plain] = [(); 3].map(|()| Authority::new(Algorithm::ES256));
    let multi = providers::entra_multi_tenant().with_keys(entra.key_set()).audience("a").danger_any_subject();
    let workloads = providers::spiffe("example.org", "https://bundle.example.org/").expect("a trust domain");
    let workloads = workloads.with_keys(spire.key_set()).audience("a");
    let builder = Verifier::<Value>::builder().trust(multi).trust(workloads);
    let builder = builder.trust(Issuer::new("https://a.example", plain.key_set()).audience("a"));
    let verifier = builder.cache(TokenCache::new(10)).build().expect("valid");

    let of = |tenant: &str| format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let workload =
        |by: &Authority| by.token().claim("aud", "a").claim("sub", "spiffe://example.org/web").without("iss").sign();
    let tenant = |by: &Authority| by.token().claim("aud", "a").claim("iss", of(TENANT)).claim("tid", TENANT).sign();
    let known = |by: &Authority| by.token().claim("aud", "a").claim("iss", "https://a.example").sign();
    // Twice: the second time it is remembered.
    for _ in 0..2 {
        let jwt = verifier.verify(&tenant(&entra)).await.expect("its own keys");
        assert_eq!(jwt.issuer(), Some(&*of(TENANT)));
        let jwt = verifier.verify(&workload(&spire)).await.expect("its own keys");
        assert_eq!((jwt.issuer(), jwt.subject()), (Some("spiffe://example.org"), Some("spiffe://example.org/web")));
        assert_eq!(verdict(&verifier, &known(&plain)).await, Ok(()));
    }
    let wrong = Err(AuthErrorKind::InvalidSignature);
    assert_eq!(verdict(&verifier, &tenant(&spire)).await, wrong);
    assert_eq!(verdict(&verifier, &workload(&entra)).await, wrong);
    assert_eq!(verdict(&verifier, &known(&entra)).await, wrong);
    // An `iss` that is trusted picks its issuer, whatever `sub` says.
    let both = |by: &Authority| {
        by.token().claim("aud", "a").claim("iss", "https://a.example").claim("sub", "spiffe://example.org/web").sign()
    };
    assert_eq!(verdict(&verifier, &both(&spire)).await, wrong);
    assert_eq!(verdict(&verifier, &both(&plain)).await, Ok(()));
    let foreign = spire.token().claim("sub", "spiffe://other.example/web").without("iss").sign();
    assert_eq!(verdict(&verifier, &foreign).await, Err(AuthErrorKind::InvalidIssuer));
    let server = spire.token().claim("aud", "a").claim("iss", "https://spire").claim("sub", "spiffe://example.org/web");
    assert_eq!(verdict(&verifier, &server.sign()).await, Ok(()), "an `iss` that nobody has does not count");
}

/// SPIFFE Trust Domain and Bundle, section 4.2.
#[test]
fn of_a_spiffe_bundle_the_keys_for_tokens_are_used() {
    let mut bundle: Value = serde_json::from_str(&Authority::new(Algorithm::ES256).jwks()).expect("JSON");
    let key = bundle["keys"][0].take();
    let with = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let svid = with("use", json!("jwt-svid"));
    bundle =
        json!({"spiffe_sequence": 1, "spiffe_refresh_hint": 300, "keys": [key, with("use", json!("x509-svid")), svid]});
    let set = KeySet::spiffe_bundle(bundle.to_string()).expect("a key for tokens");
    assert_eq!((set.len(), set.skipped().len()), (1, 2));
    assert_eq!(KeySet::jwk_set(bundle.to_string()).expect("a key for signatures").len(), 1, "the other one");

    let mut nameless = svid;
    nameless.as_object_mut().expect("an object").remove("kid");
    let error = KeySet::spiffe_bundle(json!({"keys": [nameless]}).to_string()).expect_err("no kid").to_string();
    assert!(error.contains("kid"), "{error}");
    let mut useless = key.clone();
    useless.as_object_mut().expect("an object").remove("use");
    assert!(KeySet::spiffe_bundle(json!({"keys": [useless]}).to_string()).is_err());
}

#[test]
fn what_is_no_trust_domain_is_refused() {
    for wrong in
        ["", "Example.org", "spiffe://example.org", "example.org/a", "example.org:443", "a b", &"a".repeat(256)]
    {
        assert!(providers::spiffe(wrong, "https://bundle.example.org/").is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn google_has_two_names() {
    let authority = Authority::new(Algorithm::RS256);
    let issuer = providers::google().with_keys(authority.key_set()).audience("c").danger_any_subject();
    let verifier = Verifier::<Value>::new(issuer).expect("valid");
    for (iss, passes) in [("https://accounts.google.com", true), ("accounts.google.com", true), ("google.com", false)] {
        let token = authority.token().claim("iss", iss).claim("aud", "c").sign();
        assert_eq!(verdict(&verifier, &token).await.is_ok(), passes, "{iss}");
    }
}

/// Id tokens do not pass where the profile for access tokens is on (RFC 9068 section 4).
#[tokio::test]
async fn the_access_token_profile_is_one_switch() {
    let authority = Authority::new(Algorithm::RS256);
    let keycloak = providers::keycloak("https://sso.example.com", "shop").expect("valid");
    let issuer = keycloak.with_keys(authority.key_set()).audience("spa").access_token_profile();
    let verifier = Verifier::<Value>::new(issuer).expect("valid");
    let all = json!({
        "iss": "https://sso.example.com/realms/shop", "aud": "spa", "sub": "u", "client_id": "spa", "jti": "j", "iat": 1,
    });
    let at = json!({"typ": "at+jwt"});
    assert_eq!(verdict(&verifier, &sign(&authority, &at, &[&all])).await, Ok(()));
    let id_token = sign(&authority, &json!({"typ": "JWT"}), &[&all, &json!({"nonce": "n", "at_hash": "h"})]);
    assert_eq!(verdict(&verifier, &id_token).await, Err(AuthErrorKind::WrongType));
    let untyped = sign(&authority, &json!({"typ": null}), &[&all]);
    assert_eq!(verdict(&verifier, &untyped).await, Err(AuthErrorKind::WrongType));
    for name in ["sub", "client_id", "jti", "iat"] {
        let lacking = sign(&authority, &at, &[&all, &json!({name: null})]);
        assert_eq!(verdict(&verifier, &lacking).await, Err(AuthErrorKind::MissingClaim), "{name}");
    }
}

#[tokio::test]
async fn an_issuer_whose_tokens_anybody_can_get_needs_a_rule() {
    let authority = Authority::new(Algorithm::RS256);
    let build =
        |issuer: Issuer| Verifier::<Value>::new(issuer.audience("a")).map(drop).map_err(|error| error.to_string());
    let gitlab = providers::gitlab("gitlab.com").expect("valid");
    for provider in [providers::google(), providers::github_actions(), gitlab, providers::entra_multi_tenant()] {
        let issuer = || provider.clone().with_keys(authority.key_set());
        let error = build(issuer()).expect_err("no rule");
        assert!(error.contains("require_claim_value") && error.contains("danger_any_subject"), "{error}");
        assert!(build(issuer().require_claim_value("sub", ["x"])).is_ok());
        assert!(build(issuer().danger_any_subject()).is_ok());
    }
    let plain = || Issuer::new("https://a.example", authority.key_set());
    assert!(build(plain()).is_ok());
    assert!(build(plain().shared()).is_err());
    assert!(build(plain().require_claim_value("x", Vec::<String>::new())).is_err(), "no value");
    assert!(build(plain().require_claim_value("x", ["a"]).require_claim_value("x", ["b"])).is_err(), "twice");
    for judged in ["iss", "aud", "exp", "scope", "jti", "client_id", "cnf"] {
        assert!(build(plain().require_claim_value(judged, ["a"])).is_err(), "{judged}");
    }
}

#[tokio::test]
async fn a_rule_on_a_claim_is_explained_and_holds_for_remembered_tokens_of_any_claims_type() {
    #[derive(serde::Deserialize)]
    struct Nothing {}

    let authority = Authority::new(Algorithm::ES256);
    let issuer = || authority.trusted().require_claim_value("tenant", ["a", "b"]);
    let verifier = Verifier::<Nothing>::new(issuer()).expect("valid");
    assert!(verifier.verify(&authority.token().claim("tenant", "b").sign()).await.is_ok());
    let wrong = authority.token().claim("tenant", "CANARY").sign();
    let error = verifier.verify(&wrong).await.map(|jwt: Jwt<Nothing>| drop(jwt)).expect_err("refused");
    assert_eq!((error.kind(), error.detail()), (AuthErrorKind::ClaimRefused, Some("`tenant`")));
    let explanation = verifier.explain(&wrong).await;
    let last = explanation.checks().last().expect("a check");
    assert!(last.check() == Check::Claims && last.saw().contains("tenant") && !last.saw().contains("CANARY"));
}

#[test]
fn what_is_no_host_path_or_tenant_is_refused() {
    for wrong in ["", "https://a.example", "a.example/x", "u@a.example", "a b"] {
        assert!(providers::auth0(wrong).is_err() && providers::gitlab(wrong).is_err(), "{wrong}");
        assert!(providers::okta(wrong, "default").is_err() && providers::cloudflare_access(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a/b", "..", "a?b", "%2e"] {
        assert!(
            providers::okta("a.example", wrong).is_err() && providers::keycloak("https://a", wrong).is_err(),
            "{wrong}"
        );
        assert!(providers::cognito_access("us-east-1", wrong).is_err(), "{wrong}");
    }
    for wrong in ["common", "organizations", "", "contoso.onmicrosoft.com", &TENANT[1..], &format!("{TENANT}0")] {
        assert!(providers::entra(wrong).is_err() && providers::entra_v1(wrong).is_err(), "{wrong}");
    }
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn every_preset_knows_where_its_keys_are() {
    for case in cases() {
        let name = case.provider.name().to_owned();
        assert!(Verifier::<Value>::new((case.settings)(case.provider.discover().expect("a URL"))).is_ok(), "{name}");
    }
}
