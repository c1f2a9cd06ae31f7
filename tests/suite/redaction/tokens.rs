//! Tokens without HTTP: those who make them, those who judge them, and what both leave behind.

use std::time::Duration;

use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::providers::KeycloakRoles;
use tower_jwt_auth::revocation::{RevocationList, RevocationVerdict, TokenFacts};
use tower_jwt_auth::testing::{Authority, DpopClient, TokenBuilder};
use tower_jwt_auth::verify::IssuerResolver;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, ConfigError, TokenCache, Verifier};

use super::{CANARY, Seen};

/// Claims that a string does not fit into.
#[derive(serde::Deserialize)]
pub(super) struct Claims {
    #[expect(dead_code)]
    number: Option<u64>,
}

/// A token that is good, with the canary in its claims.
pub(super) fn good(authority: &Authority) -> TokenBuilder<'_> {
    let roles = json!({"roles": [CANARY]});
    let token = authority.token().claim("jti", CANARY).claim("scope", CANARY).claim("email", CANARY);
    let token = token.claim("sub", CANARY).claim("client_id", CANARY).claim("acr", CANARY);
    token.claim("realm_access", &roles).claim("resource_access", json!({CANARY: roles}))
}

/// The canary stands in the header, in the payload, in claims of every kind, and as the token itself.
pub(super) fn tokens(authority: &Authority) -> Vec<String> {
    let token = || authority.token();
    vec![
        good(authority).sign(),
        good(authority).tampered().sign(),
        good(authority).expires_in(-60).sign(),
        token().header("kid", CANARY).sign(),
        token().header("alg", CANARY).sign(),
        token().header("typ", CANARY).sign(),
        token().header(CANARY, 1).header("crit", [CANARY]).sign(),
        token().header("jwk", json!({"kty": CANARY, "k": CANARY})).header("kid", CANARY).sign(),
        token().claim("iss", CANARY).sign(),
        token().claim("aud", CANARY).sign(),
        token().claim("aud", [CANARY, CANARY]).sign(),
        token().claim("exp", CANARY).sign(),
        token().claim("nbf", CANARY).sign(),
        token().claim("events", CANARY).sign(),
        token().claim("cnf", CANARY).sign(),
        token().claim("cnf", json!({"jkt": CANARY, "x5t#S256": CANARY})).sign(),
        token().claim("number", CANARY).sign(),
        token().claim("number", format!(", expected {CANARY}")).sign(),
        token().claim("number", json!({CANARY: CANARY})).sign(),
        token().raw_payload(CANARY).sign(),
        token().raw_payload(format!(r#"{{"{CANARY}":1,"{CANARY}":2}}"#)).sign(),
        token().raw_header(CANARY).sign(),
        format!("{CANARY}.{CANARY}.{CANARY}"),
        CANARY.to_owned(),
        format!("{CANARY} {CANARY}"),
    ]
}

pub(super) async fn show(seen: &Seen) {
    let authority = Authority::new(Algorithm::ES256);
    seen.show(&authority);
    let secret = Authority::new(Algorithm::HS256);
    seen.show(&secret);
    seen.show(&secret.keys());
    seen.show(&authority.trusted());
    seen.show(&good(&authority));
    let client = DpopClient::new(Algorithm::ES256);
    seen.show(&client);
    seen.show(&client.proof("GET", "https://a.example", CANARY).claim("jti", CANARY));
    let roles = json!({"realm_access": {"roles": [CANARY]}, "resource_access": {CANARY: {"roles": [CANARY]}}});
    seen.show(&serde_json::from_value::<KeycloakRoles>(roles).expect("roles"));
    for kind in AuthErrorKind::ALL {
        let error = AuthError::new(*kind).with_source(ConfigError::new("of no matter"));
        seen.fail(&error.with_detail("for the operator"));
    }
    judged(seen, &authority).await;
    revoked(seen, &authority).await;
    resolved(seen, &authority).await;
}

async fn judged(seen: &Seen, authority: &Authority) {
    let cache = TokenCache::new(100);
    let builder = Verifier::<Claims>::builder().trust(authority.trusted()).cache(cache.clone());
    let builder = builder.require(|_| true);
    seen.show(&builder);
    let verifier = builder.build().expect("valid");
    let refusing = Verifier::<Value>::builder()
        .trust(authority.trusted().require_claims(["a"]).require_claim_value("email", ["b"]).access_token_profile())
        .authorize(|_| false)
        .build()
        .expect("valid");
    seen.show(&verifier);
    for token in &tokens(authority) {
        seen.hide_token(token);
        match verifier.verify(token).await {
            Ok(jwt) => {
                seen.show(&jwt);
                seen.show(&jwt.erase());
            }
            Err(error) => {
                seen.fail(&error);
                seen.say(error.detail().unwrap_or_default());
            }
        }
        if let Err(error) = refusing.verify(token).await {
            seen.fail(&error);
        }
        for explained in [verifier.explain(token).await, refusing.explain(token).await] {
            seen.show(&explained);
            explained.checks().iter().for_each(|check| seen.show(check));
            explained.error().iter().for_each(|error| seen.fail(*error));
        }
    }
    assert!(!cache.is_empty());
    seen.show(&cache);
}

/// Lists, and the token as they see it.
async fn revoked(seen: &Seen, authority: &Authority) {
    let list = RevocationList::builder().max_lifetime(Duration::from_secs(3600));
    seen.show(&list);
    let list = list.build();
    let issuer = || authority.trusted().max_lifetime(Duration::from_secs(3600)).revocation_claims(["jti", "email"]);
    let now = Clock::system().now();
    list.revoke(CANARY, CANARY, now).expect("room");
    list.revoke_subject(authority.name(), CANARY, now).expect("room");
    seen.show(&list);
    let printer = seen.clone();
    let print = move |token: &TokenFacts<'_>| {
        printer.show(token);
        RevocationVerdict::Valid
    };
    let verifier = Verifier::<Value>::builder().trust(issuer()).revocation(print).revocation(list).build();
    let verifier = verifier.expect("valid");
    let token = good(authority).sign();
    seen.hide_token(&token);
    let error = verifier.verify(&token).await.expect_err("revoked");
    assert_eq!(error.kind(), AuthErrorKind::Revoked);
    seen.fail(&error);
    seen.show(&verifier.explain(&token).await);
    let full = RevocationList::builder().entries(0).build();
    seen.fail(&full.revoke(authority.name(), CANARY, UnixTime::from_secs(i64::MAX)).expect_err("full"));
    seen.fail(&full.revoke_subject(authority.name(), CANARY, now).expect_err("for how long?"));
}

async fn resolved(seen: &Seen, authority: &Authority) {
    let resolver =
        IssuerResolver::new(
            async |iss: String| {
                if iss == CANARY { Err(tower_jwt_auth::keys::KeyError::new("away")) } else { Ok(None) }
            },
        );
    seen.show(&resolver);
    let verifier = Verifier::<Value>::builder().resolver(resolver).build().expect("valid");
    for iss in [CANARY.to_owned(), format!("https://{CANARY}")] {
        let token = authority.token().claim("iss", iss).sign();
        seen.fail(&verifier.verify(&token).await.expect_err("not trusted"));
        seen.show(&verifier.explain(&token).await);
    }
}
