//! The sets that real providers publish, as data, and the odd keys that nobody expects.

use std::sync::LazyLock;

use serde_json::{Value, json};
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind as Kind, Issuer, Verifier};

use super::server::{Reply, Server};
use super::{key, reasons, set, with};
use crate::support::verdict;

/// Its keys: two for RS256, one for ES256, one for Ed25519.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut authority = Authority::new(Algorithm::RS256);
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        authority.add_key(algorithm);
    }
    authority
});

/// A key of the authority with the members that a provider gives it.
fn decorated(index: usize, members: Value) -> Value {
    with(key(&AUTHORITY.jwks(), index), members)
}

/// A token that the key of this number signed.
fn token(index: usize, kid: Option<&str>) -> String {
    let token = AUTHORITY.token().with_key(index);
    match kid {
        Some(kid) => token.header("kid", kid).sign(),
        None => token.without_header("kid").sign(),
    }
}

fn fetching(authority: &Authority, server: &Server) -> (RemoteJwks, Verifier<Value>) {
    let source = RemoteJwks::from_url(server.url("/jwks")).build().expect("valid");
    let issuer = Issuer::new(authority.name(), source.clone()).audience(authority.audience());
    (source, Verifier::new(issuer).expect("valid"))
}

/// A published set and what comes of it.
struct Shape {
    name: &'static str,
    keys: Vec<Value>,
    passing: Vec<String>,
    skipped: &'static [(usize, &'static str)],
}

/// As the providers document their sets.
fn sets_of_providers() -> Vec<Shape> {
    let certificate = json!(["MIIDBTCCAe2gAwIBAgIJAJ+/not+read/=="]);
    let auth0 = |index, kid: &str| {
        let members = json!({"kid": kid, "x5t": "NjVBRjY5MDlCMUIwNzU4RTA2QzZFMDQ4QzQ2MDAyQjVDNjk1RTM2Qg",
            "x5c": certificate});
        decorated(index, members)
    };
    let entra = |index, kid: &str, tenant: &str| {
        let issuer = format!("https://login.microsoftonline.com/{tenant}/v2.0");
        let members = json!({"alg": null, "kid": kid, "x5t": kid, "x5c": certificate, "issuer": issuer,
            "cloud_instance_name": "microsoftonline.com"});
        decorated(index, members)
    };
    let keycloak = |index, kid: &str, alg: &str, usage: &str| {
        let members =
            json!({"kid": kid, "alg": alg, "use": usage, "x5c": certificate, "x5t": "dGh1bWI", "x5t#S256": "dGh1bWI"});
        decorated(index, members)
    };
    vec![
        Shape {
            name: "Auth0",
            keys: vec![auth0(0, "NEVBNUNBOTgxRkE5"), auth0(1, "vTqLj3bS8-next")],
            passing: vec![token(0, Some("NEVBNUNBOTgxRkE5")), token(1, Some("vTqLj3bS8-next"))],
            skipped: &[],
        },
        Shape {
            name: "Okta",
            keys: vec![decorated(0, json!({"kid": "U5R8cHbGw445Qbq8zVO1PcCpXL8yG6IcovVa3laCoxM"}))],
            passing: vec![token(0, Some("U5R8cHbGw445Qbq8zVO1PcCpXL8yG6IcovVa3laCoxM"))],
            skipped: &[],
        },
        Shape {
            name: "Cognito",
            keys: vec![decorated(0, json!({"kid": "1234example="})), decorated(1, json!({"kid": "abcd/efgh+ijkl="}))],
            passing: vec![token(0, Some("1234example=")), token(1, Some("abcd/efgh+ijkl="))],
            skipped: &[],
        },
        Shape {
            name: "Entra",
            keys: vec![
                entra(0, "spqvvdYKnDIKuTBYRjqv", "{tenantid}"),
                entra(1, "JYhAcTPMZ_LX6DBlOWQ7", "9188040d-6c67-4c5b-b112-36a304b66dad"),
            ],
            passing: vec![token(0, Some("spqvvdYKnDIKuTBYRjqv")), token(1, Some("JYhAcTPMZ_LX6DBlOWQ7"))],
            skipped: &[],
        },
        Shape {
            name: "Google",
            keys: vec![
                decorated(0, json!({"kid": "a06af0b68a2119d692cac4abf415ff3788136f65"})),
                decorated(1, json!({"kid": "6f7254101f56e41cf35c9926de84a2d552b4c6f1"})),
            ],
            passing: vec![token(1, Some("6f7254101f56e41cf35c9926de84a2d552b4c6f1"))],
            skipped: &[],
        },
        Shape {
            name: "Keycloak",
            keys: vec![
                keycloak(0, "enc-FJ86GcF3jTbNLOco4NvZkUCIUmfYCqoqtOQeMfbhNlE", "RSA-OAEP", "enc"),
                keycloak(1, "sig-LhTcW3TmkHyzsFpzKMLrtu2XrOqbcXeJNhlAyOyMdLU", "RS256", "sig"),
            ],
            passing: vec![token(1, Some("sig-LhTcW3TmkHyzsFpzKMLrtu2XrOqbcXeJNhlAyOyMdLU"))],
            skipped: &[(0, "its `use` is not `sig`")],
        },
    ]
}

