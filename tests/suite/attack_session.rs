//! Ways around the example `session` that were tried: each was open once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::examples::{Answer, Running, get, paste};
use crate::redis_server::RedisServer;

struct Copy {
    _running: Running,
    url: String,
}

impl Copy {
    fn start(options: &[&str]) -> Self {
        let mut running = Running::start("session", &[&["--port", "0"], options].concat());
        let url = running.ready().remove(0);
        Self { _running: running, url }
    }

    fn post(&self, path: &str, more: &str) -> Answer {
        paste(&format!("curl -i -X POST {}{path} {more}", self.url))
    }

    /// An access token and a refresh token.
    fn login(&self) -> [String; 2] {
        let answer = self.post("/api/login", r#"-d '{"email":"user@example.com","password":"pass"}'"#);
        let body = answer.json();
        ["access_token", "refresh_token"].map(|name| body[name].as_str().expect("a token").to_owned())
    }

    fn refresh(&self, token: &str) -> Answer {
        self.post("/api/refresh", &format!("-d '{}'", json!({ "refresh_token": token })))
    }

    fn profile(&self, token: &str) -> u16 {
        get(&format!("{}/api/profile", self.url), token).status
    }
}

/// Browsers that know nothing of fetch metadata, and all of them where the site is not on TLS, say `Origin` alone.
#[test]
fn a_form_of_another_site_signs_nobody_in() {
    let copy = Copy::start(&[]);
    let login = |more: &str| copy.post("/login", &format!("-d 'email=user%40example.com&password=pass' {more}")).status;
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        assert_eq!(login(&format!("-H 'Origin: {origin}'")), 403, "{origin}");
    }
    assert_eq!(login("-H 'Sec-Fetch-Site: same-site'"), 403);
    assert_eq!(login(&format!("-H 'Origin: {}'", copy.url)), 303);
    assert_eq!(login("-H 'Sec-Fetch-Site: same-origin'"), 303);
}

