//! The example `opentelemetry`, and the spans that it exports.

use std::collections::BTreeMap;

use crate::support::{OPENTELEMETRY, Running};

#[derive(Debug, Default)]
struct Span {
    name: String,
    trace: String,
    id: String,
    parent: String,
    attributes: BTreeMap<String, String>,
}

/// Reads spans as they are printed, until so many with this name have ended.
fn read_until(server: &mut Running, name: &str, count: usize) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let is_last = |spans: &[Span]| {
        let all = spans.iter().filter(|span| span.name == name && span.attributes.contains_key("path"));
        all.count() == count
    };
    while !is_last(&spans) {
        let line = server.line();
        let line = line.trim();
        if line == "Instrumentation Scope" {
            spans.push(Span::default());
        }
        let Some(span) = spans.last_mut() else { continue };
        let part = |prefix: &str| Some(line.strip_prefix(prefix)?.split_once(": ")?.1.to_owned());
        if let Some(attribute) = line.strip_prefix("->  ") {
            let (name, value) = attribute.split_once(": ").expect("a name and a value");
            span.attributes.insert(name.to_owned(), value.to_owned());
        } else if let Some(trace) = part("TraceId") {
            span.trace = trace;
        } else if let Some(id) = part("SpanId") {
            span.id = id;
        } else if let Some(parent) = part("ParentSpanId") {
            span.parent = parent;
        } else if let Some(name) = part("Name").filter(|_| span.trace.is_empty()) {
            // The first one is the name of the scope; behind the trace come the names of events.
            span.name = name;
        }
    }
    spans
}

#[test]
fn the_verification_of_a_token_is_a_part_of_the_trace_of_its_request() {
    let mut server = Running::start(OPENTELEMETRY, &[]);
    for expected in ["200", "401"] {
        let (heading, answer) = server.paste();
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{heading}: {answer}");
    }
    let spans = read_until(&mut server, "request", 2);
    let has = |span: &Span, name: &str, text: &str| span.attributes.get(name).is_some_and(|value| value.contains(text));
    let one = |name: &str, attribute: &str, text: &str| {
        let mut found = spans.iter().filter(|span| span.name == name && has(span, attribute, text));
        found.next().unwrap_or_else(|| panic!("no {name} with {attribute} {text} in {spans:#?}"))
    };

    let accepted = one("verify_token", "verdict", "accepted");
    assert!(has(accepted, "issuer", "https://issuer.test") && has(accepted, "algorithm", "ES256"), "{accepted:?}");
    let waits = one("verify_token", "verdict", "waits");
    let expired = one("verify_token", "verdict", "expired");
    let requests: Vec<_> = spans.iter().filter(|span| span.name == "request").collect();
    for (span, request) in [(waits, requests[0]), (accepted, requests[0]), (expired, requests[1])] {
        assert_eq!((&span.trace, &span.parent), (&request.trace, &request.id), "{span:?}");
    }

    let fetch = one("fetch_keys", "cause", "scheduled");
    assert!(has(fetch, "outcome", "ok") && has(fetch, "location", "http://127.0.0.1:"), "{fetch:?}");
    assert!(fetch.parent.contains("None") && requests.iter().all(|request| request.trace != fetch.trace), "{fetch:?}");
}
