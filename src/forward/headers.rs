//! Which headers, and what stands in them.

use std::fmt;
use std::sync::Arc;

use http::Extensions;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use tower_layer::Layer;

use super::ForwardClaimsService;
use crate::admission::Admission;
use crate::error::{AuthError, AuthErrorKind, ConfigError};
use crate::events;
use crate::extract::Carrier;
use crate::quote;
use crate::verify::{AnyJwt, Jwt};

/// The longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// A layer behind [`JwtAuth`](crate::JwtAuth) that tells the next hop about the token, in headers.
#[derive(Clone, Default)]
pub struct ForwardClaims {
    rules: Vec<Rule>,
    strips_token: bool,
}

#[derive(Clone)]
struct Rule {
    name: HeaderName,
    read: Arc<Read>,
}

/// `Err` where the claims are of another type.
type Read = dyn Fn(&AnyJwt, &Extensions) -> Result<Option<String>, &'static str> + Send + Sync;

impl ForwardClaims {
    /// A layer that sets no header yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// `sub`, in this header.
    ///
    /// # Errors
    /// When it is no header name, one that the next hop needs for itself, or set twice.
    pub fn subject(self, header: &str) -> Result<Self, ConfigError> {
        self.fact(header, |jwt| jwt.subject().map(str::to_owned))
    }

    /// The issuer, in this header.
    ///
    /// # Errors
    /// Those of [`subject`](Self::subject).
    pub fn issuer(self, header: &str) -> Result<Self, ConfigError> {
        self.fact(header, |jwt| jwt.issuer().map(str::to_owned))
    }

    /// `client_id`, in this header.
    ///
    /// # Errors
    /// Those of [`subject`](Self::subject).
    pub fn client_id(self, header: &str) -> Result<Self, ConfigError> {
        self.fact(header, |jwt| jwt.client_id().map(str::to_owned))
    }

    /// The scopes that the token grants, separated by spaces; none where it grants none.
    ///
    /// # Errors
    /// Those of [`subject`](Self::subject).
    pub fn scopes(self, header: &str) -> Result<Self, ConfigError> {
        self.fact(header, |jwt| {
            let all: Vec<_> = jwt.scopes().collect();
            (!all.is_empty()).then(|| all.join(" "))
        })
    }

    /// Anything made from the token, in this header; `None` leaves it out. The layer in front must verify claims of this
    /// type, or the answer is 500.
    ///
    /// ```
    /// use tower_jwt_auth::{Jwt, forward::ForwardClaims};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Claims {
    ///     tenant: String,
    /// }
    ///
    /// let forward = ForwardClaims::new().claim("x-tenant", |jwt: &Jwt<Claims>| Some(jwt.claims().tenant.clone()))?;
    /// # let _ = forward;
    /// # Ok::<(), tower_jwt_auth::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`subject`](Self::subject).
    pub fn claim<C: Send + Sync + 'static>(
        self,
        header: &str,
        value: impl Fn(&Jwt<C>) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        self.rule(header, move |jwt, extensions| {
            // The innermost layer's token, not one with the same claims type that a layer further out has left.
            let own = extensions.get::<Jwt<C>>().filter(|own| own.is(jwt));
            own.map(&value).ok_or_else(std::any::type_name::<C>)
        })
    }

    /// Removes the token from the request: the `Authorization` header, and every header that is marked sensitive, as the
    /// layer marks the one that carries the token. One that came in a cookie goes with all cookies. One that came in the
    /// query or in a websocket protocol, or that a closure found and no header holds as it is, cannot be removed: the
    /// request is refused with 500, and the log says so.
    #[must_use]
    pub fn strip_token(mut self) -> Self {
        self.strips_token = true;
        self
    }

    fn fact(
        self,
        header: &str,
        read: impl Fn(&AnyJwt) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        self.rule(header, move |jwt, _| Ok(read(jwt)))
    }

    fn rule(
        mut self,
        header: &str,
        read: impl Fn(&AnyJwt, &Extensions) -> Result<Option<String>, &'static str> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let name = HeaderName::try_from(header)
            .map_err(|_| ConfigError::new(format!("{} is no header name", quote::name(header))))?;
        if is_reserved(&name) {
            return Err(ConfigError::new(format!("{header:?} has a meaning of its own to the next hop: name it x-…")));
        }
        if self.sets(name.as_ref()) {
            return Err(ConfigError::new(format!("{header:?} is set twice")));
        }
        self.rules.push(Rule { name, read: Arc::new(read) });
        Ok(self)
    }

    /// Judges the request, and changes its headers.
    pub(super) fn apply(&self, head: &mut Parts) -> Result<(), AuthError> {
        let names: Vec<_> = head.headers.keys().filter(|name| self.sets(name.as_ref())).cloned().collect();
        for name in names {
            head.headers.remove(name);
        }
        // A client may not have the next hop remove what is set here.
        unlist(&mut head.headers, |name| self.sets(name));
        let Some(admission) = head.extensions.get::<Admission>() else {
            events::misplaced("ForwardClaims", "any claims", None);
            return Err(AuthErrorKind::Misconfigured.into());
        };
        if let Some(jwt) = &admission.jwt {
            for rule in &self.rules {
                if let Some(value) = rule.value(jwt, &head.extensions)? {
                    head.headers.insert(&rule.name, value);
                }
            }
        }
        if self.strips_token {
            strip(&mut head.headers, admission.carrier)?;
        }
        Ok(())
    }

    fn sets(&self, name: &[u8]) -> bool {
        self.rules.iter().any(|rule| is_alike(rule.name.as_ref(), name))
    }
}

