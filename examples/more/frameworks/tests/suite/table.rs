//! The table: what is sent, and what is to come back, whatever the framework.
//!
//! Every row is a POST to one route, as gRPC is always POST.

use AuthErrorKind as Kind;
use tower_jwt_auth::AuthErrorKind;
use tower_jwt_auth::testing::{Authority, TokenBuilder};

use crate::client::{Client, Fields};

/// A request and its answer.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// How the server protects the route: see its `Setup`.
    pub(crate) setup: &'static str,
    pub(crate) sent: fn(&Authority) -> Fields,
    pub(crate) expected: Expected,
    /// Where server or client do not let it come to that.
    pub(crate) unless: &'static [Unless],
}

#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// Over HTTP. Over gRPC it is 200.
    pub(crate) status: u16,
    /// Over gRPC.
    pub(crate) grpc: u8,
    pub(crate) challenge: Challenge,
    /// For the phrase, in the challenge and over gRPC, and for the body of a problem.
    pub(crate) kind: Option<Kind>,
    /// `Cache-Control` over HTTP. Over gRPC every refusal has `no-store`.
    pub(crate) cache: Option<&'static str>,
    /// In seconds.
    pub(crate) retry_after: Option<u64>,
    /// Whom the handler saw; `None` where it must not run.
    pub(crate) subject: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) enum Challenge {
    None,
    Bare,
    Error(&'static str),
    /// That this scope is missing.
    Scope(&'static str),
}

/// Framework and client.
#[derive(Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) framework: &'static str,
    pub(crate) client: Client,
}

/// An exception to a row.
pub(crate) struct Unless {
    pub(crate) on: fn(Wire) -> bool,
    pub(crate) then: Then,
    pub(crate) why: &'static str,
}

/// What happens instead. The handler does not run in any case.
pub(crate) enum Then {
    /// The server answers this, and the layer is not asked.
    Status(u16),
    /// The server ends the stream or the connection.
    Nothing,
    /// The client refuses to send it.
    NotSent,
}

const fn passes(subject: &'static str) -> Expected {
    let (challenge, kind) = (Challenge::None, None);
    Expected { status: 200, grpc: 0, challenge, kind, cache: None, retry_after: None, subject: Some(subject) }
}

const fn refused(status: u16, grpc: u8, challenge: Challenge, kind: Kind) -> Expected {
    let cache = if matches!(status, 401 | 403) { Some("no-store") } else { None };
    Expected { status, grpc, challenge, kind: Some(kind), cache, retry_after: None, subject: None }
}

const fn invalid_request(kind: Kind) -> Expected {
    refused(400, 16, Challenge::Error("invalid_request"), kind)
}

const fn invalid_token(kind: Kind) -> Expected {
    refused(401, 16, Challenge::Error("invalid_token"), kind)
}

const MISSING: Expected = refused(401, 16, Challenge::Bare, Kind::MissingToken);
const CROSS_SITE: Expected = refused(403, 7, Challenge::None, Kind::CrossSite);
const NO_SCOPE: Expected = refused(403, 7, Challenge::Scope("orders:read"), Kind::InsufficientScope);
const NO_KEYS: Expected = Expected { retry_after: Some(7), ..refused(503, 14, Challenge::None, Kind::KeysUnavailable) };
/// Caches do not see a credential in a cookie.
const PASSES_PRIVATE: Expected = Expected { cache: Some("private"), ..passes("user-1") };

/// A good token, to be made wrong.
fn token(authority: &Authority) -> TokenBuilder<'_> {
    authority.token().claim("scope", "orders:read")
}

/// A good token of about this length, at most.
fn token_of(authority: &Authority, length: usize) -> String {
    let pad = |bytes: usize| token(authority).claim("pad", "x".repeat(bytes)).sign();
    // Base64url: three bytes are four characters.
    let bytes = (length - pad(0).len()) / 4 * 3;
    pad(bytes)
}

fn authorization(value: impl Into<Vec<u8>>) -> Fields {
    vec![("authorization", value.into())]
}

fn bearer(token: TokenBuilder<'_>) -> Fields {
    authorization(format!("Bearer {}", token.sign()))
}

/// In a cookie, with what a browser says of the page.
fn cookie(token: TokenBuilder<'_>, field: &'static str, value: &str) -> Fields {
    vec![("cookie", format!("theme=dark; __Host-access={}", token.sign()).into_bytes()), (field, value.into())]
}

const LONG_OVER_HTTP_2: &[Unless] = &[Unless {
    on: |wire| wire.client != Client::Http1,
    then: Then::Status(431),
    why: "the headers of a request over HTTP/2 may take 16 KiB, unless the server is told otherwise",
}];

/// A row without exceptions.
const fn row(name: &'static str, setup: &'static str, sent: fn(&Authority) -> Fields, expected: Expected) -> Row {
    Row { name, setup, sent, expected, unless: &[] }
}

