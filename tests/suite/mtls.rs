//! Tokens that are bound to a client certificate (RFC 8705).

use std::convert::Infallible;

use http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::binding::PeerCertificate;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, JwtAuth};

use crate::support::Claims;

/// Any bytes do for a certificate here: only their hash is looked at. The example `mtls` shows real ones.
const CERTIFICATE: &[u8] = b"a certificate";
/// `printf 'a certificate' | openssl dgst -sha256 -binary | basenc --base64url`, without padding.
const THUMBPRINT: &str = "gazXYhQPppKhQoItL75NxvVLyqUB9oqzflru0Lr-TZk";

async fn verdict(auth: JwtAuth<Claims>, cnf: &Value, peer: Option<&[u8]>) -> (StatusCode, Option<AuthErrorKind>) {
    let token = AUTHORITY.with(|authority| authority.token().claim("cnf", cnf).sign());
    let mut request =
        Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    if let Some(der) = peer {
        request.extensions_mut().insert(PeerCertificate::from_der(der));
    }
    let service = auth.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let response = service.oneshot(request).await.expect("infallible");
    (response.status(), response.extensions().get::<AuthError>().map(AuthError::kind))
}

thread_local! {
    static AUTHORITY: Authority = Authority::new(Algorithm::ES256);
}

#[tokio::test]
async fn a_token_passes_with_the_certificate_that_it_is_bound_to() {
    let plain = || JwtAuth::new(AUTHORITY.with(Authority::trusted)).expect("valid");
    let bound = json!({"x5t#S256": THUMBPRINT});
    let ok = (StatusCode::OK, None);
    let refused = (StatusCode::UNAUTHORIZED, Some(AuthErrorKind::BindingNotChecked));
    let cases = [
        (true, &bound, Some(CERTIFICATE), ok),
        (true, &bound, Some(&CERTIFICATE[1..]), refused),
        (true, &bound, None, refused),
        (false, &bound, Some(CERTIFICATE), refused),
        (true, &json!({"x5t#S256": format!("{THUMBPRINT}=")}), Some(CERTIFICATE), refused),
        (true, &json!({"x5t#S256": ""}), Some(CERTIFICATE), refused),
        (true, &json!({"x5t#S256": [THUMBPRINT]}), Some(CERTIFICATE), refused),
        (true, &json!({"x5t": THUMBPRINT}), Some(CERTIFICATE), refused),
        (true, &json!({"x5t#S256": THUMBPRINT, "jkt": "x"}), Some(CERTIFICATE), refused),
        (true, &json!({"x5t#S256": THUMBPRINT, "kid": "x"}), Some(CERTIFICATE), ok),
    ];
    for (checks, cnf, peer, expected) in cases {
        let auth = if checks { plain().mtls() } else { plain() };
        assert_eq!(verdict(auth, cnf, peer).await, expected, "{cnf}, {peer:?}, checked: {checks}");
    }
}

#[test]
fn a_certificate_is_not_shown() {
    assert!(!format!("{:?}", PeerCertificate::from_der(b"CANARY")).contains("CANARY"));
}