/// As some provider or other has been seen to do it.
fn sets_seen_in_the_wild() -> Vec<Shape> {
    vec![
        Shape {
            name: "a numeric `kid` beside a good one",
            keys: vec![decorated(0, json!({"kid": 1_234_567_890})), decorated(1, json!({"kid": "1234567890"}))],
            passing: vec![token(1, Some("1234567890"))],
            skipped: &[(0, "`kid` is not a string")],
        },
        Shape {
            name: "no `kid` at all",
            keys: vec![decorated(0, json!({"kid": null, "alg": null, "use": null}))],
            passing: vec![token(0, None), token(0, Some("any"))],
            skipped: &[],
        },
        Shape {
            name: "one `kid` for keys of three types",
            keys: [3, 0, 2].map(|index| decorated(index, json!({"kid": "same"}))).into(),
            passing: [0, 2, 3].map(|index| token(index, Some("same"))).into(),
            skipped: &[],
        },
        Shape {
            name: "one `kid` for two keys of a type",
            keys: vec![decorated(0, json!({"kid": "same"})), decorated(1, json!({"kid": "same"}))],
            passing: vec![token(0, Some("same")), token(1, Some("same")), token(1, None)],
            skipped: &[],
        },
        Shape {
            name: "members that nobody knows, and private ones",
            keys: vec![decorated(0, json!({"exp": 1, "nbf": "x", "oth": [], "d": 7, "x5u": {}, "ext": true}))],
            passing: vec![token(0, Some("key-1"))],
            skipped: &[],
        },
        Shape {
            name: "leading zeros in a modulus",
            keys: vec![{
                let bare = decorated(0, json!({}));
                let modulus = bare["n"].as_str().expect("RSA");
                // Three bytes of zeros are four characters of base64url.
                with(bare.clone(), json!({"n": format!("AAAA{modulus}"), "e": "AAEAAQ"}))
            }],
            passing: vec![token(0, Some("key-1"))],
            skipped: &[],
        },
    ]
}

#[tokio::test]
async fn the_sets_of_real_providers_verify_their_tokens() {
    for Shape { name, keys, passing, skipped } in sets_of_providers().into_iter().chain(sets_seen_in_the_wild()) {
        let server = Server::start();
        let published = keys.len();
        server.publish("/jwks", Reply::ok(set(keys)));
        let (source, verifier) = fetching(&AUTHORITY, &server);
        for token in &passing {
            assert_eq!(verdict(&verifier, token).await, Ok(()), "{name}");
        }
        let status = source.status();
        assert_eq!((status.keys, status.fetches), (published - skipped.len(), 1), "{name}");
        assert_eq!(reasons(&status), skipped, "{name}");
    }
}

