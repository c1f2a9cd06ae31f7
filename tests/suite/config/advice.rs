//! What settings advise: the fix that is meant, and once.

use tower_jwt_auth::config::Settings;
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::{Algorithm, Issuer};

use super::problems;

const RULES: &str = "issuer = 'https://a.example'\naudiences = ['x']\n";

fn said(text: &str) -> Vec<String> {
    problems(toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn said_of(prefix: &str, variables: &[(&str, &str)]) -> Vec<String> {
    problems(Settings::default().with_variables(prefix, variables.iter().copied()))
}

#[test]
fn the_nearest_key_is_meant_and_one_that_can_be_set() {
    for (written, meant) in [
        ("isuer", "; did you mean `issuer`?"),
        ("isuers", "; did you mean `issuers`?"),
        ("issuer_", "; did you mean `issuer`?"),
        ("algoritm", "; did you mean `algorithm`?"),
        ("algoritms", "; did you mean `algorithms`?"),
        ("alow_http", "; did you mean `danger_allow_http`?"),
        ("port", ""),
    ] {
        let expected = format!("{written}: there is no such key{meant}");
        assert_eq!(said(&format!("{RULES}{written} = 'a'")), [expected]);
    }
    let variables = [("S_ISSUER", "https://a.example"), ("S_AUDIENCES", "x")];
    for (written, meant) in [
        ("S_ISUER", "; did you mean `S_ISSUER`?"),
        ("S_ISUERS", "; did you mean `S_ISSUER`?"),
        ("S_LEWAY", "; did you mean `S_LEEWAY`?"),
    ] {
        let all = [&variables[..], &[(written, "a")]].concat();
        assert_eq!(said_of("S_", &all), [format!("{written}: there is no such key{meant}")]);
    }
}

#[test]
fn a_prefix_without_its_end_is_said_once_and_all_else_as_if_it_had_it() {
    let variables = [("SHOP_AUTH_ISSUER", "https://a.example"), ("SHOP_AUTH_LEWAY", "1s")];
    let lacks = "SHOP_AUTH: the prefix lacks its last `_`: write `SHOP_AUTH_`";
    let missing = "SHOP_AUTH_AUDIENCES: missing: name the audience that this service is, as in the tokens' `aud`";
    let misspelled = "SHOP_AUTH_LEWAY: there is no such key; did you mean `SHOP_AUTH_LEEWAY`?";
    assert_eq!(said_of("SHOP_AUTH", &variables), [lacks, missing, misspelled]);
    // Another reason, where one of them does not start with it.
    let others = said_of("SHOP_AUTH", &[&variables[..], &[("SHOP_AUTHOR", "x")]].concat());
    assert!(others.iter().any(|line| line == "SHOP_AUTHOR: there is no such key"), "{others:?}");
    assert!(!others.iter().any(|line| line.contains("prefix")), "{others:?}");
    let twice = said_of("SHOP_", &[("SHOP__ISSUER", "x"), ("SHOP__AUDIENCES", "x")]);
    assert!(!twice.iter().any(|line| line.contains("prefix")), "{twice:?}");
}

#[test]
fn an_unknown_algorithm_is_named_with_the_nearest() {
    let all: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    let all = format!("is no algorithm: use one of {}", all.join(", "));
    for (written, expected) in [
        ("'ES256', 'RS265'", "algorithms[1]: \"RS265\" is no algorithm; did you mean `RS256`?"),
        ("'rs256'", "algorithms[0]: \"rs256\" is no algorithm; did you mean `RS256`?"),
        ("'ps384'", "algorithms[0]: \"ps384\" is no algorithm; did you mean `PS384`?"),
        ("'HS-512'", "algorithms[0]: \"HS-512\" is no algorithm; did you mean `HS512`?"),
        ("'eddsa'", "algorithms[0]: \"eddsa\" is no algorithm; did you mean `EdDSA`?"),
        ("'mldsa44'", "algorithms[0]: \"mldsa44\" is no algorithm; did you mean `ML-DSA-44`?"),
        ("'none'", &format!("algorithms[0]: \"none\" {all}")),
        ("'0123456789abcdef0123456789abcdef'", &format!("algorithms[0]: a text of 32 bytes {all}")),
    ] {
        assert_eq!(said(&format!("{RULES}algorithms = [{written}]")), [expected], "{written}");
    }
    let several = [
        "algorithms[0]: \"RS265\" is no algorithm; did you mean `RS256`?",
        "algorithms[2]: \"ES521\" is no algorithm; did you mean `ES512`?",
    ];
    assert_eq!(said(&format!("{RULES}algorithms = ['RS265', 'ES256', 'ES521']")), several);
    let variables = [("S_ISSUER", "https://a.example"), ("S_AUDIENCES", "x"), ("S_ALGORITHMS", "ES256,es384")];
    assert_eq!(said_of("S_", &variables), ["S_ALGORITHMS: \"es384\" is no algorithm; did you mean `ES384`?"]);
}

#[test]
fn a_key_that_is_required_is_not_to_be_left_out() {
    let text = "issuer = ''\naudiences = []\nsecret = ''\nalgorithm = ''\ntypes = []\nrequire_claims = ['']";
    let expected = [
        "issuer: is empty: say what it is",
        "secret: is empty: leave the key out, or say what it is",
        "algorithm: is empty: say what it is",
        "audiences: is empty: name one",
        "types: is empty: leave the key out, or name one",
        "require_claims[0]: is empty: leave the key out, or say what it is",
    ];
    assert_eq!(said(text), expected);
    assert_eq!(said("issuer = 'https://a.example'\naudiences = ['x', '']"), ["audiences[1]: is empty: say what it is"]);
}

#[test]
fn a_time_has_the_bound_of_its_key() {
    let form = "must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`:";
    for wrong in ["'10 minutes'", "'10m'", "'301s'", "301", "1.5"] {
        let expected = format!("leeway: {form} at most `5m`");
        assert_eq!(said(&format!("{RULES}leeway = {wrong}")), [expected], "{wrong}");
    }
    assert_eq!(said(&format!("{RULES}leeway = 300")), ["leeway: must have its unit: `\"300s\"` for seconds"]);
    for wrong in ["'10 minutes'", "'367d'", "'0s'", "0", "31622401"] {
        let expected = format!("max_age: {form} more than nothing and at most `366d`");
        assert_eq!(said(&format!("{RULES}max_age = {wrong}")), [expected], "{wrong}");
    }
    for right in ["leeway = '5m'", "leeway = '0s'", "max_age = '366d'"] {
        let settings: Settings = toml::from_str(&format!("{RULES}{right}")).expect("TOML");
        assert!(settings.build().is_ok(), "{right}");
    }
}

#[test]
fn a_short_secret_is_said_beside_its_algorithm() {
    let text = format!("{RULES}algorithm = 'HS-256'\nsecret = 'fifteen_bytes_x'");
    let unknown = "algorithm: \"HS-256\" is no algorithm; did you mean `HS256`?";
    let short = "secret: a secret for HS256 needs at least 32 bytes (RFC 7518 section 3.2), this one has 15: make one \
                 with `openssl rand -base64 32`, which `secret_encoding` reads, or see `danger_weak_secret`";
    assert_eq!(said(&text), [unknown, short]);
    let missing = "algorithm: missing: a secret or a PEM does not say for which it is, as in `HS256` or `RS256`";
    assert_eq!(said(&text.replace("algorithm = 'HS-256'\n", "")), [missing, short]);
    assert_eq!(said(&format!("{text}\ndanger_weak_secret = true")), [unknown]);
    assert_eq!(said(&text.replace("fifteen_bytes_x", "0123456789abcdef0123456789abcdef")), [unknown]);
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

#[test]
fn keys_in_two_places_are_one_problem() {
    let secret = "secret = '0123456789abcdef0123456789abcdef'\nalgorithm = 'HS256'\nsecret_encoding = 'text'";
    for (first, url) in [("jwks_url", "https://a.example/jwks"), ("discovery_url", "https://a.example/metadata")] {
        let expected = format!("secret: `{first}` says already where the keys are: keep one of the two");
        assert_eq!(said(&format!("{RULES}{secret}\n{first} = '{url}'")), [expected]);
    }
    let alone = said(&format!("{RULES}algorithm = 'HS256'\njwks_url = 'https://a.example/jwks'"));
    assert_eq!(alone.len(), 1, "{alone:?}");
    assert!(alone[0].starts_with("algorithm: only with a secret or a PEM"), "{alone:?}");
}

#[test]
fn the_address_of_metadata_is_no_issuer() {
    let is_metadata = "is the address of the metadata: the issuer is the `issuer` in it";
    let in_front = ", as a rule what stands in front of `/.well-known/`";
    for (written, hint) in [
        ("https://a.example/.well-known/openid-configuration", in_front),
        ("https://a.example/t/1/.well-known/openid-configuration", in_front),
        ("https://a.example/.well-known/oauth-authorization-server", in_front),
        ("https://a.example/.well-known/oauth-authorization-server/t/1", ""),
        ("http://127.0.0.1:9000/.well-known/openid-configuration", in_front),
    ] {
        let expected = format!("\"{written}\" {is_metadata}{hint}");
        let by_name = RemoteJwks::discover(written).build().expect_err("no issuer").to_string();
        let by_url = RemoteJwks::discover_at("https://a.example/m", written).build().expect_err("no issuer");
        let whole = Issuer::discover(written).expect_err("no issuer").to_string();
        assert_eq!((&by_name, &by_url.to_string(), &whole), (&expected, &expected, &expected));
        assert_eq!(said(&format!("issuer = '{written}'\naudiences = ['x']")), [format!("issuer: {expected}")]);
    }
    for name in ["https://a.example/.well-known", "https://a.example/well-known/x", "https://a.well-known.example/"] {
        assert!(Issuer::discover(name).is_ok(), "{name}");
    }
    let url = "https://a.example/.well-known/openid-configuration";
    assert!(Issuer::discover_at(url, "https://a.example").is_ok());
}
