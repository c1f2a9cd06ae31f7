//! Secrets are in no `Debug` and no error.

use std::fmt::Write as _;

use tower_jwt_auth::ConfigError;
use tower_jwt_auth::config::Settings;

use super::{file, forms};

const CANARY: &str = "CanaryCanaryCanaryCanaryCanaryCanary";

#[test]
fn a_canary_in_settings_is_seen_nowhere() {
    let path = file("canary", CANARY).display().to_string();
    let issuer = "issuer = 'i'\naudiences = ['a']\n";
    let texts = [
        // Good ones.
        format!("{issuer}algorithm = 'HS256'\nsecret = '{CANARY}'"),
        format!("{issuer}algorithm = 'HS256'\nsecret_file = '{path}'"),
        // Too short, no base64, not what it should be, and in every place but its own.
        format!("{issuer}algorithm = 'HS512'\nsecret = '{CANARY}'"),
        format!("{issuer}algorithm = 'HS512'\nsecret_file = '{path}'"),
        format!("{issuer}algorithm = 'HS256'\nsecret_encoding = 'base64'\nsecret = '{CANARY}?'"),
        format!("{issuer}algorithm = 'RS256'\nsecret = '{CANARY}'"),
        format!("{issuer}secret = '{CANARY}'"),
        format!("{issuer}algorithm = 'HS256'\nsecret = ['{CANARY}']"),
        format!("{issuer}algorithm = 'HS256'\nsecret = {{ is = '{CANARY}' }}"),
        format!("{issuer}secret_file = '{CANARY}'\nalgorithm = 'HS256'"),
        format!("{issuer}jwks_file = '{CANARY}'"),
        format!("{issuer}jwks_file = '{path}'"),
        format!("{issuer}pem_file = '{CANARY}'\nalgorithm = 'RS256'"),
        format!("{issuer}pem = '{CANARY}'\nalgorithm = 'RS256'"),
        format!("{issuer}jwks = '{CANARY}'"),
        format!(r#"{issuer}jwks = '{{"keys":[{{"kty":"oct","alg":"HS512","k":"{CANARY}"}}]}}'"#),
        format!("{issuer}algorithm = '{CANARY}'\nsecret = '{CANARY}'"),
        format!("{issuer}secret_encoding = '{CANARY}'\nsecret = '{CANARY}'\nalgorithm = 'HS256'"),
        format!("{issuer}algorithms = ['{CANARY}']"),
        format!("{issuer}leeway = '{CANARY}'\noptional = '{CANARY}'\ntoken_cache = '{CANARY}'"),
        format!("{issuer}provider = '{CANARY}'"),
        format!("{issuer}sekret = '{CANARY}'"),
        format!("{issuer}initial_jwks_file = '{CANARY}'"),
        format!("{issuer}initial_jwks_file = '{path}'"),
        format!("{issuer}jwks_url = 'https://user:{CANARY}@login.example.com/jwks'"),
        format!("{issuer}discovery_url = 'https://user:{CANARY}@login.example.com/jwks'"),
    ];
    let (mut built, mut refused) = (0, 0);
    for text in texts {
        for (form, settings) in forms(&text) {
            let mut seen = format!("{settings:?} {:?}", settings.clone());
            match settings.build() {
                Ok(config) => {
                    built += 1;
                    let layer = config.layer::<serde_json::Value>().expect("judged");
                    write!(seen, "{config:?} {layer:?} {:?}", config.key_files()).expect("a string");
                }
                Err(errors) => {
                    refused += 1;
                    write!(seen, "{errors} {errors:?} {:?}", ConfigError::from(errors.clone())).expect("a string");
                }
            }
            assert!(!seen.contains(CANARY), "{form} {text}: {seen}");
        }
    }
    // In a variable, a list and a table are texts.
    assert_eq!((built, refused), (2 * 4 + 2, 24 * 4 - 2));
}

#[test]
fn settings_that_are_no_table_are_refused_without_their_value() {
    let error = serde_json::from_str::<Settings>(&format!("\"{CANARY}\"")).expect_err("no table").to_string();
    assert!(error.starts_with("the settings are a text, and must be a table"), "{error}");
}
