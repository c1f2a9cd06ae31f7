//! For browsers: pages and forms, tokens in cookies that no script can read, and a refresh that nobody notices.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Request, State};
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::extract::Cookie;
use tower_jwt_auth::issue::refresh::RefreshStore;
use tower_jwt_auth::rejection::Rejection;
use tower_jwt_auth::{AuthErrorKind, Jwt, JwtAuth};

use crate::app::{App, Claims, Grant, NoGrant};
use crate::pages::{self, Row};

/// With this prefix a browser takes a cookie only over TLS or from loopback, and for this host alone.
const ACCESS: &str = "__Host-access";
const REFRESH: &str = "__Host-refresh";

pub(crate) fn routes<S: RefreshStore>(app: &Arc<App<S>>) -> Router<Arc<App<S>>> {
    let auth = JwtAuth::with(app.verifier.clone()).extractor(Cookie::new(ACCESS)).on_reject(refused);
    Router::new()
        .route("/", get(home))
        .route("/profile", get(profile))
        .route("/sessions", get(sessions::<S>))
        .route("/logout", post(logout::<S>))
        .route("/logout-everywhere", post(logout_everywhere::<S>))
        .layer(auth)
        .layer(from_fn_with_state(Arc::clone(app), refresh_silently::<S>))
        .route("/login", post(login::<S>))
        .route("/style.css", get(pages::style))
}

/// What somebody without a good token sees.
fn refused(refused: &Rejection<'_>) -> Response {
    match refused.error().kind() {
        AuthErrorKind::MissingToken => pages::login(StatusCode::UNAUTHORIZED, None),
        AuthErrorKind::CrossSite => pages::problem(StatusCode::FORBIDDEN, "This came from another site."),
        kind if kind.is_our_fault() => not_now(),
        _ => pages::login(StatusCode::UNAUTHORIZED, Some("Your session is over. Please sign in again.")),
    }
}

/// Where the access token of a browser is over, changes the refresh token for new ones before the request goes on. Only
/// for requests that this site has caused: others do not change anything, not even that.
async fn refresh_silently<S: RefreshStore>(
    State(app): State<Arc<App<S>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(refresh) = cookie(request.headers(), REFRESH).filter(|_| !is_from_elsewhere(request.headers())) else {
        return next.run(request).await;
    };
    if let Some(access) = cookie(request.headers(), ACCESS) {
        match app.verifier.verify(access).await {
            Ok(_) => return next.run(request).await,
            Err(error) if error.kind().is_our_fault() => return not_now(),
            Err(_) => {}
        }
    }
    match app.refresh(refresh).await {
        Ok(grant) => {
            // The layer behind sees the new token, as if the browser had sent it.
            replace_access(request.headers_mut(), grant.access.as_str());
            let mut response = next.run(request).await;
            // A handler that has signed the user out has taken the cookies back.
            if response.extensions().get::<SignedOut>().is_none() {
                keep(&mut response, &app, &grant);
            }
            response
        }
        Err(NoGrant::Refused) => {
            // No token at all would be somebody who comes for the first time: this one is told that the session is over.
            replace_access(request.headers_mut(), "over");
            let mut response = next.run(request).await;
            forget(&mut response);
            response
        }
        Err(NoGrant::NotNow) => not_now(),
    }
}

async fn home(jwt: Jwt<Claims>) -> Response {
    pages::home(&jwt.claims().sub)
}

async fn profile(jwt: Jwt<Claims>) -> Response {
    let at = |time: Option<UnixTime>| time.map_or(String::new(), |time| ago(time).to_string());
    pages::profile(&[
        ("User", jwt.claims().sub.clone()),
        ("Session", jwt.claims().sid.clone()),
        ("Token issued", at(jwt.issued_at())),
        ("Token expires", at(jwt.expires_at())),
        ("Token number", jwt.jwt_id().unwrap_or_default().to_owned()),
    ])
}

