//! Private keys as others write them: by Node's `crypto`, in PEM and as JWK.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tower_jwt_auth::issue::{SigningKey, TokenIssuer};
use tower_jwt_auth::{Algorithm, Issuer, KeySet, Verifier};

fn written() -> Value {
    serde_json::from_str(include_str!("private_keys.json")).expect("JSON")
}

fn algorithm(key: &Value) -> Algorithm {
    key["alg"].as_str().expect("a string").parse().expect("an algorithm")
}

/// The forms of a key: those in PEM, and the JWK.
fn forms(key: &Value) -> Vec<Result<SigningKey, tower_jwt_auth::ConfigError>> {
    let pems = key["pems"].as_array().expect("an array").iter();
    let pems = pems.map(|pem| SigningKey::from_pem(algorithm(key), pem.as_str().expect("a string")));
    pems.chain([SigningKey::from_jwk(key["jwk"].to_string())]).collect()
}

#[tokio::test]
async fn a_key_signs_alike_whatever_form_it_was_written_in() {
    let mut seen = 0;
    for key in written()["good"].as_array().expect("an array") {
        let algorithm = algorithm(key);
        if algorithm == Algorithm::ES512 && !cfg!(feature = "aws-lc-rs") {
            assert!(forms(key).iter().all(Result::is_err));
            continue;
        }
        let mut public = key["jwk"].clone();
        let members = public.as_object_mut().expect("an object");
        members.retain(|name, _| ["kty", "crv", "x", "y", "n", "e", "alg"].contains(&name.as_str()));
        let trusted =
            Issuer::new("https://login.test", KeySet::jwk(public.to_string()).expect("a JWK")).audience("orders");
        let verifier = Verifier::<Value>::new(trusted).expect("valid");
        let forms = forms(key);
        let kids: Vec<_> = forms.iter().flatten().map(|form| form.kid().map(str::to_owned)).collect();
        assert!(kids.windows(2).all(|pair| pair[0] == pair[1]), "{algorithm}: {kids:?}");
        for form in forms {
            let form = form.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            let issuer = TokenIssuer::builder("https://login.test", form).audience("orders").build().expect("valid");
            let token = issuer.token().subject("u").sign().expect("issued");
            assert!(verifier.verify(token.as_str()).await.is_ok(), "{algorithm}");
            seen += 1;
        }
    }
    assert_eq!(seen, if cfg!(feature = "aws-lc-rs") { 17 } else { 14 });
}

#[test]
fn weak_encrypted_public_and_mismatched_keys_are_refused() {
    let keys = written();
    for form in forms(&keys["weak"]) {
        form.expect_err("1024 bits");
    }
    for name in ["encrypted", "public"] {
        SigningKey::from_pem(Algorithm::EdDSA, keys[name].as_str().expect("a string")).expect_err(name);
    }
    for key in keys["good"].as_array().expect("an array") {
        for pem in key["pems"].as_array().expect("an array") {
            for &other in Algorithm::ALL {
                let is_rsa =
                    |algorithm: Algorithm| algorithm.name().contains('S') && algorithm.name().starts_with(['R', 'P']);
                if other != algorithm(key) && !(is_rsa(other) && is_rsa(algorithm(key))) {
                    let outcome = SigningKey::from_pem(other, pem.as_str().expect("a string"));
                    outcome.expect_err("a key for another algorithm");
                }
            }
        }
    }
    // The public half of one key with the private half of another.
    let [one, other] = [(); 2].map(|()| SigningKey::generate(Algorithm::EdDSA).expect("every backend has it"));
    let jwk = |key: &SigningKey| {
        let jwks: Value = serde_json::from_str(&key.jwks().expect("public")).expect("JSON");
        jwks["keys"][0]["x"].clone()
    };
    let good = &keys["good"][5]["jwk"];
    for x in [jwk(&one), jwk(&other)] {
        let mixed = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "d": good["d"]});
        let error = SigningKey::from_jwk(mixed.to_string()).expect_err("a mixture").to_string();
        assert!(error.contains("does not belong"), "{error}");
    }
}

#[test]
fn secrets_are_as_long_as_the_hash_and_are_no_documents() {
    for (algorithm, bytes) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        assert!(SigningKey::secret(algorithm, vec![7; bytes]).is_ok());
        assert!(SigningKey::secret(algorithm, vec![7; bytes - 1]).is_err());
        let jwk = |k: &str| json!({"kty": "oct", "alg": algorithm.name(), "k": k}).to_string();
        assert!(SigningKey::from_jwk(jwk(&"A".repeat(88))).is_ok());
        assert!(SigningKey::from_jwk(jwk(&"A".repeat(40))).is_err());
        assert!(SigningKey::from_pem(algorithm, written()["public"].as_str().expect("a string")).is_err());
    }
    assert!(SigningKey::secret(Algorithm::HS256, written()["public"].as_str().expect("a string")).is_err());
    assert!(SigningKey::secret(Algorithm::ES256, [7; 64]).is_err());
}

#[test]
fn a_kid_is_the_thumbprint_the_jwk_s_own_or_the_one_given() {
    let mut jwk = written()["good"][2]["jwk"].clone();
    let key = SigningKey::from_jwk(jwk.to_string()).expect("a key");
    assert_eq!(key.kid().map(str::len), Some(43), "SHA-256 in base64url");
    jwk["kid"] = "2024-01".into();
    let key = SigningKey::from_jwk(jwk.to_string()).expect("a key");
    assert_eq!(key.kid(), Some("2024-01"));
    let key = key.with_kid("k".repeat(256)).expect("256 bytes");
    assert!(key.clone().with_kid("k".repeat(257)).is_err());
    assert!(key.with_kid("").is_err());
    let secret = SigningKey::secret(Algorithm::HS256, [7; 32]).expect("32 bytes");
    assert_eq!(secret.kid(), None);
    assert_eq!(secret.with_kid("shared").expect("a kid").kid(), Some("shared"));
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let mut seen = String::new();
    let keys = written();
    let mut private = Vec::new();
    for key in keys["good"].as_array().expect("an array") {
        for member in ["d", "p", "q", "dp", "dq", "qi"] {
            private.extend(key["jwk"].get(member).and_then(Value::as_str).map(str::to_owned));
        }
        for form in forms(key) {
            match form {
                Ok(form) => {
                    write!(seen, "{form:?} {:?} {:?}", form.jwks(), form.key_set()).expect("a string");
                    let issuer = TokenIssuer::builder("x", form).audience("y");
                    write!(seen, "{issuer:?}").expect("a string");
                    let issuer = issuer.build().expect("valid");
                    let token = issuer.token().sign().expect("issued");
                    write!(seen, "{issuer:?} {:?} {token:?}", issuer.token()).expect("a string");
                    assert!(!seen.contains(token.as_str()));
                }
                Err(error) => write!(seen, "{error} {error:?}").expect("a string"),
            }
        }
        // Half a key: whatever is wrong with it, the error does not quote it.
        let mut broken = key["jwk"].clone();
        broken["x"] = "AAAA".into();
        broken["n"] = "AAAA".into();
        let error = SigningKey::from_jwk(broken.to_string()).expect_err("broken");
        write!(seen, "{error} {error:?}").expect("a string");
    }
    assert!(private.len() > 12);
    for secret in private {
        assert!(!seen.contains(&secret), "a private member");
    }
}
