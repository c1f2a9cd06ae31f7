//! The guide says what the code does: its table of answers, and the symptoms that it names.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_jwt_auth::binding::Dpop;
use tower_jwt_auth::extract::{self, Credential};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthErrorKind, JwtAuth};

use crate::support::{Claims, read_challenge};

const ANSWERS: &str = include_str!("../../src/guide/answers.md");
const TROUBLESHOOTING: &str = include_str!("../../src/guide/troubleshooting.md");
const CHAPTERS: &str = include_str!("../../src/guide.rs");
const README: &str = include_str!("../../README.md");

/// A row of the table in `answers.md`.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    http: String,
    challenge: String,
    grpc: String,
}

/// The rows by label. The table is the one whose first column is headed "Kind".
fn table() -> BTreeMap<String, Row> {
    let after = ANSWERS.split_once("\n| Kind |").expect("the table").1;
    let rows = after.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut table = BTreeMap::new();
    for line in rows {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [label, http, challenge, grpc, helps] = cells.try_into().unwrap_or_else(|_| panic!("five columns: {line}"));
        assert!(!helps.is_empty(), "{line}");
        assert!(table.insert(label, Row { http, challenge, grpc }).is_none(), "twice: {line}");
    }
    table
}

/// What a layer answers to a request that is refused for this reason.
async fn answer(kind: AuthErrorKind, content_type: Option<&str>) -> Response<String> {
    let authority = Authority::new(Algorithm::ES256);
    let refuse = extract::from_fn(move |_| -> Result<Option<Credential<'_>>, _> { Err(kind.into()) });
    let auth = JwtAuth::<Claims>::new(authority.trusted())
        .expect("valid")
        .dpop(Dpop::new("https://api.example.com").expect("a URL"))
        .extractor(refuse);
    let service = ServiceBuilder::new()
        .layer(auth)
        .service(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    let mut request = Request::post("/");
    if let Some(value) = content_type {
        request = request.header(CONTENT_TYPE, value);
    }
    service.oneshot(request.body(()).expect("a request")).await.expect("infallible")
}

/// The challenge of an answer in the words of the table.
fn challenge(response: &Response<String>) -> String {
    let lines = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let lines: Vec<_> = lines.map(|line| read_challenge(line.to_str().expect("ASCII"))).collect();
    match &lines[..] {
        [] => "none".to_owned(),
        [bearer, dpop] => {
            assert_eq!((bearer.scheme.as_str(), dpop.scheme.as_str()), ("Bearer", "DPoP"));
            assert_eq!((bearer.param("error"), dpop.param("error")), (None, None));
            "Bearer".to_owned()
        }
        [one] => {
            let error = one.param("error").expect("one line names an error");
            if one.scheme == "DPoP" { format!("DPoP {error}") } else { error.to_owned() }
        }
        more => panic!("{more:?}"),
    }
}

#[tokio::test]
async fn the_table_of_answers_is_what_a_layer_answers_for_every_kind() {
    let mut table = table();
    for &kind in AuthErrorKind::ALL {
        let row = table.remove(kind.label()).unwrap_or_else(|| panic!("answers.md lacks {kind}"));
        let http = answer(kind, None).await;
        let grpc = answer(kind, Some("application/grpc")).await;
        assert_eq!(grpc.status(), 200, "{kind}");
        let answered = Row {
            http: http.status().as_u16().to_string(),
            challenge: challenge(&http),
            grpc: grpc.headers()["grpc-status"].to_str().expect("ASCII").to_owned(),
        };
        assert_eq!(row, answered, "{kind}");
    }
    assert!(table.is_empty(), "no such kinds: {table:?}");
}

#[test]
fn every_kind_has_a_place_in_the_chapter_on_troubleshooting() {
    for kind in AuthErrorKind::ALL {
        let label = format!("`{kind}`");
        assert!(TROUBLESHOOTING.contains(&label), "troubleshooting.md lacks {label}");
    }
}

#[test]
fn every_chapter_is_linked_in_the_readme() {
    let files = CHAPTERS.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
    for file in files {
        let link = match file.strip_prefix("../") {
            Some(beside) => format!("]({beside})"),
            None => format!("](src/{file})"),
        };
        assert!(README.contains(&link), "README.md lacks {link}");
    }
}

#[test]
fn the_snippets_of_the_readme_use_what_its_list_of_dependencies_has() {
    let blocks = |language: &str| {
        let fence = format!("```{language}");
        let blocks = README.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
        blocks.collect::<String>()
    };
    let (rust, list) = (blocks("rust"), blocks("toml"));
    let list: toml::Table = list.parse().expect("TOML");
    let listed = list["dependencies"].as_table().expect("a table");
    let ours: toml::Table = include_str!("../../Cargo.toml").parse().expect("TOML");
    let known = [&ours["dependencies"], &ours["dev-dependencies"]].map(|table| table.as_table().expect("a table"));
    let words: Vec<_> = rust.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c))).collect();
    let is_used = |name: &&String| {
        let path = format!("{}::", name.replace('-', "_"));
        words.iter().any(|word| word.starts_with(&path))
    };
    let used: Vec<_> = known.into_iter().flat_map(toml::Table::keys).filter(is_used).collect();
    assert!(used.len() >= 4, "only {used:?} were found");
    let missing: Vec<_> = used.into_iter().filter(|name| !listed.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // What serves it.
    assert!(listed.contains_key("tokio"));
}

#[test]
fn every_file_of_the_guide_is_a_chapter_and_is_introduced() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide");
    let mut files = 0;
    for file in std::fs::read_dir(folder).expect("the folder") {
        let name = file.expect("an entry").file_name().into_string().expect("UTF-8");
        let chapter = name.strip_suffix(".md").unwrap_or_else(|| panic!("{name} is no chapter"));
        assert!(CHAPTERS.contains(&format!("include_str!(\"guide/{name}\")")), "{name} is not included");
        assert!(CHAPTERS.contains(&format!("//! - [`{chapter}`]: ")), "{name} is not introduced");
        files += 1;
    }
    assert_eq!(files, CHAPTERS.matches("include_str!(\"guide/").count());
}

#[test]
fn the_lines_for_salvo_and_poem_are_those_of_their_examples() {
    let chapter = include_str!("../../src/guide/getting_started.md");
    let examples = [
        include_str!("../../examples/more/frameworks/salvo.rs"),
        include_str!("../../examples/more/frameworks/poem.rs"),
    ];
    let blocks: Vec<_> =
        chapter.split("```rust,ignore\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), examples.len());
    for (block, example) in blocks.iter().zip(examples) {
        for line in block.lines() {
            assert!(example.contains(line.trim()), "{line}");
        }
    }
}
