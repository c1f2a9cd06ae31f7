//! The same question to every library: is this token good, by the same rules?

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::prelude::*;
use serde_json::{Value, json};
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::testing::Authority;

/// `Ok`, or a word for the reason.
pub(crate) type Verdict = Result<(), String>;

/// Who signs, and by which rules the token is judged: `exp`, issuer, audience, 30 s of leeway.
pub(crate) struct Rules<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) algorithm: Algorithm,
    pub(crate) jwk: Value,
}

impl Rules<'_> {
    fn bytes(&self, member: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(self.jwk[member].as_str().expect("a member of the key")).expect("base64url")
    }
}

/// The engine that this crate has in common with most others.
pub(crate) fn jsonwebtoken(rules: &Rules<'_>, token: &str) -> Verdict {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    let algorithm: jsonwebtoken::Algorithm = rules.algorithm.name().parse().expect("a name that both have");
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[rules.authority.name()]);
    validation.set_audience(&[rules.authority.audience()]);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let jwk = serde_json::from_value(rules.jwk.clone()).expect("a key that both read");
    let key = DecodingKey::from_jwk(&jwk).expect("a key that both read");
    let verdict = decode::<Value>(token, &key, &validation);
    verdict.map(drop).map_err(|error| word(&format!("{:?}", error.kind())))
}

pub(crate) fn jwt_simple(rules: &Rules<'_>, token: &str, now: i64) -> Verdict {
    let options = VerificationOptions {
        allowed_issuers: Some(HashSet::from([rules.authority.name().to_owned()])),
        allowed_audiences: Some(HashSet::from([rules.authority.audience().to_owned()])),
        time_tolerance: Some(Duration::from_secs(30)),
        artificial_time: Some(Duration::from_secs(u64::try_from(now).expect("after the epoch"))),
        ..VerificationOptions::default()
    };
    let options = Some(options);
    let verdict = match rules.algorithm {
        Algorithm::HS256 => HS256Key::from_bytes(&rules.bytes("k")).verify_token::<Value>(token, options),
        Algorithm::ES256 => {
            let point = [&[4][..], &rules.bytes("x"), &rules.bytes("y")].concat();
            let key = ES256PublicKey::from_bytes(&point).expect("a key that both read");
            key.verify_token::<Value>(token, options)
        }
        Algorithm::EdDSA => {
            let key = Ed25519PublicKey::from_bytes(&rules.bytes("x")).expect("a key that both read");
            key.verify_token::<Value>(token, options)
        }
        Algorithm::RS256 => {
            let key = RS256PublicKey::from_components(&rules.bytes("n"), &rules.bytes("e"));
            key.expect("a key that both read").verify_token::<Value>(token, options)
        }
        other => panic!("{other} is not compared"),
    };
    verdict.map(drop).map_err(|error| {
        // Errors of its own are an enumeration; those of the parts are only text.
        let own = error.downcast_ref::<jwt_simple::JWTError>().map(|error| format!("{error:?}"));
        word(&own.unwrap_or_else(|| "other".to_owned()))
    })
}

/// The name of a variant, without what it holds.
fn word(debug: &str) -> String {
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// jose, the reference of the JavaScript world, in a process of its own.
pub(crate) struct Jose {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Jose {
    /// `None`, said aloud, where Node or the packages are missing.
    pub(crate) fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        if !folder.join("../provider/node_modules/jose").exists() {
            eprintln!("SKIPPED: jose is not compared, run `npm ci` in tests/provider first");
            return None;
        }
        let mut command = Command::new("node");
        command.arg("jose.mjs").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node is there, for its packages are");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Some(Self { child, input, output: BufReader::new(output) })
    }

    pub(crate) fn judge(&mut self, rules: &Rules<'_>, token: &str, now: i64) -> Verdict {
        let question = json!({
            "jwk": rules.jwk,
            "token": token,
            "algorithms": [rules.algorithm.name()],
            "issuer": rules.authority.name(),
            "audience": rules.authority.audience(),
            "now": now,
        });
        writeln!(self.input, "{question}").expect("it listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        match line.trim() {
            "accepted" => Ok(()),
            "" => panic!("jose has ended"),
            code => Err(code.to_owned()),
        }
    }
}

impl Drop for Jose {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
