//! The examples, run as a newcomer runs them: the built programs, over real sockets and pipes.
//!
//! Cargo builds examples before the tests of a crate run, and puts them beside the test binary.

mod explain;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::Authority;

/// The program of an example: this binary is in `target/PROFILE/deps`, the examples are in `target/PROFILE/examples`.
fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().expect("this binary has a path");
    let profile = this.parent().and_then(|deps| deps.parent()).expect("two folders up is the profile's");
    let program = profile.join("examples").join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not there: run `cargo build --examples`", program.display());
    program
}

/// An example with the options given, and with none from the environment.
pub(crate) fn command(example: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(example));
    command.args(arguments).env_remove("ISSUER").env_remove("AUDIENCE").env_remove("PORT").env_remove("TOKEN");
    command
}

pub(crate) fn run(example: &str, arguments: &[&str]) -> Output {
    command(example, arguments).stdin(Stdio::null()).output().expect("the example starts")
}

/// A running example, ended when this goes out of scope, by a panic too.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(example: &str, arguments: &[&str]) -> Self {
        Self::spawn(&mut command(example, arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, output }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the output is UTF-8");
        line.trim_end().to_owned()
    }

    /// The words behind `READY`.
    pub(crate) fn ready(&mut self) -> Vec<String> {
        let line = self.line();
        let words = line.strip_prefix("READY ").unwrap_or_else(|| panic!("no READY in {line:?}"));
        words.split(' ').map(str::to_owned).collect()
    }

    fn input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin is piped and taken once")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl prints under `-i`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn challenge(&self) -> Option<&str> {
        self.field("www-authenticate")
    }
}

