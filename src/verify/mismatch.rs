//! What is said of a payload that does not fit the claims type: nothing that stands in it.

/// What serde says of a payload that does not fit, without the value that it found there.
pub(super) fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).map_or(&*text, str::trim_end);
    if text.starts_with("missing field `") {
        // The name comes from the claims type.
        return format!("{text} {place}");
    }
    // What follows comes from the claims type too, in these messages; in others it may be the name of a claim.
    match text.rsplit_once(", expected ").filter(|_| text.starts_with("invalid ")) {
        Some((_, expected)) => format!("expected {expected} {place}"),
        None => format!("unexpected value {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    struct Empty {}

    #[test]
    fn a_detail_holds_no_value_from_the_token() {
        #[derive(serde::Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code)]
        struct Strict {
            n: u64,
            kind: Option<Kind>,
        }
        #[derive(serde::Deserialize, Debug)]
        enum Kind {
            A,
        }
        let canary = [
            r#"{"n":"CANARY"}"#,
            r#"{"n":", expected CANARY"}"#,
            r#"{"n":1,"CANARY":2}"#,
            r#"{"n":1,"kind":"CANARY"}"#,
            r#"{"CANARY":1}"#,
            r#"{"n":1,"n":2}"#,
        ];
        for payload in canary {
            let error = serde_json::from_str::<Strict>(payload).expect_err("does not fit");
            assert!(!without_values(&error).contains("CANARY"), "{}", without_values(&error));
        }
        let error = serde_json::from_str::<Empty>(r#"{"x, expected CANARY":1}"#).expect_err("unknown");
        assert!(!without_values(&error).contains("CANARY"), "{}", without_values(&error));
        let error = serde_json::from_str::<Strict>("{}").expect_err("does not fit");
        assert_eq!(without_values(&error), "missing field `n` at line 1 column 2");
        let error = serde_json::from_str::<Strict>(r#"{"n":"x"}"#).expect_err("does not fit");
        assert_eq!(without_values(&error), "expected u64 at line 1 column 8");
        assert!(matches!(
            serde_json::from_str::<Strict>(r#"{"n":1,"kind":"A"}"#),
            Ok(Strict { kind: Some(Kind::A), .. })
        ));
    }
}