/// The first session cannot be revoked everywhere; the others are over all the same, and stay so.
#[test]
fn signing_out_everywhere_leaves_no_session_out_when_one_fails() {
    let server = RedisServer::start();
    let copy = Copy::start(&["--redis", &server.url()]);
    let tokens = [copy.login(), copy.login(), copy.login()];
    // Sessions can be ended, and revocations are not taken.
    let _: String = server.ask(&["ACL", "SETUSER", "default", "-xadd"]);
    let cookie = format!("-H 'Cookie: __Host-access={}' -H 'Sec-Fetch-Site: same-origin'", tokens[1][0]);
    assert_eq!(copy.post("/logout-everywhere", &cookie).status, 503);
    for [access, refresh] in &tokens {
        assert_eq!((copy.profile(access), copy.refresh(refresh).status), (401, 401));
    }
    let _: String = server.ask(&["ACL", "SETUSER", "default", "+xadd"]);
    let other = Copy::start(&["--redis", &server.url()]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokens.iter().any(|[access, _]| other.profile(access) != 401) {
        assert!(Instant::now() < deadline, "an access token is good at another copy");
    }
}

/// What the server had no time to answer it has done all the same: it is no logout of one half.
#[test]
fn a_server_that_answers_late_leaves_no_session_half_signed_out() {
    let server = RedisServer::start();
    let copy = Copy::start(&["--redis", &server.url()]);
    let live = |[access, refresh]: &[String; 2]| (copy.profile(access), copy.refresh(refresh).status);
    for (path, of_others) in [("/logout", (200, 200)), ("/logout-everywhere", (401, 401))] {
        // On a busy machine the server may be too slow even so.
        let is_done = (0..8).any(|_| {
            let [own, other] = [copy.login(), copy.login()];
            // Longer than the copy waits for one answer.
            let _: String = server.ask(&["CLIENT", "PAUSE", "700", "WRITE"]);
            let cookie = format!("-H 'Cookie: __Host-access={}' -H 'Sec-Fetch-Site: same-origin'", own[0]);
            let status = copy.post(path, &cookie).status;
            assert!(status == 303 || status == 503, "{path}: {status}");
            status == 303 && {
                assert_eq!((live(&own), live(&other)), ((401, 401), of_others), "{path}");
                true
            }
        });
        assert!(is_done, "{path}: the server has answered in time");
    }
}

/// The sessions that had ended were nowhere to be found when the button was pressed again, and their access tokens lived on.
#[test]
fn signing_out_everywhere_again_after_half_of_it_failed_leaves_no_session_out() {
    let server = RedisServer::start();
    let copy = Copy::start(&["--redis", &server.url()]);
    let tokens = [copy.login(), copy.login(), copy.login()];
    // The first session ends, and the rest of that step is refused.
    let _: String = server.ask(&["ACL", "SETUSER", "default", "-zrem"]);
    let cookie = format!("-H 'Cookie: __Host-access={}' -H 'Sec-Fetch-Site: same-origin'", tokens[1][0]);
    assert_eq!(copy.post("/logout-everywhere", &cookie).status, 503);
    assert_eq!([0, 1, 2].map(|of| copy.profile(&tokens[of][0])), [401, 200, 401], "the own one presses again");
    let _: String = server.ask(&["ACL", "SETUSER", "default", "+zrem"]);
    assert_eq!(copy.post("/logout-everywhere", &cookie).status, 303);
    for [access, refresh] in &tokens {
        assert_eq!((copy.profile(access), copy.refresh(refresh).status), (401, 401));
    }
}

/// It was told to try again, and passed for a thief when it did.
#[test]
fn whoever_tries_again_after_a_503_stays_signed_in() {
    let server = RedisServer::start();
    let copy = Copy::start(&["--redis", &server.url()]);
    let [_, first] = copy.login();
    // The server knows the script from now on.
    let refresh = copy.refresh(&first).json()["refresh_token"].as_str().expect("a token").to_owned();
    // What the server was sent while it stood still it does all the same, later.
    server.pause();
    let mut answer = copy.refresh(&refresh);
    assert_eq!(answer.status, 503);
    assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
    server.resume();
    let deadline = Instant::now() + Duration::from_secs(20);
    while answer.status == 503 {
        assert!(Instant::now() < deadline, "the server is not found again");
        answer = copy.refresh(&refresh);
    }
    assert_eq!(answer.status, 200);
    assert_eq!(copy.profile(answer.json()["access_token"].as_str().expect("a token")), 200);
}

/// Whoever presses the button and closes the window is signed out.
#[test]
fn a_client_that_goes_away_while_it_signs_out_is_signed_out() {
    let server = RedisServer::start();
    let copy = Copy::start(&["--redis", &server.url()]);
    // On a busy machine the server may be too slow for a logout, and then nothing has ended.
    let signed_out = (0..8).any(|_| signs_out_and_goes_away(&server, &copy));
    assert!(signed_out, "the session is over");
}

/// False where the session is as good as before.
fn signs_out_and_goes_away(server: &RedisServer, copy: &Copy) -> bool {
    let [access, refresh] = copy.login();
    assert_eq!(copy.profile(&access), 200);
    let address = copy.url.strip_prefix("http://").expect("it is on loopback");
    let mut stream = TcpStream::connect(address).expect("it listens");
    // The server answers late, and the client does not wait.
    let _: String = server.ask(&["CLIENT", "PAUSE", "400", "ALL"]);
    let request = format!(
        "POST /api/logout HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {access}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is sent");
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("more than zero");
    let read = stream.read(&mut [0]);
    assert!(read.is_err(), "the answer came before the client went away");
    drop(stream);
    let deadline = Instant::now() + Duration::from_secs(5);
    let answer = loop {
        let answer = copy.refresh(&refresh);
        if answer.status != 503 {
            break answer;
        }
        assert!(Instant::now() < deadline, "the server is paused");
    };
    if answer.status == 200 {
        return false;
    }
    assert_eq!((answer.status, answer.json()), (401, json!({"error": "invalid_grant"})));
    let deadline = Instant::now() + Duration::from_secs(5);
    while copy.profile(&access) != 401 {
        assert!(Instant::now() < deadline, "its access token is not");
    }
    true
}
