//! Where a request carries its token, through the layer: what counts, what is refused, and what is kept from caches.

use std::convert::Infallible;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::extract::{BearerHeader, Cookie, ExtractToken, Header, Query, WebSocketProtocol};
use tower_jwt_auth::rejection::Rejection;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind, Jwt, JwtAuth, RequireScopes, Verifier};

use crate::support::Claims;

/// A request whose URI and headers hold the token where `TOKEN` stands.
#[derive(Clone)]
struct Asked {
    method: Method,
    uri: &'static str,
    version: Version,
    headers: Vec<(&'static str, &'static str)>,
}

fn get(uri: &'static str, headers: &[(&'static str, &'static str)]) -> Asked {
    Asked { method: Method::GET, uri, version: Version::HTTP_11, headers: headers.to_vec() }
}

fn post(headers: &[(&'static str, &'static str)]) -> Asked {
    Asked { method: Method::POST, ..get("/", headers) }
}

impl Asked {
    fn request(&self, token: &str) -> Request<()> {
        let mut request = Request::builder().method(self.method.clone()).version(self.version);
        request = request.uri(self.uri.replace("TOKEN", token));
        for (name, value) in &self.headers {
            request = request.header(*name, value.replace("TOKEN", token));
        }
        request.body(()).expect("a request")
    }
}

/// The kind of the refusal, or `None` where the handler was reached with the claims.
async fn verdict(source: impl ExtractToken, asked: &Asked) -> Option<AuthErrorKind> {
    answer(JwtAuth::with(verifier()).extractor(source), asked, |_| {}).await.1
}

fn verifier() -> Verifier<Claims> {
    Verifier::new(AUTHORITY.with(Authority::trusted)).expect("valid")
}

thread_local! {
    static AUTHORITY: Authority = Authority::new(Algorithm::HS256);
}

async fn answer(
    auth: JwtAuth<Claims>,
    asked: &Asked,
    respond: fn(&mut HeaderMap),
) -> (Response<()>, Option<AuthErrorKind>) {
    let service = auth.layer(service_fn(move |request: Request<()>| async move {
        assert!(request.extensions().get::<Jwt<Claims>>().is_some() || request.method() == Method::OPTIONS);
        let mut response = Response::new(());
        respond(response.headers_mut());
        Ok::<_, Infallible>(response)
    }));
    let token = AUTHORITY.with(|authority| authority.token().sign());
    let response = service.oneshot(asked.request(&token)).await.expect("infallible");
    let kind = response.extensions().get::<AuthError>().map(AuthError::kind);
    (response, kind)
}

const MISSING: Option<AuthErrorKind> = Some(AuthErrorKind::MissingToken);
const MALFORMED: Option<AuthErrorKind> = Some(AuthErrorKind::MalformedCredential);
const SEVERAL: Option<AuthErrorKind> = Some(AuthErrorKind::SeveralCredentials);
const CROSS_SITE: Option<AuthErrorKind> = Some(AuthErrorKind::CrossSite);

