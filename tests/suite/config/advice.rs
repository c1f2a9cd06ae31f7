//! What settings advise: the fix that is meant, and once.

use super::problems;

fn said(text: &str) -> Vec<String> {
    problems(toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[test]
fn a_host_is_told_how_to_be_a_url() {
    let like = "is not a URL (relative URL without a base): write it like `https://login.example.com`";
    for (written, expected) in [
        (
            "login.example.com",
            "\"login.example.com\" is not a URL (relative URL without a base): write `https://login.example.com`",
        ),
        (
            "a.example/t-1/",
            "\"a.example/t-1/\" is not a URL (relative URL without a base): write `https://a.example/t-1/`",
        ),
        ("a", &format!("\"a\" {like}")),
        ("/etc/issuer.json", &format!("\"/etc/issuer.json\" {like}")),
        ("me@a.example", &format!("\"…@a.example\" {like}")),
        ("a.example.of.a.name.that.is.long", &format!("a text of 32 bytes {like}")),
    ] {
        assert_eq!(said(&format!("issuer = '{written}'\naudiences = ['x']")), [format!("issuer: {expected}")]);
    }
}
