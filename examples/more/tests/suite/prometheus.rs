//! The example `prometheus`, scraped.

use std::time::SystemTime;

use crate::support::{PROMETHEUS, Running};

/// The value of the series with this name and these labels, as it is written.
fn value<'t>(text: &'t str, series: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim_end()
}

#[test]
fn the_metrics_tell_what_the_curl_lines_have_done() {
    let mut server = Running::start(PROMETHEUS, &[]);
    for expected in ["200", "200", "403", "401", "401", "200", "401"] {
        let (heading, answer) = server.paste();
        assert!(heading.contains(expected), "{heading}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{heading}: {answer}");
    }
    let (_, text) = server.paste();
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");

    let verdicts = |issuer: &str, reason: &str| {
        value(&text, &format!(r#"jwt_auth_verdicts_total{{issuer="{issuer}",reason="{reason}"}}"#)).to_owned()
    };
    assert_eq!(verdicts("https://issuer.test", "accepted"), "3");
    assert_eq!(verdicts("https://issuer.test", "invalid_signature"), "1");
    assert_eq!(verdicts("https://issuer.test", "unknown_key"), "1");
    assert_eq!(verdicts("unknown", "missing_token"), "1");
    assert_eq!(value(&text, r#"jwt_auth_guard_refusals_total{reason="insufficient_scope"}"#), "1");
    assert_eq!(value(&text, r#"jwt_auth_cache_lookups_total{result="hit"}"#), "1");
    assert_eq!(value(&text, r#"jwt_auth_cache_lookups_total{result="miss"}"#), "4");
    assert_eq!(value(&text, r#"jwt_auth_signature_check_seconds_count{algorithm="ES256"}"#), "3");
    assert_eq!(value(&text, r#"jwt_auth_signature_check_seconds_bucket{algorithm="ES256",le="+Inf"}"#), "3");

    let line = text.lines().find(|line| line.starts_with("jwt_auth_keys{")).expect("a line for the source");
    let labels = line.trim_start_matches("jwt_auth_keys{").split('}').next().expect("labels");
    assert!(labels.starts_with(r#"source="http://127.0.0.1:"#) && labels.ends_with(r#"/jwks""#), "{labels}");
    assert_eq!(value(&text, &format!("jwt_auth_keys{{{labels}}}")), "1");
    assert_eq!(value(&text, &format!("jwt_auth_key_waiting_requests{{{labels}}}")), "0");
    let refreshes = |cause: &str, outcome: &str| {
        let series = format!(r#"jwt_auth_key_refreshes_total{{{labels},cause="{cause}",outcome="{outcome}"}}"#);
        value(&text, &series).to_owned()
    };
    assert_eq!((refreshes("scheduled", "ok"), refreshes("unknown_kid", "failed")), ("1".to_owned(), "1".to_owned()));
    let confirmed = value(&text, &format!("jwt_auth_keys_last_success_timestamp_seconds{{{labels}}}"));
    let confirmed: f64 = confirmed.parse().expect("a number");
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs_f64();
    assert!(confirmed <= now && now < confirmed + 120.0, "{confirmed} and {now}");

    // Every one says what it is.
    for name in ["verdicts_total counter", "keys gauge", "signature_check_seconds histogram"] {
        assert!(text.contains(&format!("# TYPE jwt_auth_{name}\n")), "{name}");
        let name = name.split(' ').next().expect("a name");
        assert!(text.contains(&format!("# HELP jwt_auth_{name} ")), "{name}");
    }
}
