//! Each alternative as its documentation says, with a JWK set in memory.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use bench_harness::{AUDIENCE, Claims, ISSUER, Nothing};
use http::{Request, Response};
use tower::{Layer, Service, service_fn};
use tower_jwt_auth::Algorithm;

/// jwt-authorizer answers refusals with the body of axum 0.7.
pub async fn jwt_authorizer(
    jwks: &str,
) -> impl Service<Request<axum_07::body::Body>, Response = Response<axum_07::body::Body>, Error = Infallible> + use<> {
    use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};

    let rules = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer = JwtAuthorizer::<Claims>::from_jwks_text(jwks).validation(rules).build().await;
    authorizer.expect("a good configuration").into_layer().layer(Nothing)
}

pub async fn tower_oauth2(
    jwks: &str,
    algorithm: Algorithm,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + use<> {
    use tower_oauth2_resource_server::server::OAuth2ResourceServer;
    use tower_oauth2_resource_server::tenant::TenantConfiguration;
    use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

    let rules = ClaimsValidationSpec::new().iss(ISSUER).aud(&vec![AUDIENCE.to_owned()]).exp(true);
    let algorithm = algorithm.name().parse().expect("one that jsonwebtoken has");
    let tenant = TenantConfiguration::static_builder(jwks).claims_validation(rules).allowed_algorithms(&[algorithm]);
    let server = OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant.build().expect("good keys")).build().await;
    server.expect("a good configuration").into_layer().layer(Nothing)
}

/// An extractor and no layer: it is called where axum would call it, before the handler.
pub fn axum_jwt_auth(jwks: &str) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    use axum_jwt_auth::{Claims as Extracted, Decoder, LocalDecoder};
    use jsonwebtoken_10::{DecodingKey, Validation, jwk::JwkSet};

    let jwks: JwkSet = serde_json::from_str(jwks).expect("a JWK set");
    let named = jwks.keys[0].common.key_algorithm.expect("the keys here name their algorithm");
    let mut validation = Validation::new(named.to_string().parse().expect("an algorithm for signatures"));
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let keys = jwks.keys.iter().map(|jwk| DecodingKey::from_jwk(jwk).expect("a key"));
    let decoder = LocalDecoder::new(keys.collect(), validation).expect("a good configuration");
    let decoder: Decoder<Claims> = Arc::new(decoder);
    service_fn(move |request: Request<Body>| {
        let decoder = Arc::clone(&decoder);
        async move {
            let (mut head, body) = request.into_parts();
            let extracted = Extracted::<Claims>::from_request_parts(&mut head, &decoder).await.expect("a good token");
            head.extensions.insert(Arc::new(extracted.claims));
            Nothing.call(Request::from_parts(head, body)).await
        }
    })
}

pub fn oauth_resource_server(jwks: &str) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> {
    use oauth_resource_server::http_layer::HttpAuthLayer;
    use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};

    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        resource: AUDIENCE.into(),
        required_scopes: vec!["orders:read".into()],
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).expect("a good configuration").expect("enabled");
    let validator = OAuthValidator::builder(&config).initial_jwks(jwks).build().expect("good keys");
    HttpAuthLayer::builder().oauth(Arc::new(validator)).build().expect("a good configuration").layer(Nothing)
}
