//! How a source speaks HTTP: a small trait, and reqwest as the one at hand.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::task::{Context, Poll};

use crate::error::ConfigError;

/// Whatever went wrong.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The body of a response, as it arrives. It is read no further than the bound allows.
pub type ResponseBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>;

type SendFuture = Pin<Box<dyn Future<Output = Result<http::Response<ResponseBody>, BoxError>> + Send>>;

/// Sends a request and gives back what came: one's own HTTP client for keys.
///
/// It must not follow redirects, which could lead to keys of somebody else. Time limits, bounds, retries and the
/// meaning of the answer are the source's. [`reqwest::Client`] is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot fetch keys",
    note = "use a `reqwest::Client`, or implement `Transport` (one method)"
)]
pub trait Transport: Send + Sync + 'static {
    /// Sends a GET request with an absolute URI.
    fn send(&self, request: http::Request<()>) -> SendFuture;
}

impl Transport for reqwest::Client {
    fn send(&self, request: http::Request<()>) -> SendFuture {
        let client = self.clone();
        Box::pin(async move {
            let request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))?;
            let asked = request.url().clone();
            let response = match client.execute(request).await {
                Err(error) if error.is_redirect() => return Err(FollowedRedirect.into()),
                response => response.map_err(reqwest::Error::without_url)?,
            };
            if *response.url() != asked {
                return Err(FollowedRedirect.into());
            }
            Ok(http::Response::from(response).map(|body| Box::pin(Boxed(body)) as ResponseBody))
        })
    }
}

/// A client that must not, did. Trying again does not help.
#[derive(Debug)]
pub(super) struct FollowedRedirect;

impl fmt::Display for FollowedRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client followed a redirect: build it with `redirect::Policy::none()`")
    }
}

impl Error for FollowedRedirect {}

/// A reqwest body with its error boxed.
struct Boxed(reqwest::Body);

impl Body for Boxed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The client of a source that is given none. What is on this machine is asked without a proxy, which would take the
/// question, and plain http with it, to another.
pub(super) fn default_client(connect_timeout: Duration, is_loopback: bool) -> Result<reqwest::Client, ConfigError> {
    let builder = reqwest::Client::builder();
    let builder = if is_loopback { builder.no_proxy() } else { builder };
    builder
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ConfigError::new(format!("the HTTP client for keys cannot be built: {error}")))
}
