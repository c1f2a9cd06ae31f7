//! The examples `poem` and `salvo`, run as a newcomer runs them.

use crate::curl;
use crate::program::{EXAMPLES, Program};

#[test]
fn the_curl_lines_of_both_examples_answer_as_printed() {
    if !curl::is_there() {
        return;
    }
    for example in EXAMPLES {
        let mut program = Program::start(example, &["--port", "0"]);
        for (expected, hint) in [
            ("401", "www-authenticate: Bearer realm=\"orders\"\r\n"),
            ("200", "\r\n\r\nthe orders of user-1\n"),
            ("401", "error=\"invalid_token\", error_description=\"the token has expired\""),
            ("401", "error=\"invalid_token\", error_description=\"the signature is invalid\""),
            ("403", "error=\"insufficient_scope\""),
        ] {
            let (heading, answer) = program.paste();
            assert!(heading.contains(&format!(": {expected}")), "{heading}");
            let is_right = answer.starts_with(&format!("HTTP/1.1 {expected} ")) && answer.contains(hint);
            assert!(is_right, "{example}: {heading}: {answer}");
        }
    }
}
