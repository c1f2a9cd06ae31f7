//! Runs the table: each row is sent, and what came back is compared with what should.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind};

use crate::client::{Answer, Client, Reply, Running};
use crate::program::{Program, SERVER};
use crate::table::{Challenge, Expected, Row, TABLE, Then, Wire};

const PATH: &str = "/grpc.health.v1.Health/Check";

/// What every challenge begins with.
const WORDS: &str =
    r#"Bearer realm="orders", resource_metadata="https://orders.example/.well-known/oauth-protected-resource""#;

/// All of an answer that the table speaks of, and what the handlers saw.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    grpc_status: Vec<String>,
    grpc_message: Vec<String>,
    challenges: Vec<String>,
    cache_control: Vec<String>,
    retry_after: Vec<String>,
    grpc_pushback: Vec<String>,
    /// Of a refusal.
    content_type: Vec<String>,
    body: String,
    subjects: String,
}

/// Sends every row to the framework, and compares.
pub(crate) fn check(framework: &'static str, client: Client) {
    let Some(mut running) = Running::start(client) else { return };
    let authority = Authority::new(Algorithm::ES256).named("https://login.example").for_audience("orders");
    let jwks = authority.jwks();
    let mut server = Program::start(SERVER, &[framework, authority.name(), authority.audience(), &jwks]);
    let ready = server.line();
    let urls: BTreeMap<_, _> = ready.split(' ').filter_map(|word| word.split_once('=')).collect();

    let wire = Wire { framework, client };
    let mut wrong = String::new();
    for row in TABLE {
        // Only tonic has a gRPC answer for the rest.
        if client == Client::Grpc && framework != "tonic" && row.expected.subject.is_some() {
            continue;
        }
        // Where an answer comes before curl 7 has sent its message, it may lose the answer (exit code 92). Only tonic's
        // handler reads it first.
        let is_exception = row.unless.iter().any(|unless| (unless.on)(wire));
        let is_read = framework == "tonic" && row.expected.subject.is_some() && !is_exception;
        let reply = running.post(urls[row.setup], PATH, &(row.sent)(&authority), is_read);
        let subjects = server.ask("");
        if let Err(difference) = compare(row, wire, &reply, subjects) {
            writeln!(wrong, "{}: {difference}", row.name).expect("a string takes everything");
        }
    }
    assert!(wrong.is_empty(), "{framework}, {client:?}:\n{wrong}");
}

fn compare(row: &Row, wire: Wire, reply: &Reply, subjects: String) -> Result<(), String> {
    let exception = row.unless.iter().find(|unless| (unless.on)(wire));
    let answer = match (exception, reply) {
        (None, Reply::Answer(answer)) => answer,
        (Some(unless), reply) => {
            let is_right = match (&unless.then, reply) {
                (Then::Status(status), Reply::Answer(answer)) => is_by_server(answer, *status),
                (Then::Nothing, Reply::Nothing) | (Then::NotSent, Reply::NotSent) => true,
                _ => false,
            };
            return if is_right && subjects.is_empty() {
                Ok(())
            } else {
                Err(format!("{reply:?}, where {}; the handler saw {subjects:?}", unless.why))
            };
        }
        (None, reply) => return Err(format!("{reply:?}")),
    };
    let (expected, seen) = (expected(row, wire), seen(row, wire, answer, subjects));
    if seen == expected { Ok(()) } else { Err(format!("\n  seen     {seen:?}\n  expected {expected:?}")) }
}

/// Whether the server has answered by itself: the layer would have said more.
fn is_by_server(answer: &Answer, status: u16) -> bool {
    let is_silent = answer.all("www-authenticate").is_empty();
    is_silent
        && match answer.status {
            Some(found) => found == status,
            // What gRPC clients make of an HTTP status.
            None => answer.all("grpc-message").iter().any(|message| message.contains(&status.to_string())),
        }
}

fn seen(row: &Row, wire: Wire, answer: &Answer, subjects: String) -> Seen {
    let mut body = answer.body.escape_ascii().to_string();
    if let Ok(problem @ Value::Object(_)) = serde_json::from_slice(&answer.body) {
        body = problem.to_string();
    }
    let tells_type = row.expected.subject.is_none() && wire.client != Client::Grpc;
    Seen {
        status: answer.status.unwrap_or(200),
        grpc_status: answer.all("grpc-status"),
        grpc_message: answer.all("grpc-message"),
        challenges: answer.all("www-authenticate"),
        cache_control: answer.all("cache-control"),
        retry_after: answer.all("retry-after"),
        grpc_pushback: answer.all("grpc-retry-pushback-ms"),
        content_type: if tells_type { answer.all("content-type") } else { Vec::new() },
        body,
        subjects,
    }
}

fn expected(row: &Row, wire: Wire) -> Seen {
    let Expected { status, grpc, challenge, kind, cache, retry_after, subject } = row.expected;
    let is_grpc = wire.client.is_grpc();
    let list = |text: Option<String>| text.into_iter().collect::<Vec<_>>();
    let phrase = kind.map(AuthErrorKind::phrase).unwrap_or_default();
    let challenge = match challenge {
        Challenge::None => None,
        Challenge::Bare => Some(WORDS.to_owned()),
        Challenge::Error(error) => Some(format!(r#"{WORDS}, error="{error}", error_description="{phrase}""#)),
        Challenge::Scope(scope) => {
            Some(format!(r#"{WORDS}, error="insufficient_scope", error_description="{phrase}", scope="{scope}""#))
        }
    };
    let is_problem = row.setup == "problem" && kind.is_some() && !is_grpc;
    let content_type = match (subject, is_grpc) {
        (None, true) if wire.client != Client::Grpc => Some("application/grpc"),
        _ => is_problem.then_some("application/problem+json"),
    };
    let body = match subject {
        // Two bytes that say SERVING, in a frame where the client does not take it off.
        Some(_) if wire.framework == "tonic" && wire.client == Client::Grpc => r"\x08\x01".to_owned(),
        Some(_) if wire.framework == "tonic" => r"\x00\x00\x00\x00\x02\x08\x01".to_owned(),
        Some(subject) => subject.to_owned(),
        None if is_problem => problem(status, kind),
        None => String::new(),
    };
    // A handler that is none of gRPC has no such status.
    let speaks_grpc = is_grpc && (subject.is_none() || wire.framework == "tonic");
    // A refusal has the status 200 there, and could be kept by a cache.
    let cache = if is_grpc && subject.is_none() { Some("no-store") } else { cache };
    Seen {
        status: if is_grpc { 200 } else { status },
        grpc_status: list(speaks_grpc.then(|| grpc.to_string())),
        grpc_message: list((is_grpc && kind.is_some()).then(|| phrase.to_owned())),
        challenges: list(challenge),
        cache_control: list(cache.map(str::to_owned)),
        retry_after: list(retry_after.filter(|_| !is_grpc).map(|seconds| seconds.to_string())),
        grpc_pushback: list(retry_after.filter(|_| is_grpc).map(|seconds| format!("{seconds}000"))),
        content_type: list(content_type.map(str::to_owned)),
        body,
        subjects: subject.unwrap_or_default().to_owned(),
    }
}

fn problem(status: u16, kind: Option<AuthErrorKind>) -> String {
    let kind = kind.expect("a refusal has a kind");
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        _ => panic!("no title for {status}"),
    };
    let problem = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": kind.phrase(),
        "error": kind.label(),
    });
    problem.to_string()
}
