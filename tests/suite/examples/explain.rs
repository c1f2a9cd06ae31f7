//! The example `explain`, as a program and a person ask it.

use std::io::{Read, Write};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::{Authority, TokenBuilder};

use super::{Running, SECRET, command, now, run, serve_provider};

/// One answer of `explain` for each line. Without `--json`, the first line has to begin with a brace.
fn explain(arguments: &[&str], lines: &[Vec<u8>]) -> Vec<Value> {
    let mut program = Running::start("explain", arguments);
    let mut input = program.input();
    let lines = [lines.join(&b'\n'), b"\n".to_vec()].concat();
    // Written beside the reading: neither side waits for room in a pipe.
    let writer = std::thread::spawn(move || input.write_all(&lines));
    let mut text = String::new();
    program.output.read_to_string(&mut text).expect("the output is UTF-8");
    writer.join().expect("no panic").expect("everything is read");
    assert!(program.child.wait().expect("it ends").success());
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// RFC 8410 §10.1; nobody here has the private key.
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

/// What RFC 8037 §A.4 signs is no claims set, so a token of its key is good up to the payload.
const RFC_8037_PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
const RFC_8037_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// RFC 7515 §A.1, whose `exp` is 1300819380.
const RFC_7515_TOKEN: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const RFC_7515_KEY: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// The checks in their order: an answer has the first so many of them, and ends with the one that failed.
const CHECKS: [&str; 10] =
    ["envelope", "header", "algorithm", "key", "signature", "payload", "issuer", "audience", "time", "claims"];

#[test]
fn an_explanation_ends_with_the_check_that_failed() {
    let authority = Authority::new(Algorithm::ES256);
    let other = Authority::new(Algorithm::ES256);
    let hmac = Authority::new(Algorithm::HS256);
    let jwks: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
    let (text, one, secret) = (authority.jwks(), &jwks["keys"][0], &hmac.jwks());
    let rsa = Authority::new(Algorithm::PS256);
    let mut without_alg: Value = serde_json::from_str(&rsa.jwks()).expect("JSON");
    without_alg["keys"][0].as_object_mut().expect("a key").remove("alg");
    let good = || authority.token();
    let ask = |token: TokenBuilder<'_>, more: Value| merge(json!({ "token": token.sign(), "jwks": jwks }), more);
    let then = now() + 331;
    let rfc_7515 = json!({ "keys": [{ "kty": "oct", "k": RFC_7515_KEY, "alg": "HS256" }] });
    let weak = json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB" }] });
    // question, kind (none: accepted), the last check
    let cases = [
        (ask(good(), json!({})), None, "claims"),
        (ask(good(), json!({ "jwks": text })), None, "claims"),
        (ask(good(), json!({ "jwks": one })), None, "claims"),
        (ask(good(), json!({ "jwks": one.to_string() })), None, "claims"),
        (ask(good(), json!({ "issuer": authority.name(), "audience": authority.audience() })), None, "claims"),
        (ask(good(), json!({ "algorithms": ["ES256", "RS256"], "typ": "JWT" })), None, "claims"),
        (ask(good(), json!({ "issuer": null, "now": null })), None, "claims"),
        (ask(hmac.token(), json!({ "jwks": secret })), None, "claims"),
        (ask(rsa.token(), json!({ "jwks": without_alg, "algorithms": ["PS256"] })), None, "claims"),
        (ask(rsa.token(), json!({ "jwks": without_alg })), Some("algorithm_not_allowed"), "algorithm"),
        (json!({ "token": RFC_7515_TOKEN, "jwks": rfc_7515, "now": 1_300_819_409 }), None, "claims"),
        (json!({ "token": RFC_7515_TOKEN, "jwks": rfc_7515, "now": 1_300_819_410 }), Some("expired"), "time"),
        (json!({ "token": RFC_7515_TOKEN, "secret": SECRET, "now": 0 }), Some("invalid_signature"), "signature"),
        (json!({ "token": RFC_8037_TOKEN, "pem": RFC_8037_PEM }), Some("malformed_payload"), "payload"),
        (json!({ "token": RFC_8037_TOKEN, "pem": ED25519_PEM }), Some("invalid_signature"), "signature"),
        (ask(good(), json!({ "now": then })), Some("expired"), "time"),
        (ask(good().claim("nbf", then), json!({})), Some("not_yet_valid"), "time"),
        (ask(good().without("exp"), json!({})), Some("missing_time"), "time"),
        (ask(good(), json!({ "issuer": "https://other.test" })), Some("invalid_issuer"), "issuer"),
        (ask(good(), json!({ "audience": "other" })), Some("invalid_audience"), "audience"),
        (ask(good(), json!({ "typ": "at+jwt" })), Some("wrong_type"), "header"),
        (ask(good().header("crit", ["exp"]), json!({})), Some("critical_header"), "header"),
        (ask(good(), json!({ "token": "a.b" })), Some("malformed_token"), "envelope"),
        (ask(good(), json!({ "token": "" })), Some("malformed_token"), "envelope"),
        (ask(good().tampered(), json!({})), Some("invalid_signature"), "signature"),
        (ask(good().signed_by(&other), json!({})), Some("invalid_signature"), "signature"),
        (ask(good().header("kid", "unknown"), json!({})), Some("unknown_key"), "key"),
        (ask(good().header("alg", "none").unsigned(), json!({})), Some("algorithm_not_allowed"), "algorithm"),
        (ask(hmac.token(), json!({})), Some("algorithm_not_allowed"), "algorithm"),
        (ask(hmac.token(), json!({ "algorithms": ["HS256", "ES256"] })), Some("unknown_key"), "key"),
        (ask(good(), json!({ "algorithms": ["RS256"] })), Some("algorithm_not_allowed"), "algorithm"),
        (ask(good().claim("events", json!({})), json!({})), Some("security_event"), "claims"),
        (ask(good(), json!({ "jwks": weak })), Some("keys_unavailable"), "key"),
        (ask(good(), json!({ "jwks": "no JSON" })), Some("keys_unavailable"), "key"),
        (ask(good(), json!({ "jwks": {} })), Some("keys_unavailable"), "key"),
        (json!({ "token": RFC_7515_TOKEN, "secret": "weak" }), Some("keys_unavailable"), "key"),
        (json!({ "token": RFC_7515_TOKEN, "secret": RFC_8037_PEM }), Some("keys_unavailable"), "key"),
        (json!({ "token": RFC_8037_TOKEN, "pem": "no PEM" }), Some("keys_unavailable"), "key"),
        (
            json!({ "token": RFC_8037_TOKEN, "pem": RFC_8037_PEM, "algorithms": ["EdDSA", "RS256"] }),
            Some("malformed_payload"),
            "payload",
        ),
    ];
    let lines: Vec<_> = cases.iter().map(|(question, ..)| question.to_string().into_bytes()).collect();
    let answers = explain(&[], &lines);
    assert_eq!(answers.len(), cases.len());
    let blank = b" \r\n\n\t".to_vec();
    assert_eq!(explain(&[], &[blank, lines[0].clone()]).len(), 1, "blank lines in front");
    for ((question, kind, last), answer) in cases.iter().zip(answers) {
        let text = format!("{question}\n{answer}");
        assert_eq!((&answer["accepted"], &answer["kind"]), (&json!(kind.is_none()), &json!(kind)), "{text}");
        assert_eq!(answer["detail"].is_null(), kind.is_none(), "{text}");
        let checks = answer["checks"].as_array().expect("an array");
        let names: Vec<_> = checks.iter().filter_map(|check| check["check"].as_str()).collect();
        let end = CHECKS.iter().position(|check| check == last).expect("a check");
        assert_eq!(names, CHECKS[..=end], "{text}");
        for (at, check) in checks.iter().enumerate() {
            assert_eq!(check["ok"], json!(kind.is_none() || at < end), "{text}");
            assert!(check["saw"].as_str().is_some_and(|saw| !saw.is_empty()), "{text}");
        }
        if *kind == Some("keys_unavailable") {
            let saw = checks[end]["saw"].as_str().unwrap_or_default();
            let reason = saw.split_once("; ").expect("the reason").1;
            assert!(answer["detail"].as_str().is_some_and(|detail| detail.ends_with(reason)), "{text}");
        }
    }
}

fn merge(mut to: Value, from: Value) -> Value {
    let (Value::Object(members), Value::Object(more)) = (&mut to, from) else { panic!("two objects") };
    members.extend(more);
    to
}

#[test]
fn a_line_that_cannot_be_understood_is_an_error_and_the_next_is_read() {
    let good = json!({ "token": RFC_8037_TOKEN, "pem": RFC_8037_PEM }).to_string();
    let bad = [
        "not JSON",
        "{",
        "[]",
        "7",
        r#"{"pem":"x"}"#,
        r#"{"token":"a.b.c"}"#,
        r#"{"token":7,"pem":"x"}"#,
        r#"{"token":"a.b.c","pem":"x","secret":"x"}"#,
        r#"{"token":"a.b.c","pem":"x","algorithms":[]}"#,
        r#"{"token":"a.b.c","pem":"x","algorithms":["none"]}"#,
        r#"{"token":"a.b.c","pem":"x","algorithms":"RS256"}"#,
        r#"{"token":"a.b.c","pem":"x","issuer":""}"#,
        r#"{"token":"a.b.c","pem":"x","now":"today"}"#,
        r#"{"token":"a.b.c","pem":"x","audiences":["x"]}"#,
    ];
    let mut lines = vec![b"\xff\xfe".to_vec(), good.clone().into_bytes()];
    for line in bad {
        lines.extend([line.as_bytes().to_vec(), b"  ".to_vec(), good.clone().into_bytes(), Vec::new()]);
    }
    let answers = explain(&["--json"], &lines);
    assert_eq!(answers.len(), 2 * (bad.len() + 1));
    for (pair, line) in answers.chunks(2).zip(std::iter::once("no UTF-8").chain(bad)) {
        let members: Vec<_> = pair[0].as_object().expect("an object").keys().collect();
        assert_eq!(members, ["error"], "{line}: {}", pair[0]);
        assert!(pair[0]["error"].as_str().is_some_and(|error| !error.is_empty()), "{line}");
        assert_eq!(pair[1]["kind"], "malformed_payload", "after {line}");
    }
}

#[test]
fn a_person_reads_a_check_a_line() {
    let authority = Authority::new(Algorithm::ES256);
    let file = std::env::temp_dir().join(format!("explain-{}.json", std::process::id()));
    std::fs::write(&file, authority.jwks()).expect("the folder for temporary files is there");
    let jwks = file.to_str().expect("UTF-8");
    let ask = |token: String| run("explain", &["--token", &token, "--jwks", jwks]);
    let (accepted, expired) = (ask(authority.token().sign()), ask(authority.token().expires_in(-60).sign()));
    let hostile = ask(authority.token().raw_header("{\u{1b}[2J").sign());
    std::fs::remove_file(&file).expect("it was written");

    assert_eq!((accepted.status.code(), expired.status.code()), (Some(0), Some(1)));
    let text = String::from_utf8(accepted.stdout).expect("UTF-8");
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("ok ")?.split_whitespace().next()).collect();
    assert_eq!(names, CHECKS);
    assert_eq!(text.lines().next(), Some("accepted"));
    assert!(text.contains("valid for 4 minutes") || text.contains("valid for 5 minutes"), "{text}");

    let text = String::from_utf8(expired.stdout).expect("UTF-8");
    assert_eq!(text.lines().filter(|line| line.starts_with("FAILED  time ")).count(), 1, "{text}");
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("refused (expired): the token has expired: expired 1 minute"), "{text}");
    assert!(text.lines().nth(1).is_some_and(|line| line.starts_with("try: get a new token")), "{text}");
    assert!(!String::from_utf8(hostile.stdout).expect("UTF-8").contains('\u{1b}'));

    let gone = run("explain", &["--token", "a.b.c", "--jwks", jwks]);
    assert_eq!((gone.status.code(), &gone.stdout[..]), (Some(2), &b""[..]));
    let text = String::from_utf8(gone.stderr).expect("UTF-8");
    assert!(text.starts_with(&format!("error: {jwks}: ")) && !text.contains('"'), "{text}");
}

