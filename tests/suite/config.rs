//! Settings from files and from the environment: what they accept, and everything that they refuse.

mod accepted;
mod advice;
mod example;
mod overlay;
mod refused;
mod secrets;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::LazyLock;

use http::{Request, Response};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_jwt_auth::config::{Config, Settings};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, AuthError, AuthErrorKind as Kind};

static AUTHORITY: LazyLock<Authority> =
    LazyLock::new(|| Authority::new(Algorithm::ES256).named("https://login.example.com").for_audience("orders"));

/// A file of this test run.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tower-jwt-auth-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for files");
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

/// The same settings in every form that they can be written in; `toml` alone has lists of tables that are no lists.
fn forms(toml: &str) -> Vec<(&'static str, Settings)> {
    let tree: Value = toml::from_str(toml).unwrap_or_else(|error| panic!("{toml}: {error}"));
    let json = tree.to_string();
    let mut forms = vec![
        ("TOML", toml::from_str(toml).expect("read above")),
        ("JSON", serde_json::from_str(&json).expect("just written")),
        // Every JSON text is YAML.
        ("YAML", serde_saphyr::from_str(&json).expect("just written")),
    ];
    let variables = tree.as_object().expect("a table").iter().map(|(key, value)| {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let list = |value: &Value| value.as_array().map(|list| list.iter().map(text).collect::<Vec<_>>());
        let value = match value {
            Value::Object(table) => {
                let values = |value| list(value).unwrap_or_else(|| vec![text(value)]);
                let pairs = table
                    .iter()
                    .flat_map(|(name, value)| values(value).into_iter().map(move |value| format!("{name}={value}")));
                pairs.collect::<Vec<_>>().join(",")
            }
            value => list(value).map_or_else(|| text(value), |list| list.join(",")),
        };
        (format!("SHOP_{}", key.to_uppercase()), value)
    });
    if tree.get("issuers").is_none() {
        forms.push(("variables", Settings::default().with_variables("SHOP_", variables)));
    }
    forms
}

/// What the layer says of a request: the kind of a refusal, or nothing; and its answer.
async fn ask(config: &Config, request: Request<()>) -> (Option<Kind>, Response<()>) {
    let layer = config.layer::<Value>().expect("judged");
    let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let response = service.oneshot(request).await.expect("infallible");
    (response.extensions().get::<AuthError>().map(AuthError::kind), response)
}

fn bearer(token: &str) -> Request<()> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request")
}

async fn verdict(config: &Config, token: &str) -> Option<Kind> {
    ask(config, bearer(token)).await.0
}

/// The lines of the errors.
fn problems(settings: Settings) -> Vec<String> {
    let errors = settings.build().expect_err("refused");
    let lines: Vec<_> = errors.to_string().lines().map(str::to_owned).collect();
    let each: Vec<_> = errors.problems().iter().map(|one| format!("{}: {}", one.key(), one.message())).collect();
    assert_eq!(lines, each);
    lines
}

#[test]
fn every_documented_key_is_accepted_and_refused_somewhere() {
    let documented: BTreeSet<_> = include_str!("../../src/config/keys.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(key, _)| key))
        .collect();
    assert!(documented.len() > 60, "{documented:?}");
    let mut accepted = BTreeSet::new();
    for text in accepted::texts() {
        let top: Value = toml::from_str(&text).expect("TOML");
        let tables = top["issuers"].as_array().into_iter().flatten().chain([&top]);
        accepted.extend(tables.flat_map(|table| table.as_object().expect("a table").keys().cloned()));
    }
    let mut refused = BTreeSet::new();
    for (_, problems) in refused::CASES {
        for problem in *problems {
            let (place, message) = problem.split_once(": ").expect("a key");
            let key = place.split('.').find(|part| !part.starts_with("issuers[")).unwrap_or(place);
            if !message.starts_with("there is no such key") {
                refused.insert(key.split('[').next().unwrap_or(key).to_owned());
            }
        }
    }
    for (what, tested) in [("accepted", accepted), ("refused", refused)] {
        let tested: BTreeSet<_> = tested.iter().map(String::as_str).collect();
        assert_eq!(tested.difference(&documented).collect::<Vec<_>>(), Vec::<&&str>::new(), "{what}, not documented");
        assert_eq!(documented.difference(&tested).collect::<Vec<_>>(), Vec::<&&str>::new(), "never {what}");
    }
}
