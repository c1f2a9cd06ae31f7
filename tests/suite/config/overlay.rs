//! The environment over a file, and alone.

use std::pin::Pin;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tower_jwt_auth::AuthErrorKind as Kind;
use tower_jwt_auth::config::{Config, Settings};
use tower_jwt_auth::keys::{BoxError, ResponseBody, Transport};

use super::{AUTHORITY, problems, verdict};

fn file(text: &str) -> Settings {
    let jwks = format!("'{}'", AUTHORITY.jwks());
    toml::from_str(&text.replace("'JWKS'", &jwks)).expect("TOML")
}

const TOP: &str = "issuer = 'https://login.example.com'\naudiences = ['orders']\njwks = 'JWKS'";

#[tokio::test]
async fn variables_win_over_the_file_at_the_top_and_in_the_only_issuer() {
    for text in [TOP.to_owned(), format!("[[issuers]]\n{TOP}")] {
        let settings = file(&text).with_variables("SHOP_", [("SHOP_AUDIENCES", "a, b"), ("SHOP_REALM", "shop")]);
        let config = settings.build().unwrap_or_else(|errors| panic!("{text}:\n{errors}"));
        for (audience, expected) in [("a", None), ("b", None), ("orders", Some(Kind::InvalidAudience))] {
            let token = AUTHORITY.token().claim("aud", audience).sign();
            assert_eq!(verdict(&config, &token).await, expected, "{text} {audience}");
        }
    }
}

#[tokio::test]
async fn the_variables_of_others_are_passed_over() {
    let variables = [("SHOPPING", "x"), ("AUDIENCES", "x"), ("shop_x", "y")];
    let config = file(TOP).with_variables("SHOP_", variables).build().expect("nothing is set");
    assert_eq!(verdict(&config, &AUTHORITY.token().sign()).await, None);
}

/// A file, variables over it, and the problems.
type WrongVariables = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

#[test]
fn what_is_wrong_with_variables_has_their_names() {
    let cases: [WrongVariables; 9] = [
        (
            TOP,
            &[("SHOP_REQUIRE_CLAIM_VALUES", ""), ("SHOP_AUDIENCES", ""), ("SHOP_OPTIONAL", ""), ("SHOP_NO_KEY", "")],
            &[
                "SHOP_OPTIONAL: is empty: give it a value, or unset it",
                "SHOP_AUDIENCES: is empty: give it a value, or unset it",
                "SHOP_REQUIRE_CLAIM_VALUES: is empty: give it a value, or unset it",
                "SHOP_NO_KEY: there is no such key",
            ],
        ),
        (
            "",
            &[("SHOP_REALM", "shop")],
            &[
                "SHOP_ISSUER: missing: name the issuer as in the tokens' `iss`, or a `provider`",
                "SHOP_AUDIENCES: missing: name the audience that this service is, as in the tokens' `aud`",
            ],
        ),
        (TOP, &[("SHOP_AUDIENCE", "a")], &["SHOP_AUDIENCE: there is no such key; did you mean `SHOP_AUDIENCES`?"]),
        (TOP, &[("SHOP_SERVICE_HOST", "a")], &["SHOP_SERVICE_HOST: there is no such key"]),
        (TOP, &[("SHOP_audiences", "a")], &["SHOP_audiences: must be in upper case"]),
        (
            TOP,
            &[("SHOP_AUDIENCES", "a,,b")],
            &["SHOP_AUDIENCES: has an empty entry: separate several by one comma each"],
        ),
        (TOP, &[("SHOP_ISSUERS", "a")], &["SHOP_ISSUERS: several issuers stand in a file: set the keys of one"]),
        (
            TOP,
            &[("SHOP_SECRET_FILE", "/x"), ("SHOP_OPTIONAL", "yes"), ("SHOP_LEEWAY", "10")],
            &[
                "SHOP_OPTIONAL: must be `true` or `false`",
                "SHOP_SECRET_FILE: `jwks` says already where the keys are: keep one of the two",
                "SHOP_LEEWAY: must be a number with its unit, as in `500ms`, `30s`, `10m`, `1h`, `7d`: at most `5m`",
            ],
        ),
        (
            "[[issuers]]\nissuer = 'a'\naudiences = ['x']\njwks = 'JWKS'\n\
             [[issuers]]\nissuer = 'b'\naudiences = ['x']\njwks = 'JWKS'",
            &[("SHOP_AUDIENCES", "a"), ("SHOP_REALM", "shop")],
            &["SHOP_AUDIENCES: there are several issuers: set it in the file, for the one it is for"],
        ),
    ];
    for (text, variables, expected) in cases {
        let settings = file(text).with_variables("SHOP_", variables.iter().copied());
        assert_eq!(problems(settings), expected, "{text} {variables:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let variables = [(OsString::from("SHOP_REALM"), OsString::from_vec(vec![0xff]))];
    assert_eq!(problems(file(TOP).with_variables("SHOP_", variables)), ["SHOP_REALM: not UTF-8"]);
}

#[test]
fn the_environment_of_the_process_is_read() {
    // Nobody sets these.
    let errors = Config::from_env("TOWER_JWT_AUTH_TEST_OF_NOBODY_").expect_err("nothing is set");
    assert_eq!(errors.problems()[0].key(), "TOWER_JWT_AUTH_TEST_OF_NOBODY_ISSUER");
    // `PATH` is there, and is no key.
    let errors = Config::from_env("PAT").expect_err("no key");
    assert!(errors.problems().iter().any(|problem| problem.key() == "PATH"), "{errors}");
}

/// Answers every request with the keys of the authority.
struct Canned;

impl Transport for Canned {
    fn send(&self, _: Request<()>) -> Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, BoxError>> + Send>> {
        let body = Full::from(AUTHORITY.jwks()).map_err(BoxError::from);
        Box::pin(async { Ok(Response::new(Box::pin(body) as ResponseBody)) })
    }
}

#[tokio::test]
async fn keys_are_fetched_by_a_client_of_ones_own() {
    let text = TOP.replace("jwks = 'JWKS'", "jwks_url = 'https://login.example.com/jwks'");
    let config = file(&text).client(Canned).build().expect("valid");
    assert_eq!(verdict(&config, &AUTHORITY.token().sign()).await, None);
}