/// An HS256 token of `SECRET`, which is text; the keys of an `Authority` are not.
fn signed_with_the_secret(claims: &Value) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER};

    let encoded = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", encoded(json!({ "alg": "HS256" })), encoded(claims.clone()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    // The provider is named, since with both backends there are two and no default.
    let signer = (DEFAULT_PROVIDER.signer_factory)(&jsonwebtoken::Algorithm::HS256, &key).expect("HMAC");
    let signature = signer.try_sign(message.as_bytes()).expect("HMAC");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_person_gives_a_secret_and_reads_what_was_not_checked() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "aud": "orders", "exp": now() + 300 }));
    let (both, issuer, audience) = (
        "issuer and audience not checked (give --issuer, --audience)",
        "issuer not checked (give --issuer)",
        "audience not checked (give --audience)",
    );
    let left_out = "the `Bearer` in front of the token is left out";
    let accepted = "accepted";
    // token, options, the first line by its beginning, the notes
    let cases: [(String, &[&str], &str, &[&str]); 11] = [
        (token.clone(), &[], accepted, &[both]),
        (token.clone(), &["--audience", "orders"], accepted, &[issuer]),
        (token.clone(), &["--issuer", "joe"], accepted, &[audience]),
        (token.clone(), &["--issuer", "joe", "--audience", "orders"], accepted, &[]),
        (
            token.clone(),
            &["--issuer", "joe", "--audience", "other"],
            r#"refused (invalid_audience): the token is for another audience: "orders", expected: ["other"]"#,
            &[],
        ),
        (
            token.clone(),
            &["--issuer", "Joe"],
            r#"refused (invalid_issuer): the token's issuer is not trusted: "joe", trusted: "Joe""#,
            &[audience],
        ),
        (token.clone(), &["--typ", "at+jwt"], "refused (wrong_type): ", &[both]),
        (format!("Bearer {token}"), &["--issuer", "joe", "--audience", "orders"], accepted, &[left_out]),
        (format!("bEARER  {token}"), &[], accepted, &[left_out, both]),
        (format!(" authorization:Bearer {}\r\n {}\n", &token[..20], &token[20..]), &[], "refused (", &[left_out, both]),
        (format!("Basic {token}"), &[], "refused (malformed_token): ", &[both]),
    ];
    for (token, options, first, notes) in cases {
        let output = run("explain", &[&["--token", &token, "--secret", SECRET], options].concat());
        assert_eq!(output.status.code(), Some(i32::from(first != accepted)), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.lines().next().is_some_and(|line| line.starts_with(first)), "{text}");
        let parts: Vec<_> = text.split("\n\n").collect();
        assert_eq!(parts.get(2).map_or(Vec::new(), |part| part.lines().collect()), notes, "{text}");
    }
}

