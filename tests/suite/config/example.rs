//! The example `resource_server` takes settings from a file, from the environment and from options.

use super::{AUTHORITY, file};
use crate::examples::{Running, command, get, paste, run};

#[test]
fn the_resource_server_takes_a_file_and_variables_and_options_over_it() {
    let jwks = file("example.json", AUTHORITY.jwks());
    let text =
        format!("realm = 'file'\nissuer = 'https://a.example'\naudiences = ['a']\njwks_file = '{}'", jwks.display());
    let settings = file("example.toml", text).display().to_string();
    let mut command = command("resource_server", &["--config", &settings, "--audience", "orders", "--port", "0"]);
    let mut server = Running::spawn(
        command.env("AUTH_REALM", "variable").env("AUTH_AUDIENCES", "b").env("ISSUER", AUTHORITY.name()),
    );
    let url = server.ready().remove(0);
    assert_eq!(get(&format!("{url}/whoami"), &AUTHORITY.token().sign()).status, 200);
    let refused = paste(&format!("curl -i {url}/whoami"));
    assert_eq!((refused.status, refused.challenge()), (401, Some(r#"Bearer realm="variable""#)));
    assert_eq!(paste(&format!("curl -i {url}/ready")).status, 200, "no keys are fetched");
}

#[test]
fn the_resource_server_is_unready_without_keys() {
    let options = ["--issuer", "http://127.0.0.1:9", "--audience", "orders", "--port", "0"];
    let mut server = Running::start("resource_server", &options);
    let url = server.ready().remove(0);
    assert_eq!(paste(&format!("curl -i {url}/ready")).status, 503);
}

#[test]
fn the_resource_server_says_all_that_is_wrong_with_a_file() {
    let cases = [
        (
            "issuer = 'https://a.example'\nleeway = 5\nrealm = 1",
            "realm: is a number, and must be a text\naudiences: missing",
        ),
        ("secret = CANARY", ""),
    ];
    for (text, expected) in cases {
        let settings = file("wrong.toml", text).display().to_string();
        let output = run("resource_server", &["--config", &settings]);
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(text.starts_with(expected) && !text.contains("CANARY"), "{text}");
    }
}