async fn sessions<S: RefreshStore>(State(app): State<Arc<App<S>>>, jwt: Jwt<Claims>) -> Response {
    let Ok(sessions) = app.sessions(&jwt.claims().sub).await else { return not_now() };
    let row = |session: tower_jwt_auth::issue::refresh::Session<crate::app::Login>| Row {
        client: session.data().client.clone(),
        since: ago(session.created()).to_string(),
        last_used: ago(session.last_used()).to_string(),
        is_this_one: session.family().to_string() == jwt.claims().sid,
    };
    pages::sessions(&sessions.into_iter().map(row).collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct LoginForm {
    email: String,
    password: String,
}

async fn login<S: RefreshStore>(
    State(app): State<Arc<App<S>>>,
    headers: HeaderMap,
    Form(given): Form<LoginForm>,
) -> Response {
    // A site that signs its visitors in here, as somebody else, could watch what they do.
    if is_from_elsewhere(&headers) {
        return pages::problem(StatusCode::FORBIDDEN, "This came from another site.");
    }
    let client = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("an unknown browser");
    match app.sign_in(&given.email, &given.password, client).await {
        Ok(grant) => {
            let mut response = Redirect::to("/").into_response();
            keep(&mut response, &app, &grant);
            response
        }
        Err(NoGrant::Refused) => {
            pages::login(StatusCode::UNAUTHORIZED, Some("Email and password do not match. Please try again."))
        }
        Err(NoGrant::NotNow) => not_now(),
    }
}

/// Where a browser does not say which site a form is of, it says the origin.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(HeaderValue::as_bytes);
    match (text("sec-fetch-site"), text("origin")) {
        (Some(from), _) => from != b"same-origin" && from != b"none",
        (None, Some(origin)) => {
            let host = origin.strip_prefix(b"https://").or(origin.strip_prefix(b"http://"));
            host.is_none() || host != text("host")
        }
        (None, None) => false,
    }
}

async fn logout<S: RefreshStore>(State(app): State<Arc<App<S>>>, jwt: Jwt<Claims>) -> Response {
    signed_out(&app.sign_out(&jwt).await)
}

async fn logout_everywhere<S: RefreshStore>(State(app): State<Arc<App<S>>>, jwt: Jwt<Claims>) -> Response {
    signed_out(&app.sign_out_everywhere(&jwt).await)
}

/// The cookies stay until the session is over for sure: the button can be pressed again.
fn signed_out(done: &Result<(), NoGrant>) -> Response {
    if done.is_err() {
        return not_now();
    }
    let mut response = Redirect::to("/").into_response();
    forget(&mut response);
    response
}

fn not_now() -> Response {
    pages::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        "We cannot look after sessions at the moment. Please try again at once.",
    )
}

/// The cookies of a session. The refresh token lives as long as the browser's own session.
fn keep<S>(response: &mut Response, app: &App<S>, grant: &Grant) {
    let ttl = app.access_ttl.as_secs();
    set(response, &format!("{ACCESS}={}; Max-Age={ttl}; {ATTRIBUTES}", grant.access.as_str()));
    set(response, &format!("{REFRESH}={}; {ATTRIBUTES}", grant.refresh));
}

/// A response whose cookies end the session.
#[derive(Clone)]
struct SignedOut;

fn forget(response: &mut Response) {
    response.extensions_mut().insert(SignedOut);
    for name in [ACCESS, REFRESH] {
        set(response, &format!("{name}=; Max-Age=0; {ATTRIBUTES}"));
    }
}

const ATTRIBUTES: &str = "Path=/; HttpOnly; Secure; SameSite=Lax";

fn set(response: &mut Response, cookie: &str) {
    let mut value = HeaderValue::try_from(cookie).expect("tokens are ASCII without separators");
    value.set_sensitive(true);
    response.headers_mut().append(SET_COOKIE, value);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// Puts another access token among the cookies of a request, and leaves those of others alone.
fn replace_access(headers: &mut HeaderMap, token: &str) {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let others = lines.flat_map(|line| line.split(';')).map(str::trim);
    let others = others.filter(|pair| pair.split_once('=').is_none_or(|(name, _)| name != ACCESS));
    let all: Vec<_> = others.map(str::to_owned).chain([format!("{ACCESS}={token}")]).collect();
    let value = HeaderValue::try_from(all.join("; ")).expect("tokens and what came are ASCII");
    headers.insert(COOKIE, value);
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// A time in words.
fn ago(time: UnixTime) -> impl fmt::Display {
    let seconds = Clock::system().now().as_secs() - time.as_secs();
    let (amount, unit) = match seconds.abs() {
        amount @ 0..=119 => (amount, "seconds"),
        amount @ 120..=7199 => (amount / 60, "minutes"),
        amount @ 7200..=172_799 => (amount / 3600, "hours"),
        amount => (amount / 86_400, "days"),
    };
    if seconds < 0 { format!("in {amount} {unit}") } else { format!("{amount} {unit} ago") }
}
