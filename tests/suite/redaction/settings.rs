//! What is said of settings: a password in a URL, and a secret where a name was meant.

use std::fmt::Debug;

use tower_jwt_auth::authorize::{RequireScopes, StepUp};
use tower_jwt_auth::binding::{Dpop, DpopNonces};
use tower_jwt_auth::clock::Clock;
use tower_jwt_auth::extract::{Cookie, Header};
use tower_jwt_auth::forward::{ForwardClaims, RelayToken};
use tower_jwt_auth::issue::{IssuerMetadata, SigningKey};
use tower_jwt_auth::metadata::ProtectedResource;
use tower_jwt_auth::{Algorithm, ConfigError, Redis, providers};

use super::{CANARY, Seen};

pub(super) fn show(seen: &Seen) {
    let urls = [
        format!("https://user:{CANARY}@a.example/keys"),
        format!("https://user:{CANARY}/{CANARY}#@a.example/keys"),
        format!("https://{CANARY}@a.example/?sig={CANARY}"),
        format!("https://a.example/keys?sig={CANARY}"),
        format!("https://a.example/keys#{CANARY}"),
        format!("http://:{CANARY}@127.0.0.1:1/keys"),
        format!("ftp://user:{CANARY}@a.example/keys"),
        format!("user:{CANARY}@a.example"),
        format!("{CANARY}:80 "),
        CANARY.to_owned(),
    ];
    for url in &urls {
        let key = SigningKey::generate(Algorithm::EdDSA).expect("a backend");
        refused(seen, ProtectedResource::new(url));
        refused(seen, IssuerMetadata::new(url, key));
        refused(seen, Dpop::new(url));
        refused(seen, RelayToken::new().to(url));
        refused(seen, RelayToken::new().danger_to_http(url));
        refused(seen, Redis::open(&url.replace("https://", "rediss://")));
        seen.show(&providers::spiffe("example.org", url).expect("the bundle is not yet judged"));
        seen.show(&providers::kubernetes(&format!("https://user:{CANARY}@a.example")));
        seen.show(&providers::keycloak(&format!("https://user:{CANARY}@a.example"), "realm").expect("not yet judged"));
        #[cfg(feature = "remote")]
        remote(seen, url);
    }
    // A host, or an origin, may well be of any letters.
    for url in urls.iter().filter(|url| url.contains(['@', ' '])) {
        refused(seen, providers::auth0(url));
        refused(seen, Cookie::new("access").allow_origin(url));
    }
    seen.show(&Redis::open(&format!("redis://user:{CANARY}@127.0.0.1/")).expect("a URL"));
    seen.show(&Clock::manual(tower_jwt_auth::clock::UnixTime::from_secs(7)));

    #[cfg(feature = "config")]
    configured(seen);

    // A secret in place of a name.
    let name = format!("{CANARY} {CANARY}");
    refused(seen, CANARY.parse::<Algorithm>());
    refused(seen, Header::new(&name));
    refused(seen, ForwardClaims::new().subject(&name));
    refused(seen, RequireScopes::try_all([&name]));
    refused(seen, StepUp::acr_values([&name]));
    refused(seen, providers::okta("a.example", &name));
    refused(seen, providers::entra(CANARY));
    refused(seen, providers::spiffe(&name, "https://a.example"));
    refused(seen, DpopNonces::with_secret(&CANARY[..31]));
    refused(seen, SigningKey::secret(Algorithm::HS512, CANARY));
    refused(seen, SigningKey::secret(Algorithm::ES256, CANARY));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----");
    refused(seen, SigningKey::from_pem(Algorithm::ES256, &pem));
    refused(seen, SigningKey::from_pem(Algorithm::ES256, CANARY));
    for jwk in [
        format!(r#"{{"kty":"oct","alg":"HS512","k":"{CANARY}"}}"#),
        format!(r#"{{"kty":"oct","alg":"{CANARY}","k":"{CANARY}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{CANARY}","d":"{CANARY}"}}"#),
        format!(r#"{{"kty":"{CANARY}","d":["{CANARY}"]}}"#),
        format!("{{{CANARY}"),
    ] {
        refused(seen, SigningKey::from_jwk(jwk));
    }
}

#[cfg(feature = "config")]
fn configured(seen: &Seen) {
    use tower_jwt_auth::config::Settings;

    let good = [("A_ISSUER", "i"), ("A_AUDIENCES", "a"), ("A_ALGORITHM", "HS256"), ("A_SECRET", CANARY)];
    let wrong = [("A_ISSUER", "i"), ("A_LEEWAY", CANARY), ("A_ALGORITHM", CANARY), ("A_SECRET", CANARY)];
    let settings = Settings::default().with_variables("A_", good);
    seen.show(&settings);
    seen.show(&settings.build().expect("valid"));
    let errors = Settings::default().with_variables("A_", wrong).build().expect_err("wrong");
    seen.fail(&errors);
    for problem in errors.problems() {
        seen.show(problem);
        seen.say(problem);
    }
}

fn refused<T: Debug>(seen: &Seen, built: Result<T, ConfigError>) {
    seen.fail(&built.expect_err("refused"));
}

#[cfg(feature = "remote")]
fn remote(seen: &Seen, url: &str) {
    use tower_jwt_auth::Issuer;
    use tower_jwt_auth::keys::RemoteJwks;

    for builder in [
        RemoteJwks::from_url(url),
        RemoteJwks::discover(url),
        RemoteJwks::discover_at(url, "https://a.example"),
        RemoteJwks::from_url(url).danger_allow_http(),
        RemoteJwks::from_url("https://a.example/keys").initial(format!("{{{CANARY}")),
    ] {
        seen.show(&builder);
        match builder.build() {
            Ok(keys) => {
                seen.show(&keys);
                seen.show(&keys.status());
            }
            Err(error) => seen.fail(&error),
        }
    }
    for issuer in [Issuer::discover(url), Issuer::discover_at(url, "https://a.example")] {
        match issuer {
            Ok(issuer) => seen.show(&issuer),
            Err(error) => seen.fail(&error),
        }
    }
}
