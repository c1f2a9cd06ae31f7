//! What settings advise: the fix that is meant, and once.

use tower_jwt_auth::Issuer;
use tower_jwt_auth::keys::RemoteJwks;

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
