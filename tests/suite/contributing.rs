//! CONTRIBUTING.md tells the truth: the files that it names exist, and modules import only from the rows below theirs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = include_str!("../../CONTRIBUTING.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_file_that_it_names_exists() {
    let named: Vec<_> = GUIDE.split('`').skip(1).step_by(2).filter(|code| is_path(code)).collect();
    assert!(named.len() > 40, "only {} paths were found", named.len());
    let missing: Vec<_> = named.into_iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Something with a folder or an ending, and nothing that a path does not have.
fn is_path(code: &str) -> bool {
    let known = ["src/", "tests/", "examples/", "benches/", ".md", ".toml", ".lock"];
    let whole = code.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    whole && known.iter().any(|part| if part.ends_with('/') { code.starts_with(part) } else { code.ends_with(part) })
}

#[test]
fn modules_import_only_from_the_rows_below_theirs() {
    let rows = rows();
    let mut wrong = Vec::new();
    for file in sources(&root().join("src")) {
        let path = file.strip_prefix(root().join("src")).expect("it is below");
        let module = path.iter().next().and_then(|first| Path::new(first).file_stem()).expect("a name");
        let module = module.to_str().expect("UTF-8");
        if matches!(module, "lib" | "guide") {
            continue;
        }
        let Some(row) = rows.get(module) else {
            wrong.push(format!("{module} has no row in CONTRIBUTING.md"));
            continue;
        };
        let text = fs::read_to_string(&file).expect("readable");
        for used in imports(&text) {
            // What is no file is another name for something of the standard library.
            if used != module && exists(&used) && rows.get(&*used).is_none_or(|below| below >= row) {
                wrong.push(format!("{} imports {used}", path.display()));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let gone: Vec<_> = rows.keys().filter(|module| !exists(module)).collect();
    assert!(gone.is_empty(), "rows name modules that are no more: {gone:?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{a::{b, c}, d as e,\n  f};\nlet x = crate::g::h();\n/// crate::i\n#[cfg(test)]\nmod tests { crate::j }";
    assert_eq!(imports(text), ["a", "d", "f", "g"]);
}

fn exists(module: &str) -> bool {
    let src = root().join("src");
    src.join(module).is_dir() || src.join(format!("{module}.rs")).is_file()
}

/// Lines such as `3 extract  policy`: the row of each module.
fn rows() -> BTreeMap<&'static str, u32> {
    let rows = GUIDE.lines().filter_map(|line| {
        let (row, modules) = line.split_once(' ')?;
        Some((row.parse::<u32>().ok()?, modules))
    });
    rows.flat_map(|(row, modules)| modules.split_whitespace().map(move |module| (module, row))).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")).collect()
}

/// The first names of all paths from `crate::`, outside of comments and unit tests.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = lines.join("\n");
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            found.push(first_name(after));
            continue;
        };
        let (mut depth, mut at_start) = (0, true);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if at_start && !c.is_whitespace() => {
                    found.push(first_name(&list[at..]));
                    at_start = false;
                }
                _ => {}
            }
        }
    }
    found
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
