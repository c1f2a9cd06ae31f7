use super::*;

fn parse(payload: &str) -> Result<Registered<'_>, AuthErrorKind> {
    Registered::parse(payload.as_bytes(), &ClaimNames::default())
}

#[test]
fn payloads_that_are_no_objects_or_repeat_a_name_are_malformed() {
    let malformed = [
        "",
        "null",
        "[]",
        "\"iss\"",
        "{",
        "{} {}",
        "{\"iss\":1,}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "{\"exp\":NaN}",
        "{\"exp\":Infinity}",
        "\u{feff}{}",
    ];
    for payload in malformed {
        assert_eq!(parse(payload).err(), Some(AuthErrorKind::MalformedPayload), "{payload}");
    }
    let not_utf8 = Registered::parse(b"{\"iss\":\"\xff\"}", &ClaimNames::default());
    assert_eq!(not_utf8.err(), Some(AuthErrorKind::MalformedPayload));
    assert!(parse(" {\"a\":{\"a\":[1,{}]}} ").is_ok());
}

#[test]
fn times_are_numbers_and_saturate() {
    let cases = [
        ("0", Time::At(UnixTime::from_secs(0))),
        ("-5", Time::At(UnixTime::from_secs(-5))),
        ("1.5", Time::At(UnixTime::from_millis(1500))),
        ("1e3", Time::At(UnixTime::from_secs(1000))),
        ("1e300", Time::At(UnixTime::from_millis(i64::MAX))),
        ("-1e300", Time::At(UnixTime::from_millis(i64::MIN))),
        ("18446744073709551615", Time::At(UnixTime::from_secs(i64::MAX))),
        ("99999999999999999999999", Time::At(UnixTime::from_millis(i64::MAX))),
        ("\"1\"", Time::Wrong),
        ("null", Time::Wrong),
        ("true", Time::Wrong),
        ("[1]", Time::Wrong),
        ("{}", Time::Wrong),
    ];
    for (text, expected) in cases {
        let payload = format!(r#"{{"exp":{text}}}"#);
        assert_eq!(parse(&payload).map(|claims| claims.exp), Ok(expected), "{text}");
    }
    // Not finite: the JSON parser says so, or, where it keeps digits as text, this crate does.
    assert!(
        parse(r#"{"exp":1e999}"#).is_ok_and(|claims| claims.exp == Time::Wrong) || parse(r#"{"exp":1e999}"#).is_err()
    );
    assert_eq!(parse("{}").map(|claims| claims.exp), Ok(Time::Absent));
}

#[test]
fn an_audience_is_a_string_or_an_array_of_strings() {
    let cases = [
        (r#""a""#, Audience::One("a".into())),
        (r#"["a","b"]"#, Audience::Many(vec!["a".into(), "b".into()])),
        ("[]", Audience::Many(vec![])),
        (r#"["a",1]"#, Audience::Wrong),
        (r#"["a",["b"]]"#, Audience::Wrong),
        ("7", Audience::Wrong),
        ("null", Audience::Wrong),
        (r#"{"a":"b"}"#, Audience::Wrong),
    ];
    for (text, expected) in cases {
        let payload = format!(r#"{{"aud":{text}}}"#);
        assert_eq!(parse(&payload).map(|claims| claims.audience), Ok(expected), "{text}");
    }
}

#[test]
fn scopes_come_from_a_string_or_an_array_and_from_both_claims() {
    let cases = [
        (r#"{"scope":"read write"}"#, "read write"),
        (r#"{"scope":["read","write"]}"#, "read write"),
        (r#"{"scp":["read"],"scope":"write"}"#, "read write"),
        (r#"{"scope":["read write"]}"#, ""),
        (r#"{"scope":7}"#, ""),
        (r#"{"scope":null}"#, ""),
        ("{}", ""),
    ];
    for (payload, expected) in cases {
        assert_eq!(parse(payload).map(|claims| claims.scopes.as_str().to_owned()), Ok(expected.to_owned()));
    }
}

#[test]
fn names_are_configurable() {
    let names = ClaimNames {
        audience: "client_id".into(),
        scopes: vec!["permissions".into()],
        required: vec!["tenant".into(), "sub".into(), "gone".into()],
        ..ClaimNames::default()
    };
    let payload = br#"{"aud":"x","client_id":"c","permissions":["p"],"scope":"s","tenant":null,"sub":"u"}"#;
    let claims = Registered::parse(payload, &names).expect("valid");
    assert_eq!(claims.audience, Audience::One("c".into()));
    assert_eq!(claims.client_id, Member::Text("c".into()));
    assert_eq!(claims.scopes.as_str(), "p");
    assert_eq!(claims.required, 0b011);
}

#[test]
fn claims_with_values_are_strings_that_equal_one_of_them() {
    let names = ClaimNames {
        valued: vec![("use".into(), vec!["access".into(), "both".into()]), ("sub".into(), vec!["u".into()])],
        ..ClaimNames::default()
    };
    let cases = [
        (r#"{"use":"access","sub":"u"}"#, 0b11),
        (r#"{"\u0075se":"bot\u0068"}"#, 0b01),
        (r#"{"sub":"u"}"#, 0b10),
        (r#"{"use":"Access","sub":"u "}"#, 0),
        (r#"{"use":["access"],"sub":null}"#, 0),
        (r#"{"x":{"use":"access"}}"#, 0),
        ("{}", 0),
    ];
    for (payload, expected) in cases {
        let claims = Registered::parse(payload.as_bytes(), &names).expect("valid");
        assert_eq!(claims.valued, expected, "{payload}");
    }
}

#[test]
fn the_claims_that_name_a_token_are_kept_in_the_order_in_which_they_come() {
    let valued = vec![("sid".into(), vec!["s".into()])];
    let names = ClaimNames { ids: vec!["uti".into(), "sid".into()], valued, ..ClaimNames::default() };
    let cases: [(&str, &[Member<'_>]); 4] = [
        (r#"{"sid":"s","jti":"j","uti":"u"}"#, &[Member::Text("s".into()), Member::Text("u".into())]),
        (r#"{"s\u0069d":"s","x":{"uti":"u"}}"#, &[Member::Text("s".into())]),
        (r#"{"uti":7}"#, &[Member::Wrong]),
        ("{}", &[]),
    ];
    for (payload, expected) in cases {
        let claims = Registered::parse(payload.as_bytes(), &names).expect("valid");
        assert_eq!(claims.ids, expected, "{payload}");
        assert_eq!(claims.valued, u64::from(payload.contains(r#""s""#)), "{payload}");
    }
}

#[test]
fn one_claim_is_read_without_the_rest() {
    let read = |payload: &'static str| claim(payload.as_bytes(), "iss");
    assert_eq!(read(r#"{"a":[1],"iss":"x"}"#), Ok(Some("x".into())));
    assert_eq!(read(r#"{"\u0069ss":"x"}"#), Ok(Some("x".into())));
    assert_eq!(read(r#"{"iss":["x"]}"#), Ok(None));
    assert_eq!(read("{}"), Ok(None));
    assert_eq!(read(r#"{"iss":"x","iss":"y"}"#), Err(AuthErrorKind::MalformedPayload));
    assert_eq!(read("[]"), Err(AuthErrorKind::MalformedPayload));
}