/// What the program says with this on standard input, with these arguments and `TOKEN`.
fn ask(input: &[u8], arguments: &[&str], from_environment: Option<&str>) -> Output {
    let mut command = command("explain", arguments);
    if let Some(token) = from_environment {
        command.env("TOKEN", token);
    }
    let (stdin, stdout, stderr) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect("the example starts");
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // It may end without having read it.
    let writer = std::thread::spawn(move || pipe.write_all(&input).is_ok());
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic");
    output
}

/// An explanation of a token that is piped in.
fn piped(token: &[u8], arguments: &[&str], from_environment: Option<&str>) -> (Option<i32>, String) {
    let output = ask(token, arguments, from_environment);
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

/// What the program says on standard error, where it has nothing else to say.
fn error(output: Output) -> String {
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_token_is_piped_in_or_in_the_environment_and_may_have_been_broken() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "aud": "orders", "exp": now() - 180 }));
    let file = std::env::temp_dir().join(format!("explain-secret-{}", std::process::id()));
    std::fs::write(&file, format!("{SECRET}\n")).expect("the folder for temporary files is there");
    let path = file.to_str().expect("UTF-8");
    let keys = ["--secret-file", path];
    let first = |(code, text): (Option<i32>, String)| (code, text.lines().next().unwrap_or_default().to_owned());
    let expired = |(code, line): (Option<i32>, String)| {
        assert_eq!(code, Some(1), "{line}");
        assert!(line.starts_with("refused (expired): the token has expired: expired 3 minutes"), "{line}");
    };
    expired(first(piped(token.as_bytes(), &keys, None)));
    expired(first(piped(token.as_bytes(), &[&["-"][..], &keys].concat(), Some("a.b.c"))));
    expired(first(piped(b"", &keys, Some(&token))));
    expired(first(piped(b"", &[&[token.as_str()][..], &keys].concat(), None)));
    let broken = format!("Authorization: Bearer {}\r\n{}\n{}\n", &token[..30], &token[30..60], &token[60..]);
    expired(first(piped(broken.as_bytes(), &keys, None)));

    assert_eq!(piped(b"", &keys, None), (Some(2), String::new()), "no token");
    assert_eq!(piped(b"\xff", &keys, None).0, Some(2), "no text");
    let (code, long) = piped("a".repeat(300_000).as_bytes(), &keys, None);
    assert!(code == Some(1) && long.starts_with("refused (token_too_long)"), "{long}");
    // Neither the secret nor a signature is shown.
    let (_, text) = piped(token.as_bytes(), &keys, None);
    let signature = token.rsplit('.').next().expect("a signature");
    assert!(!text.contains(signature) && !text.contains(SECRET), "{text}");

    std::fs::write(&file, "short").expect("it was written before");
    let (code, text) = piped(token.as_bytes(), &keys, None);
    std::fs::remove_file(&file).expect("it was written");
    assert!(code == Some(2) && text.starts_with("refused (keys_unavailable)"), "{code:?} {text}");

    let help = run("explain", &["--help"]);
    let text = String::from_utf8(help.stdout).expect("UTF-8");
    let names = ["--issuer URL", "--jwks", "TOKEN", "--token TOKEN", "--audience-claim", "--json"];
    assert!(help.status.success() && names.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn of_two_tokens_none_is_judged_unless_one_is_on_the_command_line() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "exp": now() + 300 }));
    let keys = ["--secret", SECRET];
    let text = error(ask(token.as_bytes(), &keys, Some("a.b.c")));
    assert!(text.contains("standard input") && text.contains("TOKEN"), "{text}");
    let accepted = |input: &str, arguments: &[&str], variable| {
        let (code, text) = piped(input.as_bytes(), &[arguments, &keys].concat(), variable);
        assert!(code == Some(0) && text.starts_with("accepted\n"), "{text}");
    };
    accepted("a.b.c", &["--token", &token], Some("d.e.f"));
    accepted("a.b.c", &[&token], Some("d.e.f"));
    accepted(&token, &["-"], Some("a.b.c"));
    accepted(&token, &["--token", "-"], Some("a.b.c"));
    accepted(&token, &[], Some(" "));
    accepted("\n", &[], Some(&token));
    for twice in [&["--token", &token, "--token", "a.b.c"][..], &["a.b.c", "--token", &token], &[&token, "-"]] {
        let text = error(ask(b"", &[twice, &keys].concat(), None));
        assert!(text.contains("is given twice"), "{text}");
    }
    let text = error(ask(b"", &["--issuer", "a", "--token", &token, "--issuer", "b", "--secret", SECRET], None));
    assert!(text.contains("--issuer is given twice"), "{text}");
}

