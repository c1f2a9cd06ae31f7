//! Why is this token refused? What is wrong comes first, then what to do about it, then every check and what it saw.
//!
//! ```text
//! pbpaste | cargo run --example explain -- --issuer https://login.example.com --audience orders
//! TOKEN=… cargo run --example explain -- --jwks keys.json
//! ```
//!
//! `--help` has the options. For a program, with `--json`, or without any option where a brace comes first: a JSON object
//! a line on standard input, and one in answer on standard output:
//!
//! ```text
//! {"token": "…", "secret": "…", "algorithms": ["HS256"], "issuer": "…", "audience": "…", "typ": "at+jwt", "now": 1}
//! {"accepted": false, "kind": "expired", "detail": "…", "checks": [{"check": "envelope", "ok": true, "saw": "…"}, …]}
//! ```
//!
//! The keys are one of `jwks` (a JWK set or one JWK, as an object or as text), `secret` (text) and `pem`. Left out,
//! `issuer` and `audience` may be any, `audience_claim` is `aud`, `typ` is what the crate takes by default, `algorithms` are what the keys name,
//! and `now` (Unix seconds) is the clock's. Keys that cannot be used refuse the token with `keys_unavailable`. A line
//! that cannot be understood is answered with `{"error": "…"}`, an empty one not at all.

mod form;
mod question;
mod report;

use std::error::Error;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use question::Question;
use tower_jwt_auth::Algorithm;
use tower_jwt_auth::keys::RemoteJwks;
use tower_jwt_auth::verify::Explanation;

const HELP: &str = "\
Says why a token is refused, or that it is not.

  explain [TOKEN | -] [OPTIONS]
  explain --json

The token is an argument, or `-` for standard input. Without an argument it is piped in, or in the
environment as TOKEN; where both are there, none is judged.
`Authorization:` and `Bearer` in front of it, and line breaks in it, are left out.

  --token TOKEN         the same as TOKEN alone

The keys, one of:
  --issuer URL          fetched from this provider, if no other option says where they are
  --jwks URL | FILE     a JWK set, fetched or read
  --pem FILE            a public key
  --secret-file FILE    an HMAC secret, as text without the line end
  --secret TEXT         the same, seen by whoever can list processes

What the token should have; what is not given is not checked:
  --issuer NAME         `iss`, byte for byte
  --audience NAME       in `aud`
  --audience-claim NAME the claim that has it, if not `aud`
  --typ NAME            `typ` in the header
  --algorithms A,B      if not all that the keys are for

The exit code is 0 for an accepted token, 1 for a refused one, and 2 where that could not be said.

For programs, without any other option:
  --json                a question in JSON on each line of standard input, an answer on each of
                        standard output; the exit code is 0. Not needed where a brace comes first";

/// The options that say where the keys are.
const KEYS: &str = "--issuer URL, --jwks, --pem, --secret-file or --secret";

const TWO_TOKENS: &str = "\
there are two tokens, one on standard input and one in the environment as TOKEN: give `-` for the first, or `</dev/null` \
for the second";

/// Where fetched keys come from.
enum Place {
    Issuer(String),
    Url(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    answer().await.unwrap_or_else(|error| refuse(&error.to_string()))
}

async fn answer() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_for_a_program = match &arguments[..] {
        [] => question::is_piped_in()?,
        arguments => arguments == ["--json"],
    };
    if is_for_a_program {
        unless_closed(question::answer_lines().await)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut question, place) = options(arguments)?;
    let mut notes = Vec::new();
    if let Some(token) = without_scheme(&question.token) {
        question.token = token;
        notes.push("the `Bearer` in front of the token is left out".to_owned());
    }
    notes.extend(report::not_checked(&question));
    let explanation = match place {
        None => question::explain(&question).await?,
        Some(place) => explain_with_fetched_keys(&question, place, &mut notes).await?,
    };
    unless_closed(report::write(&mut io::stdout().lock(), &question, &explanation, &notes))?;
    Ok(match explanation.error().map(tower_jwt_auth::AuthError::kind) {
        None => ExitCode::SUCCESS,
        Some(kind) if kind.is_our_fault() => ExitCode::from(2),
        Some(_) => ExitCode::FAILURE,
    })
}

async fn explain_with_fetched_keys(
    question: &Question,
    place: Place,
    notes: &mut Vec<String>,
) -> Result<Explanation, Box<dyn Error>> {
    let builder = match place {
        Place::Issuer(name) => RemoteJwks::discover(name),
        Place::Url(url) => RemoteJwks::from_url(url),
    };
    let algorithms: Option<Vec<Algorithm>> = question::algorithms(question)?;
    let keys = builder.build()?;
    keys.refresh().await.map_err(|error| format!("the keys cannot be fetched: {error}"))?;
    let explanation = question::judge(question, keys.clone(), algorithms).await;
    let status = keys.status();
    let ago = status.age.map_or(0, |age| age.as_secs());
    notes.push(format!("keys: {}, from {}, fetched {ago} s ago", status.keys, status.location));
    for skipped in &status.skipped {
        notes.push(format!("keys[{}] is not used: {}", skipped.index(), skipped.reason()));
    }
    explanation
}