pub(crate) const TABLE: &[Row] = &[
    // The credential.
    row("no token", "guarded", |_| vec![], MISSING),
    row("another scheme", "guarded", |_| authorization("Basic dTpw"), MISSING),
    row("DPoP, which this service does not take", "guarded", |_| authorization("DPoP abc"), MISSING),
    row("a good token", "guarded", |a| bearer(token(a)), passes("user-1")),
    row("another subject", "guarded", |a| bearer(token(a).claim("sub", "user-2")), passes("user-2")),
    row(
        "the scheme in lower case",
        "guarded",
        |a| authorization(format!("bearer {}", token(a).sign())),
        passes("user-1"),
    ),
    row(
        "the scheme in upper case and several spaces",
        "guarded",
        |a| authorization(format!("BEARER   {}", token(a).sign())),
        passes("user-1"),
    ),
    row("an empty token", "guarded", |_| authorization("Bearer "), invalid_request(Kind::MalformedCredential)),
    row(
        "a space in the token",
        "guarded",
        |a| authorization(format!("Bearer {} x", token(a).sign())),
        invalid_request(Kind::MalformedCredential),
    ),
    row(
        "two Authorization headers",
        "guarded",
        |a| [bearer(token(a)), bearer(token(a))].concat(),
        invalid_request(Kind::SeveralCredentials),
    ),
    row(
        "a good one behind one of another scheme",
        "guarded",
        |a| [authorization("Basic dTpw"), bearer(token(a))].concat(),
        invalid_request(Kind::SeveralCredentials),
    ),
    row(
        "two that something on the way has joined",
        "guarded",
        |a| authorization(format!("Basic dTpw, Bearer {}", token(a).sign())),
        invalid_request(Kind::SeveralCredentials),
    ),
    Row {
        unless: &[Unless {
            on: |wire| wire.client == Client::Grpc,
            then: Then::NotSent,
            why: "gRPC metadata are ASCII",
        }],
        ..row(
            "a byte beyond ASCII",
            "guarded",
            |_| authorization(b"Bearer a\xffb"),
            invalid_request(Kind::MalformedCredential),
        )
    },
    Row {
        unless: &[
            Unless {
                on: |wire| wire.client == Client::Http1,
                then: Then::Status(400),
                why: "hyper refuses a control byte in a header, and what stands on it with it",
            },
            Unless {
                on: |wire| wire.client == Client::Grpc,
                then: Then::NotSent,
                why: "gRPC metadata are ASCII that can be printed",
            },
            Unless { on: |_| true, then: Then::Nothing, why: "such a stream is malformed (RFC 9113 §8.2.1)" },
        ],
        ..row(
            "a control byte",
            "guarded",
            |_| authorization(b"Bearer a\x01b"),
            invalid_request(Kind::MalformedCredential),
        )
    },
    Row {
        unless: LONG_OVER_HTTP_2,
        ..row(
            "as long as a token may be",
            "guarded",
            |a| authorization(format!("Bearer {}", token_of(a, 16 * 1024))),
            passes("user-1"),
        )
    },
    Row {
        unless: LONG_OVER_HTTP_2,
        ..row(
            "longer than 16 KiB",
            "guarded",
            |a| authorization(format!("Bearer {}", token_of(a, 16 * 1024 + 8))),
            invalid_token(Kind::TokenTooLong),
        )
    },
    row("of 12 KiB", "guarded", |a| authorization(format!("Bearer {}", token_of(a, 12 * 1024))), passes("user-1")),
    // The token.
    row("no JWT", "guarded", |_| authorization("Bearer opaque"), invalid_token(Kind::MalformedToken)),
    row("tampered", "guarded", |a| bearer(token(a).tampered()), invalid_token(Kind::InvalidSignature)),
    row(
        "alg none",
        "guarded",
        |a| bearer(token(a).header("alg", "none").unsigned()),
        invalid_token(Kind::AlgorithmNotAllowed),
    ),
    row(
        "alg HS256 with a public key",
        "guarded",
        |a| bearer(token(a).header("alg", "HS256")),
        invalid_token(Kind::AlgorithmNotAllowed),
    ),
    row("crit", "guarded", |a| bearer(token(a).header("crit", ["exp"])), invalid_token(Kind::CriticalHeader)),
    row("another type", "guarded", |a| bearer(token(a).header("typ", "logout+jwt")), invalid_token(Kind::WrongType)),
    row("unknown kid", "guarded", |a| bearer(token(a).header("kid", "key-9")), invalid_token(Kind::UnknownKey)),
    row("expired", "guarded", |a| bearer(token(a).expires_in(-60)), invalid_token(Kind::Expired)),
    row("not yet valid", "guarded", |a| bearer(token(a).claim("nbf", i64::MAX)), invalid_token(Kind::NotYetValid)),
    row("without exp", "guarded", |a| bearer(token(a).without("exp")), invalid_token(Kind::MissingTime)),
    row("exp as text", "guarded", |a| bearer(token(a).claim("exp", "soon")), invalid_token(Kind::MalformedTime)),
    row(
        "another audience",
        "guarded",
        |a| bearer(token(a).claim("aud", "payments")),
        invalid_token(Kind::InvalidAudience),
    ),
    row("without an audience", "guarded", |a| bearer(token(a).without("aud")), invalid_token(Kind::InvalidAudience)),
    row(
        "another issuer",
        "guarded",
        |a| bearer(token(a).claim("iss", "https://login.example/")),
        invalid_token(Kind::InvalidIssuer),
    ),
    row("claims of another form", "guarded", |a| bearer(token(a).claim("sub", 7)), invalid_token(Kind::ClaimsMismatch)),
    // The scope.
    row("no scope", "guarded", |a| bearer(a.token()), NO_SCOPE),
    row("another scope", "guarded", |a| bearer(a.token().claim("scope", "orders:readonly")), NO_SCOPE),
    // A token that may be missing.
    row("optional: no token", "optional", |_| vec![], passes("anonymous")),
    row("optional: another scheme", "optional", |_| authorization("Basic dTpw"), passes("anonymous")),
    row("optional: a good token", "optional", |a| bearer(token(a)), passes("user-1")),
    row("optional: tampered", "optional", |a| bearer(token(a).tampered()), invalid_token(Kind::InvalidSignature)),
    row(
        "optional: an empty token",
        "optional",
        |_| authorization("Bearer"),
        invalid_request(Kind::MalformedCredential),
    ),
    // A body for people.
    row("problem: no token", "problem", |_| vec![], MISSING),
    row("problem: expired", "problem", |a| bearer(token(a).expires_in(-60)), invalid_token(Kind::Expired)),
    row("problem: an empty token", "problem", |_| authorization("Bearer"), invalid_request(Kind::MalformedCredential)),
    row("problem: no scope", "problem", |a| bearer(a.token()), NO_SCOPE),
    row("problem: a good token", "problem", |a| bearer(token(a)), passes("user-1")),
    // A cookie.
    row("cookie: from our own page", "cookie", |a| cookie(token(a), "sec-fetch-site", "same-origin"), PASSES_PRIVATE),
    row(
        "cookie: the second of two fields, as HTTP/2 may split them",
        "cookie",
        |a| [vec![("cookie", b"lang=en".into())], cookie(token(a), "sec-fetch-site", "same-origin")].concat(),
        PASSES_PRIVATE,
    ),
    row("cookie: typed into the address bar", "cookie", |a| cookie(token(a), "sec-fetch-site", "none"), PASSES_PRIVATE),
    row("cookie: from another site", "cookie", |a| cookie(token(a), "sec-fetch-site", "cross-site"), CROSS_SITE),
    row("cookie: from a sister host", "cookie", |a| cookie(token(a), "sec-fetch-site", "same-site"), CROSS_SITE),
    row("cookie: another origin", "cookie", |a| cookie(token(a), "origin", "https://evil.example"), CROSS_SITE),
    row("cookie: no browser", "cookie", |a| cookie(token(a), "x-nothing", "said"), CROSS_SITE),
    row(
        "cookie: expired",
        "cookie",
        |a| cookie(token(a).expires_in(-60), "sec-fetch-site", "same-origin"),
        invalid_token(Kind::Expired),
    ),
    row(
        "cookie: twice",
        "cookie",
        |a| [cookie(token(a), "sec-fetch-site", "same-origin"), cookie(token(a), "x-nothing", "said")].concat(),
        invalid_request(Kind::SeveralCredentials),
    ),
    row(
        "cookie: and a header",
        "cookie",
        |a| [cookie(token(a), "sec-fetch-site", "same-origin"), bearer(token(a))].concat(),
        invalid_request(Kind::SeveralCredentials),
    ),
    row("cookie: a header alone", "cookie", |a| bearer(token(a)), passes("user-1")),
    row("cookie: none", "cookie", |_| vec![("cookie", b"theme=dark".into())], MISSING),
    // Keys that take their time: the request waits, and goes on in a clone of the service.
    row("vault: a good token", "vault", |a| bearer(token(a)), passes("user-1")),
    row("vault: tampered", "vault", |a| bearer(token(a).tampered()), invalid_token(Kind::InvalidSignature)),
    row("vault: no scope", "vault", |a| bearer(a.token()), NO_SCOPE),
    row("vault: expired", "vault", |a| bearer(token(a).expires_in(-60)), invalid_token(Kind::Expired)),
    row("vault: unknown kid", "vault", |a| bearer(token(a).header("kid", "key-9")), invalid_token(Kind::UnknownKey)),
    row("vault: no keys", "vault", |a| bearer(token(a).header("kid", "sealed")), NO_KEYS),
    row("vault: no keys, after a while", "vault", |a| bearer(token(a).header("kid", "sealed-later")), NO_KEYS),
];