#[test]
fn without_options_it_says_that_the_keys_are_missing_unless_json_is_piped_in() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "exp": now() + 300 }));
    for (input, variable) in [(token.as_str(), None), ("", Some(token.as_str())), ("", None), (" \n", None)] {
        let text = error(ask(input.as_bytes(), &[], variable));
        assert!(text.starts_with("error: the keys are missing: give --issuer URL, --jwks"), "{text}");
    }
    // Whoever asks in JSON names the token in the question.
    let question = json!({ "token": token, "secret": SECRET }).to_string();
    let (code, answer) = piped(question.as_bytes(), &[], Some("a.b.c"));
    assert!(code == Some(0) && answer.starts_with(r#"{"accepted":true"#), "{answer}");
    assert_eq!(piped(b"", &["--json"], None), (Some(0), String::new()), "no question, no answer");
    assert!(error(ask(question.as_bytes(), &["--json", "--secret", SECRET], None)).contains("--json"));
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "exp": now() + 300 }));
    let person = ["--token", &token, "--secret", SECRET];
    let question = json!({ "token": token, "secret": SECRET }).to_string();
    for (arguments, input) in [(&person[..], ""), (&["--help"], ""), (&["--json"], &question)] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = command("explain", arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("a pipe has room for it");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?} {output:?}");
    }
}

