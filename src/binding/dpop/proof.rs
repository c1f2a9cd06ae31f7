//! One proof: every check of RFC 9449 §4.3 but the nonce and the record of used ones.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::target::{Target, normalize};
use crate::binding::{Shown, hash};
use crate::claims::Time;
use crate::crypto::{VerifyingKey, thumbprint};
use crate::jose::AlgorithmSet;
use crate::jose::compact::{self, Decoded};
use crate::jose::header::Header;
use crate::jose::jwk::{Conventions, Jwk};

/// How old a proof may be.
const OLDEST: Duration = Duration::from_secs(300);
/// How far ahead the client's clock may be.
const AHEAD: Duration = Duration::from_secs(30);
/// The longest `jti`, in bytes.
const MAX_JTI: usize = 256;
/// A proof with the largest key and signature is far from it.
const MAX_PROOF: usize = 8 * 1024;
/// What only a private key has (RFC 7518 §6), or a symmetric one.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// What a service asks of proofs.
pub(super) struct Expected<'e> {
    pub(super) algorithms: AlgorithmSet,
    pub(super) targets: &'e [Target],
    /// The thumbprint that the token is bound to.
    pub(super) jkt: &'e str,
}

/// A proof whose signature is good and that was made for this request and token.
pub(super) struct Proof {
    pub(super) jti: String,
    pub(super) nonce: Option<String>,
}

#[derive(Deserialize)]
struct ProofHeader {
    jwk: Map<String, Value>,
}

#[derive(Deserialize)]
struct ProofClaims<'p> {
    jti: String,
    #[serde(borrow)]
    htm: Cow<'p, str>,
    #[serde(borrow)]
    htu: Cow<'p, str>,
    iat: Time,
    #[serde(borrow)]
    ath: Option<Cow<'p, str>>,
    nonce: Option<String>,
}

impl Proof {
    /// What is wrong with it, as a fixed text.
    pub(super) fn verify(text: &[u8], expected: &Expected<'_>, shown: &Shown<'_>) -> Result<Self, &'static str> {
        if text.len() > MAX_PROOF {
            return Err("it is too long");
        }
        let segments = compact::split(text).map_err(|_| "it is no compact JWS")?;
        let (mut header, mut payload, mut signature) =
            (Decoded::<1024>::new(), Decoded::<512>::new(), Decoded::<512>::new());
        let decoded =
            [header.decode(segments.header), payload.decode(segments.payload), signature.decode(segments.signature)];
        if decoded.iter().any(Result::is_err) {
            return Err("it is not base64url");
        }
        let parsed = Header::parse(header.bytes()).map_err(|_| "its header is malformed")?;
        if !parsed.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt")) {
            return Err("its `typ` is not `dpop+jwt`");
        }
        let algorithm = parsed.algorithm().ok().filter(|algorithm| expected.algorithms.contains(*algorithm));
        let algorithm = algorithm.ok_or("its algorithm is not allowed")?;
        let ProofHeader { jwk } = serde_json::from_slice(header.bytes()).map_err(|_| "its header has no `jwk`")?;
        if PRIVATE.iter().any(|name| jwk.contains_key(*name)) {
            return Err("its `jwk` is no public key");
        }
        // Before the signature: a foreign key, of a size of the sender's choice, is not worth a look.
        if thumbprint(&jwk).ok_or("its `jwk` has no thumbprint")? != expected.jkt {
            return Err("its key is not the one that the token is bound to");
        }
        let key =
            Jwk::parse(&Value::Object(jwk), Conventions::rsa(algorithm)).map_err(|_| "its `jwk` cannot be used")?;
        if key.algorithm != algorithm {
            return Err("its `jwk` is for another algorithm");
        }
        let key = VerifyingKey::new(algorithm, &key.material).map_err(|_| "its `jwk` is weak or invalid")?;
        if !key.verify(segments.signed, signature.bytes()) {
            return Err("its signature is invalid");
        }
        let claims: ProofClaims<'_> =
            serde_json::from_slice(payload.bytes()).map_err(|_| "its claims are malformed, or one is missing")?;
        claims.check(expected, shown)?;
        Ok(Self { jti: claims.jti, nonce: claims.nonce })
    }
}

