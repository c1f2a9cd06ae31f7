//! The example `gateway`, run as a newcomer runs it, and before an upstream that speaks by hand.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::examples::{Running, get, paste};

#[test]
fn the_gateway_says_who_the_caller_is_and_the_client_does_not() {
    for relay in [false, true] {
        let mut gateway = Running::start("gateway", if relay { &["--relay"] } else { &[] });
        let [url, token] = &gateway.ready()[..] else { panic!("an address and a token") };
        let mut seen = Vec::new();
        while seen.len() < 3 {
            if gateway.line().is_empty() {
                continue;
            }
            let answer = paste(&gateway.line());
            if answer.status == 200 {
                assert_eq!(
                    (&answer.json()["user"], &answer.json()["scopes"]),
                    (&json!("alice"), &json!("orders:read"))
                );
            }
            seen.push(answer.status);
        }
        assert_eq!(seen, [200, 200, 401]);

        // Other spellings, and headers that the client would have the gateway remove once they are set.
        let forged = "-H 'x_user_id: admin' -H 'X-USER-ID: root' -H 'X-Scopes: all' -H 'X-Forwarded-For: 192.0.2.1' \
                      -H 'Connection: X-User-Id, authorization-of-mine, te' -H 'Authorization-Of-Mine: x' -H 'TE: x'";
        let answer = paste(&format!("curl -i {url}/a%20b?c=d -H 'Authorization: Bearer {token}' {forged} -d 12345"));
        let told = answer.json();
        assert_eq!((&told["user"], &told["scopes"]), (&json!("alice"), &json!("orders:read")));
        assert_eq!((&told["path"], answer.field("x-body-bytes")), (&json!("/a%20b?c=d"), Some("5")));
        let headers: Vec<_> =
            told["headers"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
        for name in ["x_user_id", "x-forwarded-for", "connection", "authorization-of-mine", "te"] {
            assert!(!headers.contains(&name), "{name}");
        }
        // The token stays here, or the upstream has verified it too, and found the same subject.
        assert_eq!(headers.contains(&"authorization"), relay);
        assert_eq!(told["token_subject"], if relay { told["user"].clone() } else { json!(null) });
    }
}

/// Reads until the end is seen.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.expect("the connection stands");
        assert_ne!(count, 0, "it ended after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).expect("ASCII"));
    }
    text
}

#[tokio::test]
async fn bodies_are_streamed_and_what_concerns_one_connection_stays_on_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let authority = listener.local_addr().expect("just bound").to_string();
    let mut gateway = Running::start("gateway", &["--relay", "--upstream", &format!("http://{authority}")]);
    let [url, token] = &gateway.ready()[..] else { panic!("an address and a token") };

    // Nobody sends more before the other side has seen what is there.
    let exchange = async {
        let mut client = TcpStream::connect(url.trim_start_matches("http://")).await.expect("it listens");
        let head = format!(
            "POST http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\nAuthorization: bearer  {token}\r\n\
             Transfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n"
        );
        client.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.expect("sent");
        let (mut upstream, _) = listener.accept().await.expect("a connection");
        let received = read_to(&mut upstream, "5\r\nfirst\r\n").await.to_ascii_lowercase();
        client.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.expect("sent");
        read_to(&mut upstream, "4\r\nlast\r\n0\r\n\r\n").await;

        let head =
            "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 1\r\n\r\n";
        upstream.write_all(format!("{head}5\r\nfirst\r\n").as_bytes()).await.expect("sent");
        let answered = read_to(&mut client, "5\r\nfirst\r\n").await.to_ascii_lowercase();
        upstream.write_all(b"0\r\n\r\n").await.expect("sent");
        read_to(&mut client, "0\r\n\r\n").await;
        (received, answered)
    };
    let (received, answered) = tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("nobody waits");

    assert!(received.starts_with("post /x http/1.1\r\n"), "{received}");
    assert!(received.contains(&format!("\r\nhost: {authority}\r\n")), "{received}");
    assert!(received.contains(&format!("\r\nauthorization: bearer {}\r\n", token.to_ascii_lowercase())), "{received}");
    assert!(answered.starts_with("http/1.1 201 created\r\n") && answered.contains("\r\nx-end: 1\r\n"), "{answered}");
    for hop in ["x-hop", "keep-alive", "evil.example"] {
        assert!(!received.contains(hop) && !answered.contains(hop), "{hop}: {received}{answered}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_away_is_a_502() {
    let gone = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port");
    let mut gateway = Running::start("gateway", &["--upstream", &format!("http://{gone}")]);
    let [url, token] = &gateway.ready()[..] else { panic!("an address and a token") };
    assert_eq!(get(url, token).status, 502);
    assert_eq!(paste(&format!("curl -i {url}")).status, 401, "the door comes first");
}
