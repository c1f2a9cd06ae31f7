//! Tokens that the provider binds to a DPoP key (RFC 9449), sent by a client that others have written.

use serde_json::json;
use tower_jwt_auth::binding::{Dpop, DpopNonces};

use super::*;

/// What the client saw: once without nonces, once with.
async fn visit(provider: &Provider, dpop: impl FnOnce(Dpop) -> Dpop) -> Value {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let dpop = dpop(Dpop::new(&format!("http://{address}")).expect("a URL"));
    let auth = JwtAuth::<Claims>::new(provider.trusted(&provider.jwks().await)).expect("valid").dpop(dpop);
    let handler = async |jwt: Jwt<Claims>| jwt.claims().greeting();
    let app = Router::new().route("/orders", get(handler)).layer(auth);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let output = tokio::process::Command::new("node")
        .args(["dpop_client.mjs", "--issuer", &provider.issuer, "--url", &format!("http://{address}/orders?page=1")])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider"))
        .output()
        .await
        .expect("node runs");
    server.abort();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).expect("a line of JSON")
}

fn check(seen: &Value, nonces: u32, of_a_bearer: &str) {
    assert_eq!((&seen["type"], &seen["nonces"]), (&json!("dpop"), &json!(nonces)));
    for name in ["first", "again"] {
        assert_eq!((&seen[name]["status"], &seen[name]["challenge"]), (&json!(200), &Value::Null), "{name}");
        assert_eq!(seen[name]["body"], "service-post of service-post", "{name}");
    }
    for (name, scheme, error) in [
        ("replayed", "DPoP", "invalid_dpop_proof"),
        ("stolen", "DPoP", "invalid_dpop_proof"),
        ("asBearer", of_a_bearer, "invalid_token"),
    ] {
        assert_eq!(seen[name]["status"], 401, "{name}");
        let challenge = seen[name]["challenge"].as_str().expect("a challenge");
        let challenge = crate::support::read_challenge(challenge);
        assert_eq!((challenge.scheme.as_str(), challenge.param("error")), (scheme, Some(error)), "{name}");
    }
}

#[tokio::test]
async fn a_real_client_passes_with_its_proofs_and_a_thief_does_not() {
    check(&visit(provider(), |dpop| dpop).await, 0, "Bearer");
}

#[tokio::test]
async fn a_real_client_learns_the_nonce_and_tries_again() {
    let nonces = DpopNonces::generate().expect("a backend");
    check(&visit(provider(), |dpop| dpop.required().nonces(nonces)).await, 1, "DPoP");
}