impl Rule {
    fn value(&self, jwt: &AnyJwt, extensions: &Extensions) -> Result<Option<HeaderValue>, AuthError> {
        let text = (self.read)(jwt, extensions).map_err(|wanted| {
            events::misplaced("ForwardClaims", wanted, Some(jwt.claims_type()));
            AuthError::from(AuthErrorKind::Misconfigured)
        })?;
        let Some(text) = text else { return Ok(None) };
        let is_plain =
            text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim_matches(' ').len() == text.len();
        if text.is_empty() || text.len() > MAX_VALUE || !is_plain {
            let detail = format!("what `{}` would hold cannot stand in a header", self.name);
            return Err(AuthError::new(AuthErrorKind::Forbidden).with_detail(detail));
        }
        Ok(HeaderValue::try_from(text).ok())
    }
}

/// Takes names out of `Connection`, whose members the next hop removes (RFC 9110 §7.6.1).
pub(super) fn unlist(headers: &mut HeaderMap, is_kept: impl Fn(&[u8]) -> bool) {
    let listed: Vec<_> = headers.get_all(CONNECTION).iter().cloned().collect();
    let members = listed.iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    if !members.clone().any(&is_kept) {
        return;
    }
    headers.remove(CONNECTION);
    let rest: Vec<_> = members.filter(|member| !member.is_empty() && !is_kept(member)).collect();
    if let (false, Ok(value)) = (rest.is_empty(), HeaderValue::from_bytes(&rest.join(&b", "[..]))) {
        headers.insert(CONNECTION, value);
    }
}

/// Removes the credential from where it was. What cannot be removed is not said to be.
fn strip(headers: &mut HeaderMap, carrier: Option<Carrier>) -> Result<(), AuthError> {
    headers.remove(AUTHORIZATION);
    match carrier {
        None => {}
        Some(Carrier::Cookie) => {
            headers.remove(COOKIE);
        }
        Some(Carrier::Authorization | Carrier::Header) => {
            // The layer has marked it; nothing else that is sensitive is for the next hop either.
            let names: Vec<_> =
                headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone()).collect();
            for name in names {
                headers.remove(name);
            }
        }
        Some(Carrier::Query | Carrier::WebSocketProtocol | Carrier::Elsewhere) => {
            events::not_stripped();
            return Err(AuthErrorKind::Misconfigured.into());
        }
    }
    Ok(())
}

/// Equal but for case and for marks: CGI servers make one variable of `X-User-Id`, `x_user_id` and `x.user.id`.
fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    one.iter().map(folded).eq(other.iter().map(folded))
}

/// Headers that frame a message, belong to one connection, or are credentials (RFC 9110 §7.6.1).
fn is_reserved(name: &HeaderName) -> bool {
    const RESERVED: &[&str] = &[
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "origin",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let name = name.as_str().replace('_', "-");
    RESERVED.contains(&&*name) || name.starts_with("sec-")
}

impl<S> Layer<S> for ForwardClaims {
    type Service = ForwardClaimsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ForwardClaimsService::new(inner, self.clone())
    }
}

impl fmt::Debug for ForwardClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        f.debug_struct("ForwardClaims").field("headers", &names).field("strips_token", &self.strips_token).finish()
    }
}