#[test]
fn the_segment_that_is_bent_is_named() {
    let token = signed_with_the_secret(&json!({ "iss": "joe", "exp": now() + 300 }));
    let segments: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = segments[..] else { panic!("three segments") };
    // `text` in base64url
    let no_json = "dGV4dA";
    let cases = [
        ("a.b.c".to_owned(), "malformed_token", "the header (segment 1 of 3) is not base64url"),
        (
            format!("{header}.{payload}=.{signature}"),
            "malformed_token",
            "the payload (segment 2 of 3) is not base64url",
        ),
        (
            format!("{header}.{payload}.{signature}+"),
            "malformed_token",
            "the signature (segment 3 of 3) is not base64url",
        ),
        (
            format!("{no_json}.{payload}.{signature}"),
            "malformed_header",
            "the header (segment 1 of 3) is not a JSON object",
        ),
        ("abc".to_owned(), "malformed_token", "it has 1 segment, and a signed token has 3"),
        ("a.b".to_owned(), "malformed_token", "it has 2 segments, and a signed token has 3"),
        ("a.b.c.d.e".to_owned(), "malformed_token", "it has 5 segments, and a signed token has 3"),
    ];
    for (token, kind, end) in cases {
        let (code, text) = piped(token.as_bytes(), &["--secret", SECRET], None);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        assert!(code == Some(1) && first.starts_with(&format!("refused ({kind}): ")), "{text}");
        assert!(first.ends_with(&format!(": {end}")), "{text}");
        assert!(lines.next().is_some_and(|line| line.starts_with("try: ")), "{text}");
        assert!(!text.contains("1 segments"), "{text}");
    }
    let pem = std::env::temp_dir().join(format!("explain-{}.pem", std::process::id()));
    std::fs::write(&pem, RFC_8037_PEM).expect("the folder for temporary files is there");
    let (code, text) = piped(RFC_8037_TOKEN.as_bytes(), &["--pem", pem.to_str().expect("UTF-8")], None);
    std::fs::remove_file(&pem).expect("it was written");
    let first = "refused (malformed_payload): the token's payload is malformed: the payload (segment 2 of 3) is not a JSON object\n";
    assert!(code == Some(1) && text.starts_with(first), "{text}");
}

