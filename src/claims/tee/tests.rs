//! One pass against two: the plain readers one after the other are the oracle.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

/// Both readers one after the other: slow, and plain to see.
fn check<C: DeserializeOwned + PartialEq + fmt::Debug>(payload: &str, names: &ClaimNames) {
    let plain = Registered::parse(payload.as_bytes(), names);
    let claims = serde_json::from_str::<C>(payload).map_err(|error| error.to_string());
    let mut registered = Registered::default();
    match (parse::<C>(payload.as_bytes(), names, &mut registered), plain) {
        (Ok(tee), Ok(plain)) => {
            assert_eq!(registered, plain, "{payload}");
            assert_eq!(tee.map_err(|_| ()), claims.map_err(|_| ()), "{payload}");
        }
        (Err(tee), Err(plain)) => assert_eq!(tee, plain, "{payload}"),
        (tee, plain) => panic!("{payload}: {:?} and {:?}", tee.err(), plain.err()),
    }
}

#[derive(Deserialize, PartialEq, Debug)]
struct Typed {
    iss: String,
    sub: Option<String>,
    exp: Option<u64>,
    scope: Option<String>,
    aud: Option<Value>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Few {
    email: Option<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Flat {
    iss: Option<String>,
    #[serde(flatten)]
    rest: HashMap<String, Value>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Either {
    User { email: String },
    Service { client_id: String },
    Any(BTreeMap<String, Value>),
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(tag = "kind")]
enum Tagged {
    User { sub: String },
}

#[derive(Deserialize, PartialEq, Debug)]
struct Wrapped(Box<Typed>);

#[derive(Deserialize, PartialEq, Debug)]
struct Odd {
    exp: Option<f32>,
    nbf: Option<i128>,
    iat: Option<char>,
    aud: Option<(String, Vec<u8>)>,
    sub: Option<Kind>,
    jti: Option<std::num::NonZeroU8>,
    scope: Option<Vec<String>>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Service(String),
}

/// Takes what does not fit for nothing, and goes on.
#[derive(PartialEq, Debug)]
struct Lenient<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).ok()))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde asks for it")]
fn lenient<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(deserializer).unwrap_or_default())
}

#[derive(Deserialize, PartialEq, Debug)]
struct Forgiving {
    #[serde(default, deserialize_with = "lenient")]
    aud: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    scope: Vec<String>,
    #[serde(default, deserialize_with = "lenient")]
    nbf: Option<u8>,
}

/// Reads on whatever happens.
#[derive(PartialEq, Debug)]
struct Unstoppable(usize);

impl<'de> Deserialize<'de> for Unstoppable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UnstoppableVisitor;
        impl<'de> Visitor<'de> for UnstoppableVisitor {
            type Value = Unstoppable;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unstoppable, A::Error> {
                let mut count = 0;
                while !matches!(map.next_key::<String>(), Ok(None)) && count < 99 {
                    let _ = map.next_value::<u64>();
                    count += 1;
                }
                Ok(Unstoppable(0))
            }
        }
        deserializer.deserialize_any(UnstoppableVisitor)
    }
}

#[test]
fn one_pass_sees_what_two_passes_see() {
    let values = [
        r#""text""#,
        r#""user""#,
        r#""es\u0063aped""#,
        r#""""#,
        "1",
        "-1",
        "1.5",
        "1e300",
        "18446744073709551616",
        "true",
        "null",
        "[]",
        r#"["a"]"#,
        r#"["a","b\n"]"#,
        r#"["a",1]"#,
        r#"["a",["b"]]"#,
        r#"["a",[1,2]]"#,
        "[null]",
        "{}",
        r#"{"a":[1]}"#,
        r#"{"service":"x"}"#,
        r#"{"$serde_json::private::Number":"1"}"#,
        "1e999",
    ];
    let names = [
        "iss",
        "sub",
        "jti",
        "client_id",
        "exp",
        "nbf",
        "iat",
        "aud",
        "scope",
        "scp",
        "cnf",
        "events",
        "email",
        "kind",
        "tenant",
    ];
    let mut payloads = vec!["{}".to_owned(), "[]".into(), "7".into(), "null".into(), "\"a\"".into(), "{".into()];
    for name in names {
        for value in values {
            payloads.push(format!(r#"{{"iss":"i","{name}x":0,"{name}":{value},"z":[{{}}]}}"#));
            payloads.push(format!(r#"{{"{name}":{value}}}"#));
            payloads.push(format!(r#"{{"{name}":{value},"{name}":{value}}}"#));
        }
    }
    payloads.push(r#"{"\u0069ss":"i","iss":"i"}"#.into());
    payloads.push(r#"{"iss":"i","kind":"User","sub":"s"} x"#.into());
    payloads.push(r#"{"kind":"User","sub":"s","exp":5}"#.into());
    payloads.push(format!(r#"{{"other":{}1{}}}"#, "[".repeat(200), "]".repeat(200)));
    let configurations = [
        ClaimNames::default(),
        ClaimNames {
            audience: "client_id".into(),
            scopes: vec!["sub".into(), "email".into(), "scope".into()],
            required: vec!["email".into(), "exp".into()],
            ..ClaimNames::default()
        },
        ClaimNames { ids: vec!["tenant".into(), "kind".into(), "email".into()], ..ClaimNames::default() },
    ];
    for names in &configurations {
        for payload in &payloads {
            check::<Typed>(payload, names);
            check::<Few>(payload, names);
            check::<Flat>(payload, names);
            check::<Either>(payload, names);
            check::<Tagged>(payload, names);
            check::<Wrapped>(payload, names);
            check::<Odd>(payload, names);
            check::<Forgiving>(payload, names);
            check::<Lenient<Few>>(payload, names);
            check::<HashMap<String, Lenient<u8>>>(payload, names);
            check::<Unstoppable>(payload, names);
            check::<Value>(payload, names);
            check::<Option<Few>>(payload, names);
            check::<HashMap<String, Value>>(payload, names);
            check::<HashMap<u8, Value>>(payload, names);
            check::<Vec<u8>>(payload, names);
            check::<String>(payload, names);
            check::<()>(payload, names);
        }
    }
}

/// serde_json goes 128 levels deep into what it does not skip.
#[test]
fn a_claim_that_the_rules_look_at_is_not_followed_into_the_deep() {
    let payload = format!(r#"{{"sub":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let mut registered = Registered::default();
    let claims = parse::<Few>(payload.as_bytes(), &ClaimNames::default(), &mut registered).expect("an object");
    assert!(claims.is_err());
    assert_eq!(registered.sub.text(), None);
}

#[test]
fn types_that_skip_everything_are_read_by_the_plain_reader() {
    let names = ClaimNames::default();
    let mut registered = Registered::default();
    let claims = parse::<IgnoredAny>(br#"{"iss":"i","exp":5}"#, &names, &mut registered).expect("an object");
    assert!(claims.is_ok());
    assert_eq!(registered.iss.text(), Some("i"));
    assert!(parse::<IgnoredAny>(br#"{"a":1,"a":2}"#, &names, &mut Registered::default()).is_err());
}
