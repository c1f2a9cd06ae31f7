//! What a session is: a family of refresh tokens, and access tokens that name it in `sid`.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::issue::refresh::{FamilyId, RefreshError, RefreshStore, RefreshTokens, Session};
use tower_jwt_auth::issue::{IssueError, IssuedToken, TokenIssuer};
use tower_jwt_auth::{Jwt, Verifier};

use crate::revocations::Revocations;

pub(crate) const ISSUER: &str = "https://session.example";
pub(crate) const AUDIENCE: &str = "session";
const CLIENT: &str = "session";

/// What an access token says beside what every one says. Whoever holds it can read it: no secrets here.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    /// The session, as in OpenID Connect's logout: what a logout revokes.
    pub(crate) sid: String,
    /// Who the token was issued to (RFC 9068 §2.2): here the pages and the API are one client.
    pub(crate) client_id: String,
}

/// What is kept of a login with its refresh tokens.
#[derive(Serialize, Deserialize)]
pub(crate) struct Login {
    /// What the user signed in with, as the page of sessions shows it.
    pub(crate) client: String,
}

pub(crate) struct App<S> {
    pub(crate) issuer: TokenIssuer,
    pub(crate) verifier: Verifier<Claims>,
    /// For a moment the same refresh token may come again: from browsers, which load pages side by side, and from whoever
    /// did not get the answer. Later, it ends the session.
    pub(crate) tokens: RefreshTokens<Login, Arc<S>>,
    pub(crate) revocations: Revocations,
    pub(crate) access_ttl: Duration,
}

/// An access token with the refresh token that comes after it.
pub(crate) struct Grant {
    pub(crate) access: IssuedToken,
    pub(crate) refresh: String,
}

/// Why there is no grant.
pub(crate) enum NoGrant {
    /// The user has to sign in.
    Refused,
    /// The store or the keys are away: whoever tries again soon does not have to sign in.
    NotNow,
}

impl From<IssueError> for NoGrant {
    fn from(_: IssueError) -> Self {
        Self::NotNow
    }
}

impl<S: RefreshStore> App<S> {
    /// A session for whoever knows the password. A real service keeps a slow hash of it (argon2), and bounds the tries.
    pub(crate) async fn sign_in(&self, email: &str, password: &str, client: &str) -> Result<Grant, NoGrant> {
        if email != "user@example.com" || password != "pass" {
            return Err(NoGrant::Refused);
        }
        let login = Login { client: client.chars().take(160).collect() };
        let refresh = self.tokens.start(email, &login).await.map_err(|_| NoGrant::NotNow)?;
        Ok(Grant { access: self.access(email, refresh.family())?, refresh: refresh.as_str().to_owned() })
    }

    /// The next tokens of a session.
    pub(crate) async fn refresh(self: &Arc<Self>, token: &str) -> Result<Grant, NoGrant> {
        let (app, token) = (Arc::clone(self), token.to_owned());
        to_the_end(async move {
            // A refresh token that is spent for nothing would look stolen when it comes again.
            if !app.issuer.is_ready() {
                return Err(NoGrant::NotNow);
            }
            let rotated = match app.tokens.rotate(&token).await {
                Ok(rotated) => rotated,
                Err(error) => return Err(app.refused(&error).await),
            };
            let access = app.access(rotated.subject(), rotated.token().family())?;
            Ok(Grant { access, refresh: rotated.token().as_str().to_owned() })
        })
        .await
    }

    /// A spent token has come again: somebody has a stolen one. The family is over, and so are its access tokens.
    async fn refused(&self, error: &RefreshError) -> NoGrant {
        if let Some(reuse) = error.reuse() {
            // While the list cannot be reached, they end by themselves, with their short lives.
            let _ = self.end_access(&reuse.family().to_string()).await;
        }
        if error.kind().is_our_fault() { NoGrant::NotNow } else { NoGrant::Refused }
    }

    /// Ends the session of a token: its refresh token and its access tokens, here and at every other copy.
    pub(crate) async fn sign_out(self: &Arc<Self>, jwt: &Jwt<Claims>) -> Result<(), NoGrant> {
        let (app, jwt) = (Arc::clone(self), jwt.clone());
        to_the_end(async move {
            let claims = jwt.claims();
            let family = FamilyId::parse(&claims.sid).ok_or(NoGrant::Refused)?;
            app.tokens.revoke_own(&claims.sub, family).await.map_err(|_| NoGrant::NotNow)?;
            app.end_access(&claims.sid).await
        })
        .await
    }

    /// Ends every session of the user.
    pub(crate) async fn sign_out_everywhere(self: &Arc<Self>, jwt: &Jwt<Claims>) -> Result<(), NoGrant> {
        let (app, jwt) = (Arc::clone(self), jwt.clone());
        to_the_end(async move {
            let Claims { sub, sid, .. } = jwt.claims();
            let sessions = app.sessions(sub).await?;
            let ended = app.tokens.revoke_subject(sub).await.map_err(|_| NoGrant::NotNow);
            // Where that had no answer they may be over, and nobody will find them again: none is left out.
            let others = sessions.iter().map(|session| session.family().to_string()).filter(|other| other != sid);
            let others = others.map(|other| (Arc::clone(&app), other));
            let others: JoinSet<_> = others.map(async |(app, other)| app.end_access(&other).await).collect();
            let others: Result<(), NoGrant> = others.join_all().await.into_iter().collect();
            // With the own access token the button can be pressed again. What others have not heard of yet is sent to them
            // by this copy, as soon as it can.
            ended?;
            app.end_access(sid).await.and(others)
        })
        .await
    }

    pub(crate) async fn sessions(&self, subject: &str) -> Result<Vec<Session<Login>>, NoGrant> {
        self.tokens.sessions(subject).await.map_err(|_| NoGrant::NotNow)
    }

    fn access(&self, subject: &str, session: FamilyId) -> Result<IssuedToken, IssueError> {
        let client_id = CLIENT.to_owned();
        self.issuer.issue(&Claims { sub: subject.to_owned(), sid: session.to_string(), client_id })
    }

    /// No access token of a session outlives the one that could be issued now.
    async fn end_access(&self, sid: &str) -> Result<(), NoGrant> {
        let now = Clock::system().now().as_secs();
        let ttl = i64::try_from(self.access_ttl.as_secs()).unwrap_or(i64::MAX);
        let last = UnixTime::from_secs(now.saturating_add(ttl).saturating_add(1));
        self.revocations.end(ISSUER, sid, last).await.map_err(|_| NoGrant::NotNow)
    }
}

/// Does all of it, even where the client does not wait for the answer: half of a logout is none.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, NoGrant>> + Send + 'static,
) -> Result<T, NoGrant> {
    tokio::spawn(work).await.unwrap_or(Err(NoGrant::NotNow))
}