#[test]
fn a_token_without_an_audience_is_told_from_one_for_another() {
    let sign = |claims: Value| signed_with_the_secret(&merge(json!({ "iss": "joe", "exp": now() + 300 }), claims));
    let token = sign(json!({ "client_id": "orders" }));
    let wanted = ["--secret", SECRET, "--issuer", "joe", "--audience", "orders"];
    let (code, text) = piped(token.as_bytes(), &wanted, None);
    let first = r#"refused (invalid_audience): the token has no audience: `aud` is missing, expected: ["orders"]"#;
    let lines: Vec<_> = text.lines().take(2).collect();
    assert_eq!((code, lines[0]), (Some(1), first));
    assert!(lines[1].starts_with("try: ") && lines[1].contains("--audience-claim"), "{text}");

    let with_claim = |name| piped(token.as_bytes(), &[&wanted[..], &["--audience-claim", name]].concat(), None);
    assert_eq!(with_claim("client_id").0, Some(0));
    assert!(with_claim("azp").1.contains("the token has no audience: `azp` is missing, expected"));
    let question = json!({ "token": token, "secret": SECRET, "audience": "orders", "audience_claim": "client_id" });
    assert_eq!(explain(&[], &[question.to_string().into_bytes()])[0]["accepted"], true);

    for other in [json!("missing, expected: x"), json!([]), json!(null)] {
        let (code, text) = piped(sign(json!({ "aud": other })).as_bytes(), &wanted, None);
        assert!(code == Some(1) && text.contains("the token is for another audience: "), "{text}");
    }
}

