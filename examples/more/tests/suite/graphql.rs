//! The example `graphql`, over HTTP and over websockets.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::{GRAPHQL, Running, tampered};

/// The server, and the tokens that it prints.
struct Shop {
    server: Running,
    expired: String,
    reader: String,
    writer: String,
}

impl Shop {
    fn start(arguments: &[&str]) -> Self {
        let mut server = Running::start(GRAPHQL, arguments);
        let mut tokens = Vec::new();
        while tokens.len() < 4 {
            tokens
                .extend(server.line().split_once("Bearer ").map(|(_, token)| token.trim_end_matches('\'').to_owned()));
        }
        let writer = tokens.remove(3);
        let [expired, reader, ..] = &tokens[..] else { unreachable!("there are three") };
        Self { expired: expired.clone(), reader: reader.clone(), writer, server }
    }

    async fn ask(&self, token: &str, query: &str) -> Value {
        let request = Client::new().post(format!("{}/graphql", self.server.url)).bearer_auth(token);
        let answer = request.json(&json!({ "query": query })).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{query}");
        answer.json().await.expect("JSON")
    }

    async fn connect(&self) -> Socket {
        let url = format!("{}/graphql/ws", self.server.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a URL");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("ASCII"));
        Socket(connect_async(request).await.expect("the upgrade needs no token").0)
    }

    /// A connection that the server has accepted.
    async fn connect_with(&self, token: &str) -> Socket {
        let mut socket = self.connect().await;
        socket.send(json!({ "type": "connection_init", "payload": { "token": token } })).await;
        assert_eq!(socket.next().await, Said::Message(json!({ "type": "connection_ack" })));
        socket
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

#[derive(Debug, PartialEq)]
enum Said {
    Message(Value),
    Close(u16, String),
    Gone,
}

impl Socket {
    async fn send(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("the connection is open");
    }

    async fn subscribe(&mut self, query: &str) {
        self.send(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
    }

    async fn next(&mut self) -> Said {
        let said = timeout(Duration::from_secs(30), self.0.next()).await.expect("the server says something");
        match said {
            Some(Ok(Message::Text(text))) => Said::Message(serde_json::from_str(&text).expect("JSON")),
            Some(Ok(Message::Close(Some(frame)))) => Said::Close(frame.code.into(), frame.reason.to_string()),
            None | Some(Err(Error::ConnectionClosed | Error::Protocol(_))) => Said::Gone,
            other => panic!("{other:?}"),
        }
    }
}

fn forbidden(path: &str, scope: &str) -> Value {
    json!({
        "message": "the token lacks a scope that is required",
        "path": [path],
        "extensions": { "code": "FORBIDDEN", "scope": scope },
    })
}

/// Without the places in the query.
fn errors(answer: &Value) -> Vec<Value> {
    let mut errors = answer["errors"].as_array().cloned().unwrap_or_default();
    for error in &mut errors {
        error.as_object_mut().expect("an error is an object").remove("locations");
    }
    errors
}

#[test]
fn the_curl_lines_answer_as_printed() {
    let mut server = Running::start(GRAPHQL, &[]);
    for (expected, hint) in [
        ("401", "www-authenticate: Bearer"),
        ("401", r#"error="invalid_token""#),
        ("200", r#"{"data":{"me":"user-1","orders":[]}}"#),
        ("200", r#""code":"FORBIDDEN""#),
        ("200", r#"{"data":{"placeOrder":{"item":"milk"}}}"#),
    ] {
        let (heading, answer) = server.paste();
        assert!(heading.contains(&format!(": {expected}")), "{heading}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")) && answer.contains(hint), "{heading}: {answer}");
    }
}

#[tokio::test]
async fn a_field_needs_its_scope_and_the_others_are_answered() {
    let shop = Shop::start(&[]);
    let place = r#"mutation { placeOrder(item: "milk") { item } }"#;
    let refused = shop.ask(&shop.reader, place).await;
    assert_eq!((errors(&refused), &refused["data"]), (vec![forbidden("placeOrder", "orders:write")], &Value::Null));
    let nothing = shop.ask(&shop.reader, "{ me orders { item } }").await;
    assert_eq!(nothing, json!({ "data": { "me": "user-1", "orders": [] } }));

    let placed = shop.ask(&shop.writer, place).await;
    assert_eq!(placed, json!({ "data": { "placeOrder": { "item": "milk" } } }));
    let one = shop.ask(&shop.reader, "{ orders { item } }").await;
    assert_eq!(one, json!({ "data": { "orders": [{ "item": "milk" }] } }));
}

#[tokio::test]
async fn a_request_without_a_good_token_gets_no_graphql_answer() {
    let shop = Shop::start(&[]);
    let tampered = tampered(&shop.reader);
    for (token, kind) in
        [(None, None), (Some(&shop.expired), Some("invalid_token")), (Some(&tampered), Some("invalid_token"))]
    {
        let mut request =
            Client::new().post(format!("{}/graphql", shop.server.url)).json(&json!({ "query": "{ me }" }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = answer.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII");
        assert_eq!(challenge.split_once("error=\"").and_then(|(_, rest)| rest.split('"').next()), kind, "{challenge}");
        assert_eq!(answer.text().await.expect("text"), "");
    }
}

#[tokio::test]
async fn a_subscription_sees_what_happens_after_a_good_token() {
    let shop = Shop::start(&[]);
    let mut socket = shop.connect_with(&shop.reader).await;
    socket.subscribe("subscription { orders { item } }").await;
    // Until the server has subscribed, nobody hears of an order.
    let heard = loop {
        shop.ask(&shop.writer, r#"mutation { placeOrder(item: "milk") { item } }"#).await;
        if let Ok(said) = timeout(Duration::from_millis(200), socket.next()).await {
            break said;
        }
    };
    let expected = json!({ "type": "next", "id": "1", "payload": { "data": { "orders": { "item": "milk" } } } });
    assert_eq!(heard, Said::Message(expected));
}

#[tokio::test]
async fn guards_hold_over_a_websocket_too() {
    let shop = Shop::start(&[]);
    let mut socket = shop.connect_with(&shop.reader).await;
    socket.subscribe(r#"mutation { placeOrder(item: "milk") { item } }"#).await;
    let Said::Message(refused) = socket.next().await else { panic!("the connection goes on") };
    assert_eq!(errors(&refused["payload"]), [forbidden("placeOrder", "orders:write")]);
    let nothing = shop.ask(&shop.reader, "{ orders { item } }").await;
    assert_eq!(nothing, json!({ "data": { "orders": [] } }));
}

#[tokio::test]
async fn a_connection_without_a_good_token_is_refused() {
    let shop = Shop::start(&[]);
    let missing = "no token in `connection_init`";
    let cases = [
        (json!({}), missing),
        (Value::Null, missing),
        (json!({ "token": 7 }), missing),
        (json!({ "token": shop.expired }), "the token has expired"),
        (json!({ "token": tampered(&shop.reader) }), "the signature is invalid"),
        (json!({ "token": "" }), "the token is not a signed JWT in compact form"),
    ];
    for (payload, reason) in cases {
        let mut socket = shop.connect().await;
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.next().await, Said::Close(1002, reason.to_owned()), "{payload}");
        assert_eq!(socket.next().await, Said::Gone, "{payload}");
    }
    // Nor is anything answered before the token has come.
    let mut socket = shop.connect().await;
    socket.subscribe("subscription { orders { item } }").await;
    assert_eq!(socket.next().await, Said::Close(1011, "The handshake is not completed.".to_owned()));
}

#[tokio::test]
async fn a_connection_ends_when_its_token_expires() {
    let shop = Shop::start(&["--lifetime", "2"]);
    let mut socket = shop.connect_with(&shop.reader).await;
    socket.subscribe("subscription { orders { item } }").await;
    assert_eq!(socket.next().await, Said::Close(4401, "the token has expired".to_owned()));
    assert_eq!(socket.next().await, Said::Gone);
}

#[tokio::test]
async fn a_connection_that_never_sends_a_token_ends_by_itself() {
    let shop = Shop::start(&[]);
    let mut socket = shop.connect().await;
    assert_eq!(socket.next().await, Said::Close(4408, "Connection initialisation timeout".to_owned()));
}
