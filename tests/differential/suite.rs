//! The same tokens through this crate, `jsonwebtoken`, `jwt-simple` and `jose`: every disagreement is listed in
//! `differences.json` with its reason, and the stricter one is this crate, but where the list says why not.
//!
//! - The tokens are those of `tests/attacks`, and thousands that are put together at random from good and bad parts.
//! - A difference is who it is with, what this crate says and what the other says. One that is not listed fails the test,
//!   and so does a listed one that is not seen any more.

mod peers;
mod policy;
#[path = "../attacks/token.rs"]
mod token;

use std::collections::BTreeMap;
use std::io::Write as _;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_auth::clock::{Clock, UnixTime};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Verifier};

use peers::{Jose, Rules, Verdict};
use policy::now;
use token::Token;

const RANDOM_TOKENS: usize = 4000;
const ACCEPTED: &str = "accepted";

/// A disagreement, and why it is one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    with: String,
    ours: String,
    theirs: String,
    reason: String,
    /// It comes and goes with the system's clock.
    #[serde(default)]
    of_the_clock: bool,
}

struct World {
    algorithm: Algorithm,
    authority: Authority,
    stranger: Authority,
    verifier: Verifier<Value>,
    jwk: Value,
}

fn world(algorithm: Algorithm) -> World {
    let clock = Clock::manual(UnixTime::from_secs(now()));
    let authority = || Authority::new(algorithm).with_clock(clock.clone());
    let (authority, stranger) = (authority(), authority());
    let verifier = Verifier::builder().trust(authority.trusted()).clock(clock.clone()).build().expect("valid");
    let jwks: Value = serde_json::from_str(&authority.jwks()).expect("JSON");
    World { algorithm, verifier, jwk: jwks["keys"][0].clone(), authority, stranger }
}

/// The tokens of the catalogue, by name: those for a service that is as it is by default.
fn catalogue() -> Vec<(String, Token)> {
    let files = [
        include_str!("../attacks/credential.json"),
        include_str!("../attacks/envelope.json"),
        include_str!("../attacks/key.json"),
        include_str!("../attacks/claims.json"),
    ];
    let mut tokens = Vec::new();
    for file in files {
        let section: Value = serde_json::from_str(file).expect("JSON");
        for row in section["rows"].as_array().expect("rows") {
            for case in row["cases"].as_array().expect("cases") {
                let request = &case["request"];
                let is_plain =
                    request["policy"].as_object().is_none_or(|policy| policy.keys().all(|name| name == "keys"));
                if let (true, Ok(token)) = (is_plain, serde_json::from_value(request["token"].clone())) {
                    tokens.push((format!("{}: {}", row["what"], case["name"]), token));
                }
            }
        }
    }
    tokens
}

/// A small generator, so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &from[usize::try_from(self.0 >> 33).expect("31 bits") % from.len()]
    }

    /// A good token with up to three parts exchanged.
    fn token(&mut self) -> Token {
        let headers = [
            json!({"typ": "at+jwt"}),
            json!({"typ": null}),
            json!({"typ": "dpop+jwt"}),
            json!({"typ": 1}),
            json!({"kid": null}),
            json!({"kid": "other"}),
            json!({"kid": 1}),
            json!({"alg": "none"}),
            json!({"alg": "HS512"}),
            json!({"crit": ["exp"]}),
            json!({"b64": false}),
            json!({"jku": "https://evil.test"}),
            json!({"cty": "JWT"}),
            json!({"x": {"y": [1]}}),
        ];
        let times: Vec<_> = [-100, -31, -30, -29, -1, 0, 1, 29, 30, 31, 100].map(|at| json!({"$now": at})).into();
        let odd = [
            json!("1"),
            json!(true),
            json!({"$null": true}),
            json!([]),
            json!(1.5e9),
            json!(9e9),
            json!(-1),
            json!(null),
        ];
        let issuers = [
            json!("https://issuer.test"),
            json!("https://issuer.test/"),
            json!(["https://issuer.test"]),
            json!(1),
            json!(null),
        ];
        let audiences = [
            json!("test-audience"),
            json!("other"),
            json!(["other", "test-audience"]),
            json!(["test-audience", 1]),
            json!([]),
            json!(null),
        ];
        let (mut header, mut claims) = (json!({}), json!({}));
        for _ in 0..*self.pick(&[0, 1, 1, 2, 3]) {
            let (name, value) = match self.pick(&[0, 1, 2, 3, 4, 5, 6]) {
                0 => {
                    let other = self.pick(&headers).as_object().expect("an object").clone();
                    header.as_object_mut().expect("an object").extend(other);
                    continue;
                }
                1 => ("exp", self.pick(&times)),
                2 => ("nbf", self.pick(&times)),
                3 => ("iat", self.pick(&times)),
                4 => (*self.pick(&["exp", "nbf", "iat"]), self.pick(&odd)),
                5 => ("iss", self.pick(&issuers)),
                _ => ("aud", self.pick(&audiences)),
            };
            claims[name] = value.clone();
        }
        let signature = self.pick(&["good", "good", "good", "good", "good", "good", "flipped", "stranger", "empty"]);
        serde_json::from_value(json!({"header": header, "claims": claims, "signature": signature})).expect("a token")
    }
}

