//! The tables of `SECURITY.md`, made from the data.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::answer::answers;
use crate::case::{Case, Row, Section, Shown};

const BEGIN: &str = "<!-- catalogue: made by tests/attacks -->\n";
const END: &str = "<!-- end of the catalogue -->\n";

/// Compares the page with the data, or writes it anew.
pub(crate) fn check(sections: &[Section]) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let page = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let (before, rest) = page.split_once(BEGIN).ok_or("SECURITY.md has no place for the catalogue")?;
    let (found, after) = rest.split_once(END).ok_or("SECURITY.md has no end of the catalogue")?;
    let expected = tables(sections);
    if found == expected {
        return Ok(());
    }
    if std::env::var_os("TOWER_JWT_AUTH_BLESS").is_some() {
        let page = format!("{before}{BEGIN}{expected}{END}{after}");
        return std::fs::write(&path, page).map_err(|error| error.to_string());
    }
    Err("SECURITY.md differs from the catalogue: run it again with TOWER_JWT_AUTH_BLESS=1".to_owned())
}

fn tables(sections: &[Section]) -> String {
    let rows = sections.iter().map(|section| section.rows.len()).sum::<usize>();
    let cases = sections.iter().flat_map(|section| &section.rows).map(|row| row.cases.len()).sum::<usize>();
    let mut page = format!("{rows} kinds of attack and mistake, {cases} cases.\n");
    for section in sections {
        let title = &section.title;
        let _ = write!(page, "\n### {title}\n\n| What is tried | Known as | Answer | Cases |\n|---|---|---|---|\n");
        for row in &section.rows {
            let why = if row.why.is_empty() { String::new() } else { format!(". {}", row.why) };
            let (what, known, count) = (&row.what, row.references.join(", "), row.cases.len());
            let _ = writeln!(page, "| {what}{why} | {known} | {} | {count} |", outcome(row));
        }
    }
    page.push('\n');
    page
}

/// What the cases of a row come to, each once.
fn outcome(row: &Row) -> String {
    let answers = answers();
    let mut outcomes = BTreeSet::new();
    for case in &row.cases {
        match &case.shown {
            Shown::Request(request) if request.answer == "accepted" => {}
            Shown::Request(request) => {
                let answer = &answers[&request.answer];
                let code = answer.challenge.as_ref().and_then(|challenge| challenge.split("error=\"").nth(1));
                let code = code.and_then(|rest| rest.split('"').next());
                outcomes.insert(match code {
                    Some(code) => format!("{} `{code}`", answer.status),
                    None => answer.status.to_string(),
                });
            }
            Shown::Configuration { .. } => {
                outcomes.insert("does not start".to_owned());
            }
            Shown::Skipped { .. } => {
                outcomes.insert("the key is skipped".to_owned());
            }
            Shown::Test { .. } => {}
        }
    }
    let is_accepted = |case: &Case| matches!(&case.shown, Shown::Request(request) if request.answer == "accepted");
    match (outcomes.is_empty(), row.cases.iter().any(is_accepted)) {
        (true, true) => "accepted".to_owned(),
        (true, false) => "see its tests".to_owned(),
        _ => outcomes.into_iter().collect::<Vec<_>>().join("; "),
    }
}