#[tokio::test]
async fn a_cookie_is_found_by_its_very_name() {
    let cases = [
        (get("/", &[("cookie", "access=TOKEN")]), None),
        (get("/", &[("cookie", "a=b; access=TOKEN; c=d")]), None),
        (get("/", &[("cookie", "a=b;access = TOKEN ;c")]), None),
        (get("/", &[("cookie", "a=b"), ("cookie", "access=TOKEN")]), None),
        (get("/", &[("cookie", "access=\"TOKEN\"")]), None),
        (get("/", &[]), MISSING),
        (get("/", &[("cookie", "")]), MISSING),
        (get("/", &[("cookie", "Access=TOKEN")]), MISSING),
        (get("/", &[("cookie", "xaccess=TOKEN")]), MISSING),
        (get("/", &[("cookie", "access2=TOKEN")]), MISSING),
        (get("/", &[("cookie", "a=access=TOKEN")]), MISSING),
        (get("/", &[("cookie", "a=\"b; access=TOKEN\"")]), MALFORMED),
        (get("/", &[("authorization", "Bearer TOKEN")]), MISSING),
        (get("/", &[("cookie", "access=")]), MALFORMED),
        (get("/", &[("cookie", "access")]), MALFORMED),
        (get("/", &[("cookie", "access=\"")]), MALFORMED),
        (get("/", &[("cookie", "access=a b")]), MALFORMED),
        (get("/", &[("cookie", "access=a,b")]), MALFORMED),
        (get("/", &[("cookie", "access=TOKEN; access=TOKEN")]), SEVERAL),
        (get("/", &[("cookie", "access=TOKEN; access=")]), SEVERAL),
        (get("/", &[("cookie", "access=TOKEN"), ("cookie", "access=x")]), SEVERAL),
    ];
    for (asked, expected) in cases {
        assert_eq!(verdict(Cookie::new("access"), &asked).await, expected, "{:?}", asked.headers);
    }
}

#[tokio::test]
async fn a_cookie_counts_where_this_site_caused_the_request() {
    let cookie = ("cookie", "access=TOKEN");
    let host = ("host", "shop.example");
    let own = |more: &[(&'static str, &'static str)]| post(&[&[cookie, host], more].concat());
    let site = |value| own(&[("sec-fetch-site", value)]);
    let origin = |value| own(&[("origin", value)]);
    let with = |method: &str| Asked { method: Method::from_bytes(method.as_bytes()).expect("a method"), ..own(&[]) };
    let absolute = |uri, value| Asked { uri, ..post(&[cookie, ("host", "other.example"), ("origin", value)]) };
    let handshake = |more: &[(&'static str, &'static str)]| {
        let signs = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket"), ("sec-websocket-key", "x")];
        get("/", &[&[cookie, host], &signs[..], more].concat())
    };
    let over_http2 = |more: &[(&'static str, &'static str)]| Asked {
        method: Method::CONNECT,
        version: Version::HTTP_2,
        ..own(more)
    };
    let cases = [
        (get("/", &[cookie, ("sec-fetch-site", "cross-site")]), None),
        (with("HEAD"), None),
        (with("OPTIONS"), None),
        (with("TRACE"), CROSS_SITE),
        (with("PUT"), CROSS_SITE),
        (with("get"), CROSS_SITE),
        (with("QUERY"), CROSS_SITE),
        (site("same-origin"), None),
        (site("none"), None),
        (site("same-site"), CROSS_SITE),
        (site("cross-site"), CROSS_SITE),
        (site("Same-Origin"), CROSS_SITE),
        (site(""), CROSS_SITE),
        (own(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]), CROSS_SITE),
        (own(&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")]), CROSS_SITE),
        (own(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), None),
        (own(&[]), CROSS_SITE),
        (origin("https://shop.example"), None),
        (origin("http://shop.example"), None),
        (origin("https://SHOP.example"), None),
        (origin("https://shop.example:443"), None),
        (origin("https://shop.example:8443"), CROSS_SITE),
        (origin("https://shop.example.evil"), CROSS_SITE),
        (origin("https://evil.example"), CROSS_SITE),
        (origin("https://shop.example@evil.example"), CROSS_SITE),
        (origin("https://shop.example/"), CROSS_SITE),
        (origin("shop.example"), CROSS_SITE),
        (origin("null"), CROSS_SITE),
        (origin(""), CROSS_SITE),
        (own(&[("origin", "https://shop.example"), ("origin", "https://shop.example")]), CROSS_SITE),
        (own(&[("host", "evil.example"), ("origin", "https://shop.example")]), CROSS_SITE),
        (post(&[cookie, ("origin", "https://shop.example")]), CROSS_SITE),
        (absolute("https://shop.example/x", "https://shop.example"), None),
        (absolute("https://shop.example:8443/x", "https://shop.example:8443"), None),
        (absolute("https://shop.example/x", "https://other.example"), CROSS_SITE),
        (handshake(&[]), CROSS_SITE),
        (handshake(&[("origin", "https://evil.example")]), CROSS_SITE),
        (handshake(&[("origin", "https://shop.example")]), None),
        (handshake(&[("sec-fetch-site", "same-origin")]), None),
        (over_http2(&[]), CROSS_SITE),
        (over_http2(&[("sec-fetch-site", "same-origin")]), None),
    ];
    for (asked, expected) in cases {
        let verdict = verdict(Cookie::new("access"), &asked).await;
        assert_eq!(verdict, expected, "{} {} {:?}", asked.method, asked.uri, asked.headers);
    }
}

#[tokio::test]
async fn named_origins_take_the_place_of_the_host() {
    let source = || {
        let cookie = Cookie::new("access").allow_origin("https://shop.example").expect("an origin");
        cookie.allow_origin("https://Shop.example:8443").expect("an origin")
    };
    for (origin, expected) in [
        ("https://shop.example", None),
        ("https://shop.example:8443", None),
        ("http://shop.example", CROSS_SITE),
        ("https://internal.example", CROSS_SITE),
    ] {
        let asked = post(&[("cookie", "access=TOKEN"), ("host", "internal.example"), ("origin", origin)]);
        assert_eq!(verdict(source(), &asked).await, expected, "{origin}");
    }
    for wrong in ["shop.example", "https://shop.example/", "https://*.example", "null", ""] {
        assert!(Cookie::new("access").allow_origin(wrong).is_err(), "{wrong}");
    }
    let open = Cookie::new("access").danger_allow_cross_site();
    assert_eq!(verdict(open, &post(&[("cookie", "access=TOKEN"), ("sec-fetch-site", "cross-site")])).await, None);
}

#[tokio::test]
async fn a_cross_site_request_is_answered_403_without_a_challenge() {
    let auth = || JwtAuth::with(verifier()).extractor(Cookie::new("access"));
    let asked = post(&[("cookie", "access=TOKEN"), ("sec-fetch-site", "cross-site")]);
    let (response, _) = answer(auth(), &asked, |_| {}).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key("www-authenticate"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut grpc = asked.clone();
    grpc.headers.push(("content-type", "application/grpc"));
    let (response, _) = answer(auth(), &grpc, |_| {}).await;
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &HeaderValue::from(7)));
    // Optional authentication lets nobody past a token that is there.
    let (_, kind) = answer(auth().optional(), &asked, |_| {}).await;
    assert_eq!(kind, CROSS_SITE);
}

