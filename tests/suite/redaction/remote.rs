//! A provider whose documents hold what they should not, at a URL whose query is a secret.

use serde_json::{Value, json};
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Issuer, Verifier};

use super::{CANARY, Seen};

pub(super) async fn show(seen: &Seen) {
    let authority = Authority::new(Algorithm::ES256);
    let own: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
    let odd = json!([
        own["keys"][0],
        {"kty": CANARY, "kid": CANARY},
        {"kty": "oct", "alg": "HS256", "kid": CANARY, "k": CANARY},
        {"kty": "RSA", "alg": CANARY, "n": CANARY, "e": CANARY, "d": CANARY},
        {"kty": "EC", "crv": CANARY, "x": CANARY, "y": CANARY},
    ]);
    let provider = authority.provider();
    seen.show(&provider);
    let documents = [
        None,
        Some(json!({"keys": odd}).to_string()),
        Some(format!("{{{CANARY}")),
        Some(json!({CANARY: CANARY}).to_string()),
        Some(json!({"keys": &odd.as_array().expect("an array")[1..]}).to_string()),
        Some(json!({"issuer": "https://a.example", "jwks_uri": CANARY}).to_string()),
        Some(json!({"issuer": "https://a.example", "jwks_uri": format!("http://{CANARY}.example")}).to_string()),
        Some(json!({"issuer": "https://a.example", "jwks_uri": format!("https://u:{CANARY}@b.example")}).to_string()),
        Some(
            json!({"issuer": "https://a.example", "jwks_uri": format!("https://b.example/?sig={CANARY}")}).to_string(),
        ),
    ];
    for builder in [
        RemoteJwks::from_url(format!("https://a.example/keys?sig={CANARY}")),
        RemoteJwks::discover("https://a.example"),
        RemoteJwks::discover_at(format!("https://b.example/metadata?sig={CANARY}"), "https://a.example"),
    ] {
        let builder = builder.client(provider.clone());
        seen.show(&builder);
        let keys = builder.build().expect("valid");
        let verifier = Verifier::<Value>::new(Issuer::new("https://a.example", keys.clone()).audience("a"));
        let verifier = verifier.expect("valid");
        for document in &documents {
            match document {
                Some(document) => provider.publish(document),
                None => provider.refuse(),
            }
            if let Err(error) = keys.refresh().await {
                seen.fail(&error);
            }
            let status = keys.status();
            seen.show(&status);
            seen.say(&status.location);
            seen.say(status.last_error.as_deref().unwrap_or_default());
            status.skipped.iter().for_each(|skipped| seen.say(skipped.reason()));
            seen.show(&keys);
            let token = authority.token().claim("iss", "https://a.example").header("kid", CANARY).sign();
            if let Err(error) = verifier.verify(&token).await {
                seen.fail(&error);
            }
        }
    }
}