#[tokio::test]
async fn odd_keys_are_skipped_with_a_reason_and_the_good_one_among_them_is_used() {
    let zeros = "A".repeat(43);
    let odd = [
        (json!({"kty": "LATTICE"}), "its `kty` is unknown"),
        (json!({"kty": 7}), "`kty` is not a string"),
        (json!({"kty": "EC", "crv": "secp256k1", "x": zeros, "y": zeros}), "its curve has no algorithm"),
        (json!({"kty": "OKP", "crv": "X25519", "x": zeros}), "its curve has no algorithm"),
        (json!({"kty": "AKP", "pub": "AAAA"}), "needs an `alg`"),
        (json!({"kty": "AKP", "alg": "SLH-DSA-SHA2-128s", "pub": "AAAA"}), "not a known signature algorithm"),
        (json!({"kty": "oct", "alg": "HS256", "k": zeros}), "a secret"),
        (json!({"kty": "RSA", "n": format!("{}Q", "z".repeat(170)), "e": "AQAB"}), "bits"),
        (json!({"kty": "RSA", "e": "AQAB", "x5c": ["MIIDBTCCAe2g"]}), "`n` is missing"),
        (json!({"kty": "EC", "crv": "P-256", "x": zeros, "y": zeros}), "not a valid one"),
        (json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}), "length"),
        (decorated(0, json!({"alg": "RS1"})), "not a known signature algorithm"),
        (decorated(0, json!({"alg": "none"})), "not a known signature algorithm"),
        (decorated(0, json!({"alg": "HS256"})), "does not suit its type"),
        (decorated(0, json!({"alg": "ES256"})), "does not suit its type"),
        (decorated(0, json!({"use": "enc"})), "`use`"),
        (decorated(0, json!({"key_ops": ["sign"]})), "`key_ops`"),
        (decorated(0, json!({"kid": 7})), "`kid` is not a string"),
        (decorated(0, json!({"kid": ["key-1"]})), "`kid` is not a string"),
        (decorated(0, json!({"n": "a+b/c="})), "not base64url"),
        (json!({}), "`kty` is missing"),
        (json!("a key"), "JSON object"),
        (json!(null), "JSON object"),
    ];
    let keys = odd.iter().map(|(jwk, _)| jwk.clone());
    let good = decorated(2, json!({"key_ops": ["verify"]}));
    let server = Server::start();
    server.publish("/jwks", Reply::ok(set(keys.chain([good]))));
    let (source, verifier) = fetching(&AUTHORITY, &server);
    assert_eq!(verdict(&verifier, &token(2, Some("key-3"))).await, Ok(()));
    let status = source.status();
    let found = reasons(&status);
    assert_eq!(found.len(), odd.len(), "{found:?}");
    for (at, ((index, reason), (jwk, word))) in found.into_iter().zip(&odd).enumerate() {
        assert!(index == at && reason.contains(word), "{jwk}: {index}, {reason}");
        assert!(!reason.contains(&zeros), "{jwk}: key material in {reason}");
    }
    let alone = set([odd[0].0.clone(), odd[6].0.clone()]);
    server.publish("/jwks", Reply::ok(alone));
    let error = source.refresh().await.expect_err("no key is left").to_string();
    assert!(error.contains("its `kty` is unknown; a secret"), "{error}");
}

#[tokio::test]
async fn a_published_secret_signs_nothing() {
    let mut authority = Authority::new(Algorithm::HS256);
    authority.add_key(Algorithm::ES256);
    let server = Server::start();
    server.publish("/jwks", Reply::ok(authority.jwks()));
    let (source, verifier) = fetching(&authority, &server);
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    assert_eq!(verdict(&verifier, &authority.token().with_key(0).sign()).await, Err(Kind::AlgorithmNotAllowed));
    assert_eq!(source.status().keys, 1);
}

#[tokio::test]
async fn rsa_keys_that_name_no_algorithm_have_the_one_that_the_source_is_told() {
    let authority = Authority::new(Algorithm::PS256);
    let server = Server::start();
    let bare = with(key(&authority.jwks(), 0), json!({"alg": null}));
    server.publish("/jwks", Reply::ok(set([bare])));
    for (told, verdict_of_ps256) in [(Algorithm::PS256, Ok(())), (Algorithm::RS256, Err(Kind::UnknownKey))] {
        let source = RemoteJwks::from_url(server.url("/jwks")).rsa_algorithm(told).build().expect("valid");
        let issuer = Issuer::new(authority.name(), source).audience(authority.audience());
        let verifier = Verifier::new(issuer).expect("valid");
        assert_eq!(verdict(&verifier, &authority.token().sign()).await, verdict_of_ps256, "{told}");
    }
}

#[cfg(feature = "aws-lc-rs")]
#[tokio::test]
async fn a_key_of_the_lattices_is_used_where_the_backend_can() {
    let authority = Authority::new(Algorithm::MlDsa44);
    let server = Server::start();
    let jwk = key(&authority.jwks(), 0);
    server.publish("/jwks", Reply::ok(set([decorated(0, json!({})), jwk.clone(), with(jwk, json!({"alg": null}))])));
    let (source, verifier) = fetching(&authority, &server);
    assert_eq!(verdict(&verifier, &authority.token().sign()).await, Ok(()));
    assert_eq!(reasons(&source.status()), [(2, "a key of type AKP needs an `alg`")]);
}
