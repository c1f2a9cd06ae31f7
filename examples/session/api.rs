//! For clients that keep their tokens by themselves: JSON, and access tokens in `Authorization`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use tower_jwt_auth::issue::refresh::RefreshStore;
use tower_jwt_auth::{Jwt, JwtAuth, ProblemJson};

use crate::app::{App, Claims, Grant, NoGrant};

pub(crate) fn routes<S: RefreshStore>(app: &Arc<App<S>>) -> Router<Arc<App<S>>> {
    let auth = JwtAuth::with(app.verifier.clone()).realm("session").on_reject(ProblemJson);
    Router::new()
        .route("/api/profile", get(profile))
        .route("/api/logout", post(logout::<S>))
        .layer(auth)
        .route("/api/login", post(login::<S>))
        .route("/api/refresh", post(refresh::<S>))
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

async fn login<S: RefreshStore>(State(app): State<Arc<App<S>>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(given) = serde_json::from_slice::<Credentials>(&body) else { return malformed() };
    let client = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("an unknown client");
    answer(&app, app.sign_in(&given.email, &given.password, client).await)
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

async fn refresh<S: RefreshStore>(State(app): State<Arc<App<S>>>, body: Bytes) -> Response {
    let Ok(given) = serde_json::from_slice::<Refresh>(&body) else { return malformed() };
    answer(&app, app.refresh(&given.refresh_token).await)
}

async fn profile(jwt: Jwt<Claims>) -> Response {
    let claims = jwt.claims();
    let expires = jwt.expires_at().map(tower_jwt_auth::clock::UnixTime::as_secs);
    Json(json!({"sub": claims.sub, "sid": claims.sid, "exp": expires})).into_response()
}

async fn logout<S: RefreshStore>(State(app): State<Arc<App<S>>>, jwt: Jwt<Claims>) -> Response {
    match app.sign_out(&jwt).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => refused(&reason),
    }
}

/// RFC 6749 §5.1.
fn answer<S>(app: &App<S>, grant: Result<Grant, NoGrant>) -> Response {
    match grant {
        Ok(Grant { access, refresh }) => {
            let expires_in = app.access_ttl.as_secs();
            let body = json!({
                "access_token": access.into_string(), "token_type": "Bearer", "expires_in": expires_in,
                "refresh_token": refresh,
            });
            ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(reason) => refused(&reason),
    }
}

fn refused(reason: &NoGrant) -> Response {
    match reason {
        NoGrant::Refused => (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_grant"}))).into_response(),
        // Well within the window for a refresh token that comes again.
        NoGrant::NotNow => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], Json(json!({"error": "temporarily_unavailable"})))
                .into_response()
        }
    }
}

fn malformed() -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_request"}))).into_response()
}