/// The token of a pasted field, whose scheme is spelled in any case (RFC 9110 §11.1).
fn without_scheme(pasted: &str) -> Option<String> {
    let value = match pasted.split_once(':') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("authorization") => value.trim_start(),
        _ => pasted,
    };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim().to_owned())
}

/// The question that the arguments ask, and where its keys are fetched if they are.
fn options(arguments: Vec<String>) -> Result<(Question, Option<Place>), String> {
    let (mut token, mut jwks, mut pem, mut secret_file, mut algorithms) = (None, None, None, None, None);
    let mut question = Question::default();
    let mut arguments = arguments.into_iter();
    while let Some(option) = arguments.next() {
        let is_name = option.starts_with('-') && option != "-";
        let slot = match option.as_str() {
            "-h" | "--help" => {
                unless_closed(writeln!(io::stdout(), "{HELP}")).map_err(|error| error.to_string())?;
                std::process::exit(0)
            }
            "--json" => return Err("--json goes without other arguments: they are in the questions".to_owned()),
            "--token" => &mut token,
            "--jwks" | "--jwks-file" => &mut jwks,
            "--pem" | "--pem-file" => &mut pem,
            "--secret" => &mut question.secret,
            "--secret-file" => &mut secret_file,
            "--issuer" => &mut question.issuer,
            "--audience" => &mut question.audience,
            "--audience-claim" => &mut question.audience_claim,
            "--typ" => &mut question.typ,
            "--algorithms" => &mut algorithms,
            _ if !is_name => &mut token,
            _ => return Err(format!("unknown argument {option:?}, see --help")),
        };
        let (name, value) =
            if is_name { (option.as_str(), arguments.next()) } else { ("the token", Some(option.clone())) };
        let value = value.ok_or_else(|| format!("{name} has no value, see --help"))?;
        if slot.replace(value).is_some() {
            return Err(format!("{name} is given twice, see --help"));
        }
    }
    question.algorithms = algorithms.map(|names: String| names.split(',').map(|name| name.trim().to_owned()).collect());
    let given = [&jwks, &pem, &question.secret, &secret_file].into_iter().flatten().count();
    let is_url = |text: &str| text.starts_with("https://") || text.starts_with("http://");
    let place = match (given, &jwks, &question.issuer) {
        (1, Some(url), _) if is_url(url) => Some(Place::Url(url.clone())),
        (0, _, Some(issuer)) if is_url(issuer) => Some(Place::Issuer(issuer.clone())),
        (1, ..) => None,
        (0, ..) => return Err(format!("the keys are missing: give {KEYS}, see --help")),
        _ => return Err(format!("the keys are given more than once: give one of {KEYS}, see --help")),
    };
    if place.is_none() {
        question.jwks = jwks.map(|file| read(&file)).transpose()?.map(Into::into);
        question.pem = pem.map(|file| read(&file)).transpose()?;
        if let Some(file) = secret_file {
            question.secret = Some(read(&file)?.trim_end_matches(['\r', '\n']).to_owned());
        }
    }
    let pasted = match token {
        Some(token) if token != "-" => token,
        Some(_) => piped()?,
        None => piped_or_in_the_environment()?,
    };
    // A terminal, a mail or a file may have broken the lines.
    pasted.replace(['\r', '\n', '\t'], "").trim().clone_into(&mut question.token);
    if question.token.is_empty() { Err("the token is missing, see --help".to_owned()) } else { Ok((question, place)) }
}

fn read(file: &str) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))
}

/// The only one that there is. Of two, nobody could tell which was judged.
fn piped_or_in_the_environment() -> Result<String, String> {
    let variable = std::env::var_os("TOKEN").unwrap_or_default().to_string_lossy().into_owned();
    let piped = if io::stdin().is_terminal() { String::new() } else { piped()? };
    match (piped.trim().is_empty(), variable.trim().is_empty()) {
        (false, false) => Err(TWO_TOKENS.to_owned()),
        (true, _) => Ok(variable),
        (false, true) => Ok(piped),
    }
}

/// Standard input, no longer than a token can be.
fn piped() -> Result<String, String> {
    let mut text = String::new();
    let read = io::stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| format!("standard input: {error}")).map(|_| text)
}

/// Whoever reads may have enough before the end, as `head` has.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn refuse(what: &str) -> ExitCode {
    eprintln!("error: {what}");
    ExitCode::from(2)
}