/// Runs a curl command line in a shell, as it would be pasted.
pub(crate) fn paste(command: &str) -> Answer {
    let quiet = command.replacen("curl ", "curl --silent --show-error --max-time 20 --noproxy '*' ", 1);
    let output = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
    assert!(output.status.success(), "install curl with `apt-get install curl`: {output:?}");
    let text = String::from_utf8(output.stdout).expect("the answer is UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").expect("curl -i prints head and body");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn get(url: &str, token: &str) -> Answer {
    paste(&format!("curl -i {url} -H 'Authorization: Bearer {token}'"))
}

fn tampered(token: &str) -> String {
    let at = token.rfind('.').expect("a compact token") + 5;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[test]
fn the_curl_lines_of_the_quickstart_answer_as_printed() {
    let mut server = Running::start("quickstart", &["--port", "0"]);
    let url = server.ready().remove(0);
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let said = server.line();
        if said.is_empty() {
            continue;
        }
        let answer = paste(&server.line());
        let status = said.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        assert_eq!(status, Some(answer.status.to_string().as_str()), "{said}: {}", answer.head);
        let is_refusal_of_token = answer.challenge().is_some_and(|text| text.contains("error=\"invalid_token\""));
        assert_eq!(is_refusal_of_token, said.contains("invalid_token"), "{said}: {}", answer.head);
        if said.contains("the claims") {
            assert_eq!(answer.json()["sub"], "user@example.com");
        }
        let description = answer.challenge().and_then(|text| text.split("error_description=").nth(1));
        match said.split(':').next() {
            Some("An expired token") => assert_eq!(description, Some("\"the token has expired\"")),
            Some("A tampered token") => assert_eq!(description, Some("\"the signature is invalid\"")),
            _ => assert_eq!(description, None, "{said}"),
        }
        if said.contains("the token") {
            let profile = get(&format!("{url}/profile"), answer.json()["access_token"].as_str().expect("a token"));
            assert_eq!((profile.status, &profile.json()["sub"]), (200, &json!("user@example.com")));
        }
        seen.push(answer.status);
    }
    assert_eq!(seen, [200, 401, 200, 401, 401, 200]);
}

#[test]
fn a_login_needs_exactly_the_right_body() {
    let mut server = Running::start("quickstart", &["--port", "0"]);
    let url = server.ready().remove(0);
    let login = |body: &str| paste(&format!("curl -i {url}/login -X POST -d '{body}'"));
    let grant = login(r#"{"password":"pass","email":"user@example.com"}"#).json();
    assert_eq!(grant["token_type"], "Bearer");
    assert!(grant["expires_in"].as_u64().is_some_and(|seconds| seconds > 0), "{grant}");
    assert_eq!(grant.as_object().map(serde_json::Map::len), Some(3));
    let wrong = [
        "",
        "{",
        "{}",
        "[]",
        "null",
        r#"{"email":"user@example.com"}"#,
        r#"{"email":"user@example.com","password":"Pass"}"#,
        r#"{"email":"user@example.com","password":null}"#,
        r#"{"email":"other@example.com","password":"pass"}"#,
        r#"{"email":"user@example.com","password":"pass","more":1}"#,
        "email=user@example.com&password=pass",
    ];
    for body in wrong {
        let answer = login(body);
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{body}");
    }
}

#[test]
fn the_grpc_example_shows_all_three_outcomes() {
    let output = run("tonic", &[]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let outcomes: Vec<_> = text.lines().filter_map(|line| line.split([':', ',']).nth(1).map(str::trim)).collect();
    assert_eq!(outcomes, ["accepted", "UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED", "PERMISSION_DENIED"]);
}

#[tokio::test]
async fn the_grpc_example_serves_outside_clients() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

    let mut server = Running::start("tonic", &["--serve", "--port", "0"]);
    let [url, token] = &server.ready()[..] else { panic!("an address and a token") };
    let channel =
        tonic::transport::Channel::from_shared(url.clone()).expect("a URL").connect().await.expect("it listens");
    let mut client = HealthClient::new(channel);
    let mut check = async |token: &str| {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        let bearer = format!("Bearer {token}").parse().expect("ASCII");
        request.metadata_mut().insert("authorization", bearer);
        client.check(request).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(check(token).await, Ok(()));
    assert_eq!(check(&tampered(token)).await, Err(tonic::Code::Unauthenticated));
}

#[test]
fn the_hyper_example_answers_the_claims_or_a_challenge() {
    let mut server = Running::start("hyper", &["--port", "0"]);
    let [url, token] = &server.ready()[..] else { panic!("an address and a token") };
    let accepted = get(url, token);
    assert_eq!(accepted.status, 200);
    let claims = accepted.json();
    assert_eq!(claims["sub"], "user-1");
    let lifetime = claims["exp"].as_u64().expect("a time").saturating_sub(now());
    assert!((3500..=3600).contains(&lifetime), "good for an hour, not for {lifetime} s");

    let refused = get(url, &tampered(token));
    let challenge = r#"Bearer realm="orders", error="invalid_token", error_description="the signature is invalid""#;
    assert_eq!((refused.status, refused.challenge()), (401, Some(challenge)));
    let refused = paste(&format!("curl -i {url}"));
    assert_eq!((refused.status, refused.challenge()), (401, Some(r#"Bearer realm="orders""#)));
}

/// Connections that say nothing take every file that the server may have open: it goes on, and frees them.
#[cfg(unix)]
#[test]
fn silent_connections_end_no_server_and_do_not_keep_others_out() {
    std::thread::scope(|scope| {
        for example in ["hyper", "gateway"] {
            scope.spawn(move || {
                let mut limited = Command::new("sh");
                limited.args(["-c", "ulimit -n 48; exec \"$0\" --port 0"]).arg(program(example));
                let mut server = Running::spawn(&mut limited);
                let [url, token] = &server.ready()[..] else { panic!("an address and a token") };
                let address = url.strip_prefix("http://").expect("plain http");
                let silent = || TcpStream::connect(address).expect("the kernel accepts it");
                let (kept, closed): (Vec<_>, Vec<_>) = (0..80).map(|n| (n, silent())).partition(|(n, _)| *n < 20);
                std::thread::sleep(Duration::from_millis(500));
                assert_eq!(server.child.try_wait().expect("it was started"), None, "{example} has ended");
                drop(closed);
                assert_eq!(get(url, token).status, 200, "{example}");
                for (_, mut stream) in kept {
                    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("more than none");
                    assert_eq!(stream.read_to_end(&mut Vec::new()).expect("closed in time"), 0, "{example}");
                }
            });
        }
    });
}

#[test]
fn a_stolen_token_is_refused_with_another_certificate() {
    let output = run("mtls", &[]);
    assert!(output.status.success(), "{output:?}");
    let expected = "alice, with her certificate: 200 OK\nmallory, with alice's token: 401 Unauthorized\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}

#[test]
fn the_source_of_ones_own_takes_new_keys_and_drops_old_ones() {
    let output = run("custom_keys", &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_wrong_option_is_said_and_ends_with_2() {
    let cases: [(&str, &[&str]); 25] = [
        ("quickstart", &["--prot", "1"]),
        ("quickstart", &["--port"]),
        ("quickstart", &["--port", "65536"]),
        ("hyper", &["--prot", "1"]),
        ("hyper", &["--port"]),
        ("hyper", &["--port", "x"]),
        ("tonic", &["serve"]),
        ("tonic", &["--serve", "--port"]),
        ("tonic", &["--port", "-1"]),
        ("health", &["--prot", "1"]),
        ("health", &["--port"]),
        ("gateway", &["--port", "x"]),
        ("gateway", &["--rely"]),
        ("gateway", &["--upstream"]),
        ("gateway", &["--upstream", "https://orders.example"]),
        ("gateway", &["--upstream", "http://127.0.0.1:8080/path"]),
        ("gateway", &["--upstream", "127.0.0.1:8080"]),
        // A token is relayed over plain http to loopback alone.
        ("gateway", &["--relay", "--upstream", "http://10.0.0.1"]),
        ("explain", &["--token", "a.b.c"]),
        ("explain", &["--jwks"]),
        ("explain", &["token"]),
        ("explain", &["--secret", SECRET]),
        ("explain", &["--token", "a.b.c", "--secret"]),
        ("explain", &["--token", "a.b.c", "--secret", SECRET, "--jwks", "keys.json"]),
        ("explain", &["--token", "a.b.c", "--secret", SECRET, "--issuer", ""]),
    ];
    for (example, arguments) in cases {
        let output = run(example, arguments);
        assert_eq!(output.status.code(), Some(2), "{example} {arguments:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{example} {arguments:?}");
    }
}

#[test]
fn the_resource_server_says_which_option_is_wrong() {
    const ISSUER: (&str, &str) = ("--issuer", "https://login.example");
    const AUDIENCE: (&str, &str) = ("--audience", "orders");
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[], "the issuer"),
        (&[AUDIENCE], "the issuer"),
        (&[ISSUER], "the audience"),
        (&[ISSUER, ("--audience", "")], "AUDIENCES: is empty"),
        (&[("--issuer", "http://login.example"), AUDIENCE], "https"),
        (&[("--issuer", "login.example"), AUDIENCE], "not a URL"),
        (&[("--issuer", "https://login.example?tenant=1"), AUDIENCE], "no query"),
        (&[ISSUER, AUDIENCE, ("--port", "65536")], "\"65536\""),
        (&[ISSUER, AUDIENCE, ("--prot", "1")], "--prot"),
    ];
    for (options, reason) in cases {
        let arguments: Vec<_> = options.iter().flat_map(|(name, value)| [*name, *value]).collect();
        let output = run("resource_server", &arguments);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{arguments:?}");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(text.lines().next().is_some_and(|line| line.contains(reason)), "{arguments:?}: {text}");
    }
    let output = run("resource_server", &["--issuer", "https://login.example", "--audience"]);
    assert_eq!(output.status.code(), Some(2));
    let help = run("resource_server", &["--help"]);
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    assert!(help.status.success() && ["ISSUER", "AUDIENCE", "PORT"].iter().all(|name| text.contains(name)), "{text}");
}

/// An OpenID provider on loopback that answers 500 while it is not up, and whose tokens are for `orders`.
async fn serve_provider(is_up: &Arc<AtomicBool>) -> Authority {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("just bound"));
    let authority = Authority::new(Algorithm::ES256).named(&url).for_audience("orders");
    let document = |text: String| {
        let is_up = Arc::clone(is_up);
        axum::routing::get(move || async move {
            if is_up.load(Ordering::SeqCst) { Ok(text) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) }
        })
    };
    let metadata = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") }).to_string();
    let app = Router::new()
        .route("/.well-known/openid-configuration", document(metadata))
        .route("/jwks", document(authority.jwks()));
    tokio::spawn(async { axum::serve(listener, app).await });
    authority
}

// Two threads at least: curl holds one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resource_server_starts_in_an_outage_and_heals() {
    let is_up = Arc::new(AtomicBool::new(false));
    let authority = serve_provider(&is_up).await;
    let token = authority.token().sign();
    let mut command = command("resource_server", &["--port", "0"]);
    // The option wins over the third one.
    let mut server = Running::spawn(command.env("ISSUER", authority.name()).env("AUDIENCE", "orders").env("PORT", "x"));
    let whoami = format!("{}/whoami", server.ready().remove(0));

    let mut answer = get(&whoami, &token);
    assert_eq!((answer.status, answer.challenge()), (503, None), "{}", answer.head);
    assert_eq!(paste(&format!("curl -i {whoami}")).status, 401, "without a token, no key is needed");

    is_up.store(true, Ordering::SeqCst);
    // As a client would: it comes again when it has been told to.
    for _ in 0..5 {
        let Some(seconds) = answer.field("retry-after") else { break };
        tokio::time::sleep(Duration::from_secs(seconds.parse().expect("whole seconds"))).await;
        answer = get(&whoami, &token);
    }
    assert_eq!(answer.status, 200, "{}", answer.head);
    let refused = get(&whoami, &tampered(&token));
    assert!(refused.status == 401 && refused.challenge().is_some_and(|text| text.contains("invalid_token")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resource_server_answers_the_claims_as_they_are_in_the_token() {
    let authority = serve_provider(&Arc::new(AtomicBool::new(true))).await;
    let arguments = ["--issuer", authority.name(), "--audience", "orders", "--port", "0"];
    let mut server = Running::start("resource_server", &arguments);
    let whoami = format!("{}/whoami", server.ready().remove(0));

    let token = || authority.token();
    let cases = [
        (token(), json!({ "sub": "user-1", "aud": "orders", "scope": null })),
        (token().claim("aud", ["invoices", "orders"]), json!({ "aud": ["invoices", "orders"] })),
        (token().claim("scope", "a b"), json!({ "scope": "a b" })),
        (token().claim("scope", ["a", "b"]), json!({ "scope": ["a", "b"] })),
        (token().without("sub").claim("scope", ""), json!({ "sub": null, "scope": "" })),
        (token().claim("roles", json!({ "shop": [1, null] })), json!({ "iss": authority.name() })),
    ];
    for (token, expected) in cases {
        let token = token.sign();
        let answer = get(&whoami, &token);
        assert_eq!(answer.status, 200, "{expected}: {}", answer.head);
        let answer = answer.json();
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&answer[name], value, "{answer}");
        }
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(5), "{answer}");
        assert_eq!(answer["claims"], crate::provider::payload(&token));
    }
}

#[test]
fn the_health_example_is_unready_while_its_keys_are_too_old_and_says_why() {
    let mut server = Running::start("health", &["--port", "0"]);
    server.ready();
    let mut curl_line = || loop {
        let line = server.line();
        if line.starts_with("curl ") {
            break line;
        }
    };
    let [ready, status, hello, fail, heal] = std::array::from_fn(|_| curl_line());
    let state = || paste(&status).json()[0].clone();

    assert_eq!(paste(&hello).status, 200, "it waits for the first keys");
    assert_eq!((paste(&ready).status, paste(&ready).body.as_str()), (200, "ready\n"));
    let before = state();
    assert!(before["location"].as_str().is_some_and(|url| url.ends_with("/jwks")), "{before}");
    assert_eq!((&before["is_ready"], &before["keys"], &before["last_error"]), (&json!(true), &json!(1), &json!(null)));

    assert_eq!(paste(&fail).status, 200);
    eventually("the status says why", || state()["last_error"].as_str().is_some_and(|error| error.contains("500")));
    assert_eq!((paste(&ready).status, paste(&hello).status), (200, 200), "the keys are still good");
    eventually("the keys are too old", || paste(&ready).status == 503);
    assert!(paste(&ready).body.contains("500"), "the probe says why");
    assert_eq!(paste(&hello).status, 503);

    assert_eq!(paste(&heal).status, 200);
    eventually("it heals", || paste(&ready).status == 200);
    assert_eq!(paste(&hello).status, 200);
    let after = state();
    assert!(after["last_error"].is_null() && after["fetches"].as_u64() > before["fetches"].as_u64(), "{after}");
}

/// Real processes have real time: this waits for one, though not for long.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        std::thread::sleep(Duration::from_millis(100));
    }
}