/// What a service behind a proxy or a router that strips paths sees first.
pub(super) const OTHER_URL: &str = "it is for another URL";

impl ProofClaims<'_> {
    fn check(&self, expected: &Expected<'_>, shown: &Shown<'_>) -> Result<(), &'static str> {
        if self.jti.is_empty() || self.jti.len() > MAX_JTI {
            return Err("its `jti` is empty or too long");
        }
        if self.htm != shown.head.method.as_str() {
            return Err("it is for another method");
        }
        let (htu, path) = (normalize(&self.htu).ok_or("its `htu` is no URL")?, shown.head.uri.path());
        if !expected.targets.iter().any(|target| target.is(&htu, path)) {
            return Err(OTHER_URL);
        }
        let iat = self.iat.at().ok_or("its `iat` is not a number")?;
        if shown.now >= iat.plus(OLDEST) {
            return Err("it is too old");
        }
        if iat > shown.now.plus(AHEAD) {
            return Err("it lies ahead");
        }
        let hash = hash(shown.token.as_bytes()).ok_or("this build has no hash")?;
        if self.ath.as_deref() != Some(hash.as_str()) {
            return Err("it is for another token");
        }
        Ok(())
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::jose::Algorithm;
    use crate::scheme::Scheme;

    /// RFC 9449 section 7.1.
    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoU\
        klDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsIm\
        NydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcG\
        xlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUl\
        pS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const IAT: i64 = 1_562_262_618;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn judge(proof: &str, method: &str, path: &str, token: &str, now: i64) -> Result<Proof, &'static str> {
        judge_for(JKT, proof, method, path, token, now)
    }

    fn judge_for(
        jkt: &str,
        proof: &str,
        method: &str,
        path: &str,
        token: &str,
        now: i64,
    ) -> Result<Proof, &'static str> {
        let request = http::Request::builder().method(method).uri(path).body(()).expect("a request");
        let (head, ()) = request.into_parts();
        let now = UnixTime::from_secs(now);
        let shown = Shown { scheme: Scheme::Dpop, token, head: &head, jkt: None, x5t_s256: None, now };
        let targets = [Target::parse("https://resource.example.org").expect("a URL")];
        let algorithms = [Algorithm::ES256].into_iter().collect();
        Proof::verify(proof.as_bytes(), &Expected { algorithms, targets: &targets, jkt }, &shown)
    }

    #[test]
    fn the_example_of_the_rfc_verifies_and_nothing_near_it() {
        let proof = judge(PROOF, "GET", "/protectedresource", TOKEN, IAT).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((proof.jti.as_str(), proof.nonce), ("e1j3V_bKic8-LAEB", None));
        let refused = [
            judge_for("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", PROOF, "GET", "/protectedresource", TOKEN, IAT),
            judge(PROOF, "POST", "/protectedresource", TOKEN, IAT),
            judge(PROOF, "GET", "/protectedresource/", TOKEN, IAT),
            judge(PROOF, "GET", "/protectedresource", "another", IAT),
            judge(PROOF, "GET", "/protectedresource", TOKEN, IAT + 300),
            judge(PROOF, "GET", "/protectedresource", TOKEN, IAT - 31),
            judge(&PROOF.replace("2oW9", "2oW8"), "GET", "/protectedresource", TOKEN, IAT),
            judge(&PROOF[..PROOF.len() - 1], "GET", "/protectedresource", TOKEN, IAT),
            judge("", "GET", "/protectedresource", TOKEN, IAT),
            judge(&"a".repeat(MAX_PROOF + 1), "GET", "/protectedresource", TOKEN, IAT),
        ];
        assert!(refused.iter().all(Result::is_err));
        assert!(judge(PROOF, "GET", "/protectedresource", TOKEN, IAT + 299).is_ok());
        assert!(judge(PROOF, "GET", "/protectedresource", TOKEN, IAT - 30).is_ok());
    }
}