fn label(verdict: &Verdict) -> String {
    verdict.as_ref().err().cloned().unwrap_or_else(|| ACCEPTED.to_owned())
}

#[test]
fn every_disagreement_with_other_libraries_is_listed_with_its_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut jose = Jose::start();
    let listed: Vec<Difference> = serde_json::from_str(include_str!("differences.json")).expect("JSON");
    let mut seen: BTreeMap<(String, String, String), String> = BTreeMap::new();
    let mut tally: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let worlds = [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256].map(world);
    let catalogue = catalogue();
    let mut dice = Dice(1);
    for world in &worlds {
        let rules = Rules { authority: &world.authority, algorithm: world.algorithm, jwk: world.jwk.clone() };
        let named = catalogue.iter().cloned();
        let random: Vec<_> = (0..RANDOM_TOKENS / worlds.len()).map(|n| (format!("random {n}"), dice.token())).collect();
        for (name, token) in named.chain(random) {
            let text = token.text(&world.authority, &world.authority, &world.stranger);
            let ours = runtime
                .block_on(world.verifier.verify(&text))
                .map(drop)
                .map_err(|error| error.kind().label().to_owned());
            let mut others = vec![
                ("jsonwebtoken", peers::jsonwebtoken(&rules, &text)),
                ("jwt-simple", peers::jwt_simple(&rules, &text, now())),
            ];
            if let Some(jose) = &mut jose {
                others.push(("jose", jose.judge(&rules, &text, now())));
            }
            for (with, theirs) in others {
                let [both, stricter, laxer] = tally.entry(with.to_owned()).or_default();
                match (&ours, &theirs) {
                    (Ok(()), Ok(())) | (Err(_), Err(_)) => *both += 1,
                    (Err(_), Ok(())) => *stricter += 1,
                    (Ok(()), Err(_)) => *laxer += 1,
                }
                if ours.is_ok() != theirs.is_ok() {
                    let difference = (with.to_owned(), label(&ours), label(&theirs));
                    seen.entry(difference).or_insert_with(|| format!("{}: {name}", world.algorithm));
                }
            }
        }
    }
    for (with, [both, stricter, laxer]) in &tally {
        // Past the harness, which swallows what a test that passes prints. Nothing hangs on the line.
        let _ = writeln!(
            std::io::stderr(),
            "{with}: {both} tokens judged alike, {stricter} refused by us alone, {laxer} by them alone"
        );
    }
    assert!(tally.values().all(|[both, ..]| *both > RANDOM_TOKENS / 2), "{tally:?}");
    let find = |(with, ours, theirs): &(String, String, String)| {
        listed.iter().find(|one| one.with == *with && one.ours == *ours && one.theirs == *theirs)
    };
    let new: Vec<_> = seen.iter().filter(|(difference, _)| find(difference).is_none()).collect();
    assert!(new.is_empty(), "not listed: {new:#?}");
    let is_due = |one: &&Difference| !one.of_the_clock && (one.with != "jose" || jose.is_some());
    let is_seen = |one: &Difference| seen.contains_key(&(one.with.clone(), one.ours.clone(), one.theirs.clone()));
    let gone: Vec<_> = listed.iter().filter(is_due).filter(|one| !is_seen(one)).collect();
    assert!(gone.is_empty(), "listed and not seen: {gone:#?}");
    assert!(listed.iter().all(|one| one.reason.len() > 10), "a reason is missing");
}