#[test]
fn times_in_milliseconds_are_pointed_out() {
    let note = |claims: Value| {
        let (_, text) = piped(signed_with_the_secret(&claims).as_bytes(), &["--secret", SECRET], None);
        let note = text.split("\n\n").next().unwrap_or_default().lines().find_map(|line| line.strip_prefix("note: "));
        (text.starts_with("accepted\n"), note.map(str::to_owned))
    };
    let (now, times) = (now(), 1000 * now());
    let rule = "read as seconds; with `Issuer::max_lifetime` the token would be refused";
    let one = format!("`exp` looks like milliseconds and is {rule}");
    assert_eq!(note(json!({ "exp": times + 300_000 })), (true, Some(one)));
    let two = format!("`exp` and `iat` look like milliseconds and are {rule}");
    assert_eq!(note(json!({ "exp": times + 300_000, "iat": times })), (true, Some(two)));
    let early = "`nbf` looks like milliseconds and is read as seconds".to_owned();
    assert_eq!(note(json!({ "exp": now + 300, "nbf": times })), (false, Some(early)));
    assert_eq!(note(json!({ "exp": now + 300, "iat": now })), (true, None));
    // The year 5138 in seconds, March 1973 in milliseconds.
    assert_eq!(note(json!({ "exp": 99_999_999_999_u64 })), (true, None));
    assert!(note(json!({ "exp": 100_000_000_000_u64 })).1.is_some());
}

// Two threads at least: the program holds one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_a_provider_are_fetched_and_an_unknown_kid_is_shown_beside_them() {
    let is_up = Arc::new(AtomicBool::new(true));
    let authority = serve_provider(&is_up).await;
    let jwks = format!("{}/jwks", authority.name());
    let token = authority.token().sign();
    let unknown = authority.token().header("kid", "other").sign();
    let not_there =
        r#"refused (unknown_key): no key of the issuer fits the token: kid "other", the keys at hand: "key-1" (ES256)"#;
    for keys in [&["--issuer", authority.name()][..], &["--issuer", "x", "--jwks", &jwks], &["--jwks", &jwks]] {
        let (code, text) = piped(token.as_bytes(), keys, None);
        let is_issuer_wrong = keys.contains(&"x");
        assert_eq!(code, Some(i32::from(is_issuer_wrong)), "{text}");
        assert!(text.contains(&format!("\nkeys: 1, from {jwks}, fetched ")), "{text}");
        let (code, text) = piped(unknown.as_bytes(), keys, None);
        let first = text.lines().next().unwrap_or_default();
        // Whose issuer is wrong anyway is not saved by any key.
        let expected = if is_issuer_wrong { "refused (invalid_issuer): " } else { not_there };
        assert!(code == Some(1) && first.starts_with(expected), "{text}");
    }
    is_up.store(false, Ordering::SeqCst);
    let (code, text) = piped(token.as_bytes(), &["--issuer", authority.name()], None);
    assert_eq!((code, text.as_str()), (Some(2), ""));
    let (code, _) = piped(token.as_bytes(), &["--issuer", "http://login.example"], None);
    assert_eq!(code, Some(2), "https, or loopback");
}