#[tokio::test]
async fn a_query_parameter_is_decoded_strictly() {
    let cases = [
        (get("/?access_token=TOKEN", &[]), None),
        (get("/x?a=b&access_token=TOKEN&c", &[]), None),
        (get("/?access%5Ftoken=TOKEN", &[]), None),
        (get("/", &[]), MISSING),
        (get("/?", &[]), MISSING),
        (get("/?Access_token=TOKEN", &[]), MISSING),
        (get("/?a=access_token=TOKEN", &[]), MISSING),
        (get("/?access_token", &[]), MALFORMED),
        (get("/?access_token=", &[]), MALFORMED),
        (get("/?access_token=%FF", &[]), MALFORMED),
        (get("/?access_token=%zz", &[]), MALFORMED),
        (get("/?access_token=%", &[]), MALFORMED),
        (get("/?access_token=a%20b", &[]), MALFORMED),
        (get("/?access_token=%C3%A9", &[]), MALFORMED),
        (get("/?access_token=TOKEN&access_token=TOKEN", &[]), SEVERAL),
        (get("/?access_token=TOKEN&access%5ftoken=x", &[]), SEVERAL),
    ];
    for (asked, expected) in cases {
        assert_eq!(verdict(Query::access_token(), &asked).await, expected, "{}", asked.uri);
    }
    let encoded = AUTHORITY.with(|authority| authority.token().sign()).replace('.', "%2E").replace('_', "%5f");
    let request = Request::builder().uri(format!("/?access_token={encoded}")).body(()).expect("a request");
    let service = JwtAuth::with(verifier())
        .extractor(Query::access_token())
        .layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    assert_eq!(service.oneshot(request).await.expect("infallible").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_websocket_handshake_can_offer_a_token_as_a_protocol() {
    let signs = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let handshake = |offered: &[&'static str]| {
        let offered: Vec<_> = offered.iter().map(|value| ("sec-websocket-protocol", *value)).collect();
        get("/", &[&signs[..], &offered].concat())
    };
    let cases = [
        (handshake(&["bearer.TOKEN, orders.v1"]), None),
        (handshake(&["orders.v1,bearer.TOKEN"]), None),
        (handshake(&["orders.v1", "bearer.TOKEN"]), None),
        (handshake(&[]), MISSING),
        (handshake(&["orders.v1"]), MISSING),
        (handshake(&["Bearer.TOKEN"]), MISSING),
        (get("/", &[("sec-websocket-protocol", "bearer.TOKEN")]), MISSING),
        (handshake(&["bearer."]), MALFORMED),
        (handshake(&["bearer.a b"]), MALFORMED),
        (handshake(&["bearer.TOKEN, bearer.TOKEN"]), SEVERAL),
        (handshake(&["bearer.TOKEN", "bearer.x"]), SEVERAL),
    ];
    for (asked, expected) in cases {
        assert_eq!(verdict(WebSocketProtocol::new(), &asked).await, expected, "{:?}", asked.headers);
    }
    let own = WebSocketProtocol::with_prefix("jwt-");
    assert_eq!(verdict(own, &handshake(&["orders.v1, jwt-TOKEN"])).await, None);
}

#[tokio::test]
async fn a_header_of_ones_own_holds_the_token_alone() {
    let source = || Header::new("x-access-token").expect("a name");
    let cases = [
        (get("/", &[("x-access-token", "TOKEN")]), None),
        (get("/", &[("authorization", "Bearer TOKEN")]), MISSING),
        (get("/", &[("x-access-token", "")]), MALFORMED),
        (get("/", &[("x-access-token", "Bearer TOKEN")]), MALFORMED),
        (get("/", &[("x-access-token", "TOKEN"), ("x-access-token", "TOKEN")]), SEVERAL),
    ];
    for (asked, expected) in cases {
        assert_eq!(verdict(source(), &asked).await, expected, "{:?}", asked.headers);
    }
    for wrong in ["", "a b", "Authorization", "cookie"] {
        assert!(Header::new(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn two_sources_that_are_both_present_are_refused_unless_the_header_is_preferred() {
    let bearer = ("authorization", "Bearer TOKEN");
    let cookie = ("cookie", "access=TOKEN");
    let cross_site = ("sec-fetch-site", "cross-site");
    // What a combination says of a request, and the same one where it prefers the header.
    let cases = [
        (get("/", &[bearer]), None, None),
        (get("/", &[cookie]), None, None),
        (get("/", &[]), MISSING, MISSING),
        (get("/", &[bearer, cookie]), SEVERAL, None),
        (get("/", &[bearer, ("cookie", "access=planted")]), SEVERAL, None),
        (get("/", &[bearer, ("cookie", "access=a b")]), MALFORMED, None),
        (get("/", &[bearer, ("cookie", "access=a; access=b")]), SEVERAL, None),
        (get("/", &[("authorization", "Bearer a b"), cookie]), MALFORMED, MALFORMED),
        (get("/", &[("authorization", "Bearer "), cookie]), MALFORMED, MALFORMED),
        (get("/", &[("authorization", "Basic dTpw"), cookie]), None, None),
        (post(&[bearer, cookie, cross_site]), CROSS_SITE, None),
        (post(&[bearer, cross_site]), None, None),
        (post(&[cookie, cross_site]), CROSS_SITE, CROSS_SITE),
    ];
    for (asked, plain, preferring) in cases {
        let either = || BearerHeader::new().or(Cookie::new("access"));
        let turned = || Cookie::new("access").or(BearerHeader::new());
        for (name, verdict, expected) in [
            ("header or cookie", verdict(either(), &asked).await, plain),
            ("cookie or header", verdict(turned(), &asked).await, plain),
            ("preferring", verdict(either().prefer_header(), &asked).await, preferring),
            ("preferring, turned", verdict(turned().prefer_header(), &asked).await, preferring),
        ] {
            assert_eq!(verdict, expected, "{name}: {:?}", asked.headers);
        }
    }
    // Two headers are no planted cookie.
    let headers = BearerHeader::new().or(Header::new("x-access-token").expect("a name")).prefer_header();
    assert_eq!(verdict(headers, &get("/", &[bearer, ("x-access-token", "TOKEN")])).await, SEVERAL);
    // Three sources.
    let three = || BearerHeader::new().or(Cookie::new("access")).or(Query::access_token());
    assert_eq!(verdict(three(), &get("/?access_token=TOKEN", &[])).await, None);
    assert_eq!(verdict(three(), &get("/?access_token=TOKEN", &[cookie])).await, SEVERAL);
    assert_eq!(verdict(three(), &get("/?access_token=TOKEN", &[bearer])).await, SEVERAL);
}

/// What the handler says, and what is sent.
type Case = (fn(&mut HeaderMap), &'static [&'static str], &'static [&'static str]);

#[tokio::test]
async fn answers_to_tokens_that_caches_do_not_see_are_private() {
    fn said(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all("cache-control").iter().map(|value| value.to_str().expect("ASCII")).collect()
    }
    let (cookie, query) = (get("/", &[("cookie", "access=TOKEN")]), get("/?access_token=TOKEN", &[]));
    let header = get("/", &[("authorization", "Bearer TOKEN")]);
    let auth = || {
        let sources = BearerHeader::new().or(Cookie::new("access")).or(Query::access_token());
        JwtAuth::with(verifier()).extractor(sources)
    };
    let cases: [Case; 7] = [
        (|_| {}, &["private"], &[]),
        (
            |headers| drop(headers.insert("cache-control", HeaderValue::from_static("public, max-age=60"))),
            &["private, max-age=60"],
            &["public, max-age=60"],
        ),
        (
            |headers| drop(headers.insert("cache-control", HeaderValue::from_static("S-MaxAge=9, max-age=60,"))),
            &["private, max-age=60"],
            &["S-MaxAge=9, max-age=60,"],
        ),
        (
            |headers| drop(headers.insert("cache-control", HeaderValue::from_static("No-Store"))),
            &["No-Store"],
            &["No-Store"],
        ),
        (
            |headers| drop(headers.insert("cache-control", HeaderValue::from_static("private=\"a, no-store\""))),
            &["private"],
            &["private=\"a, no-store\""],
        ),
        (
            |headers| {
                headers.append("cache-control", HeaderValue::from_static("max-age=60"));
                headers.append("cache-control", HeaderValue::from_static("public"));
            },
            &["private, max-age=60"],
            &["max-age=60", "public"],
        ),
        (
            |headers| drop(headers.insert("cache-control", HeaderValue::from_static("no-cache, x-no-store"))),
            &["private, no-cache, x-no-store"],
            &["no-cache, x-no-store"],
        ),
    ];
    for (respond, private, as_is) in cases {
        for asked in [&cookie, &query] {
            let (response, kind) = answer(auth(), asked, respond).await;
            assert_eq!((kind, said(response.headers()).as_slice()), (None, private), "{}", asked.uri);
        }
        let (response, kind) = answer(auth(), &header, respond).await;
        assert_eq!((kind, said(response.headers()).as_slice()), (None, as_is));
    }
}

#[tokio::test]
async fn preflight_requests_pass_only_where_asked_for() {
    let preflight = Asked {
        method: Method::OPTIONS,
        ..get("/", &[("origin", "https://a.example"), ("access-control-request-method", "PUT")])
    };
    let auth = || JwtAuth::with(verifier());
    assert_eq!(answer(auth(), &preflight, |_| {}).await.1, MISSING);
    assert_eq!(answer(auth().allow_preflight(), &preflight, |_| {}).await.1, None);
    let with = |change: fn(&mut Asked)| {
        let mut asked = preflight.clone();
        change(&mut asked);
        asked
    };
    for (asked, expected) in [
        (with(|asked| asked.method = Method::GET), MISSING),
        (with(|asked| asked.headers.truncate(1)), MISSING),
        (with(|asked| asked.headers.rotate_left(1)), None),
        (with(|asked| asked.headers = asked.headers.split_off(1)), MISSING),
        (with(|asked| asked.headers.push(("authorization", "Bearer TOKEN"))), None),
        (with(|asked| asked.headers.push(("authorization", "Bearer x"))), Some(AuthErrorKind::MalformedToken)),
        (with(|asked| asked.headers.push(("authorization", "Bearer "))), MALFORMED),
    ] {
        assert_eq!(answer(auth().allow_preflight(), &asked, |_| {}).await.1, expected, "{:?}", asked.headers);
    }
    // A guard behind the layer lets nobody in.
    let service = auth().allow_preflight().layer(RequireScopes::all(["a"]).layer(service_fn(
        async |_: Request<()>| -> Result<Response<()>, Infallible> { panic!("the service was called") },
    )));
    let response = service.oneshot(preflight.request("")).await.expect("infallible");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_carries_a_token_is_marked_sensitive_accepted_or_refused() {
    const CANARY: &str = "CANARY";
    let sources = || {
        let own = Header::new("x-access-token").expect("a name");
        BearerHeader::new().or(Cookie::new("access")).or(own).or(WebSocketProtocol::new())
    };
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let carriers: [(&[(&str, &str)], &str); 4] = [
        (&[("authorization", "Bearer TOKEN")], "authorization"),
        (&[("cookie", "a=b; access=TOKEN; c=d")], "cookie"),
        (&[("x-access-token", "TOKEN")], "x-access-token"),
        (&[upgrade[0], upgrade[1], ("sec-websocket-protocol", "bearer.TOKEN, x")], "sec-websocket-protocol"),
    ];
    for (headers, carrier) in carriers {
        let asked = get("/", headers);
        let service = JwtAuth::with(verifier()).extractor(sources()).layer(service_fn(async |request: Request<()>| {
            let name = HeaderName::from_static(
                ["authorization", "cookie", "x-access-token", "sec-websocket-protocol"]
                    .into_iter()
                    .find(|name| request.headers().contains_key(*name))
                    .expect("one of them"),
            );
            assert!(request.headers()[&name].is_sensitive(), "{name}");
            Ok::<_, Infallible>(Response::new(()))
        }));
        let token = AUTHORITY.with(|authority| authority.token().sign());
        let response = service.oneshot(asked.request(&token)).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK, "{carrier}");

        // Refused for its token, for its form, and for coming twice.
        let twice: Vec<_> = asked.headers.iter().chain(asked.headers.last()).copied().collect();
        let twice = get("/", &twice);
        for (asked, token) in [(&asked, CANARY), (&asked, "CANARY CANARY"), (&twice, CANARY)] {
            let maker = |refused: &Rejection<'_>| {
                let text = format!("{:?} {refused:?} {}", refused.head().headers, refused.error());
                Response::new(text)
            };
            let service = JwtAuth::<Claims>::with(verifier()).extractor(sources()).on_reject(maker).layer(service_fn(
                async |_: Request<()>| -> Result<Response<String>, Infallible> { panic!("the service was called") },
            ));
            let response = service.oneshot(asked.request(token)).await.expect("infallible");
            let text = format!("{} {:?}", response.body(), response.headers());
            assert!(response.status().is_client_error() && !text.contains(CANARY), "{carrier}: {text}");
        }
    }
}
