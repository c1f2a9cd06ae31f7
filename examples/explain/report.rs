//! What a person reads: the verdict, what to do about it, the checks, and notes.

use std::io::{self, Write};

use tower_jwt_auth::AuthErrorKind as Kind;
use tower_jwt_auth::verify::{Check, Explanation};

use crate::form;
use crate::question::Question;

/// Writes what was found about the token of a question.
pub(crate) fn write(
    output: &mut impl Write,
    question: &Question,
    explanation: &Explanation,
    notes: &[String],
) -> io::Result<()> {
    let token = &question.token;
    match explanation.error() {
        None => say(output, "accepted")?,
        Some(error) => {
            let kind = error.kind();
            say(output, &format!("refused ({kind}): {}", reason(kind, question, explanation)))?;
            if let Some(fix) = fix(kind, token, lacks_audience(explanation)) {
                say(output, &format!("try: {fix}"))?;
            }
        }
    }
    if let Some(note) = form::milliseconds(token, explanation.accepted()) {
        say(output, &format!("note: {note}"))?;
    }
    writeln!(output)?;
    for check in explanation.checks() {
        let verdict = if check.ok() { "ok" } else { "FAILED" };
        let saw = if check.check() == Check::Envelope { &form::size(token) } else { check.saw() };
        say(output, &format!("{verdict:<8}{:<11}{saw}", check.check().label()))?;
    }
    if !notes.is_empty() {
        writeln!(output)?;
    }
    for note in notes {
        say(output, note)?;
    }
    Ok(())
}

/// The phrase of the kind, and what shows best that it is so.
fn reason(kind: Kind, question: &Question, explanation: &Explanation) -> String {
    let phrase = kind.phrase();
    if let Some(fault) = form::fault(&question.token, kind) {
        return format!("{phrase}: {fault}");
    }
    let Some(failed) = explanation.checks().last().filter(|check| !check.ok()) else { return phrase.to_owned() };
    let saw = failed.saw();
    match failed.check() {
        Check::Audience if lacks_audience(explanation) => {
            let claim = question.audience_claim.as_deref().unwrap_or("aud");
            format!("the token has no audience: `{claim}` is {saw}")
        }
        // What these saw is short, and shows both sides.
        Check::Key | Check::Issuer | Check::Audience | Check::Claims => format!("{phrase}: {saw}"),
        // The numbers behind the words are further down.
        Check::Time => format!("{phrase}: {}", saw.split("; exp ").next().unwrap_or_default()),
        _ => phrase.to_owned(),
    }
}

/// What is there and is no audience is shown in another way: a name in quotes, or in words that say what it is.
fn lacks_audience(explanation: &Explanation) -> bool {
    explanation
        .checks()
        .last()
        .is_some_and(|check| check.check() == Check::Audience && check.saw().starts_with("missing,"))
}

/// Writes a line. A token, or a provider, must not control the terminal.
fn say(output: &mut impl Write, line: &str) -> io::Result<()> {
    writeln!(output, "{}", line.replace(char::is_control, "\u{fffd}"))
}

/// What usually helps.
fn fix(kind: Kind, token: &str, lacks_audience: bool) -> Option<&'static str> {
    Some(match kind {
        Kind::MalformedToken if !form::has_three_segments(token) => {
            "look at its form: a signed token has three segments with dots between; one of five is encrypted, and one \
             without dots can be judged by its issuer alone"
        }
        Kind::MalformedToken => {
            "copy the token once more, all of it: base64url has letters, digits, `-` and `_`, and no `=` at the end"
        }
        Kind::MalformedHeader | Kind::MalformedPayload => {
            "copy the token once more; if it is as it was issued, the issuer has to mend it"
        }
        Kind::WrongType => "send the access token and not the id token, or name this type with `Issuer::types`",
        Kind::AlgorithmNotAllowed => "allow the algorithm, if the issuer is meant to use it; `none` is never allowed",
        Kind::UnknownKey => {
            "compare the issuer: the token is of another provider or tenant, or its key has been withdrawn and a new \
             token is needed"
        }
        Kind::InvalidSignature => {
            "compare the key, and the token with the one that was issued: one of them has been changed or cut; a secret \
             may have to be decoded from base64 first"
        }
        Kind::InvalidIssuer => "name the issuer exactly as in the token, a slash at the end included",
        Kind::InvalidAudience if lacks_audience => {
            "ask the issuer for a token for this audience; if another claim names it, as `client_id` in tokens of \
             Cognito: --audience-claim client_id here, `Issuer::audience_claim` in the service"
        }
        Kind::InvalidAudience => {
            "ask the issuer for a token for this audience, or give the audience that it names here"
        }
        Kind::Expired => {
            "get a new token; if this one should be good, compare the clocks of this machine and of the issuer"
        }
        Kind::NotYetValid | Kind::TooOld => {
            "compare the clocks of this machine and of the issuer; `Issuer::leeway` allows for 5 minutes at most"
        }
        Kind::MissingTime => "have the issuer set `exp`: a token that never ends is refused",
        Kind::BindingNotChecked => "send it in a request with its proof or certificate: it is not a plain bearer token",
        Kind::SecurityEvent => "send an access token: this one tells of an event",
        Kind::KeysUnavailable => "mend the keys first: the token has not been judged",
        _ => return None,
    })
}

/// What the arguments leave out.
pub(crate) fn not_checked(question: &Question) -> Option<String> {
    let what = match (&question.issuer, &question.audience) {
        (None, None) => "issuer and audience not checked (give --issuer, --audience)",
        (None, Some(_)) => "issuer not checked (give --issuer)",
        (Some(_), None) => "audience not checked (give --audience)",
        (Some(_), Some(_)) => return None,
    };
    Some(what.to_owned())
}
