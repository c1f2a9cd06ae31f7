//! The gRPC client of Python, in an environment of its own under the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::client::{Answer, Fields, Reply};
use crate::program::{Program, skipped};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/client.py");
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/requirements.txt");

pub(crate) struct Python {
    client: Program,
}

impl Python {
    /// `None`, and a word about it, where Python or its module `venv` is missing.
    pub(crate) fn start() -> Option<Self> {
        let python = environment()?;
        Some(Self { client: Program::start(python.to_str().expect("the path is UTF-8"), &["-u", CLIENT]) })
    }

    pub(crate) fn call(&mut self, url: &str, path: &str, fields: &Fields) -> Reply {
        // Python takes bytes beyond ASCII as the characters of Latin 1.
        let latin = |value: &[u8]| value.iter().map(|&byte| char::from(byte)).collect::<String>();
        let metadata: Vec<_> = fields.iter().map(|(name, value)| json!([name, latin(value)])).collect();
        let target = url.strip_prefix("http://").expect("a plain URL");
        let question = json!({ "target": target, "path": path, "metadata": metadata });
        let reply: Value = serde_json::from_str(&self.client.ask(&question.to_string())).expect("JSON");
        if reply["not_sent"].is_string() {
            return Reply::NotSent;
        }
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let mut fields = vec![("grpc-status".to_owned(), reply["code"].to_string())];
        let details = text(&reply["details"]);
        if !details.is_empty() {
            fields.push(("grpc-message".to_owned(), details));
        }
        for field in reply["metadata"].as_array().expect("a list") {
            fields.push((text(&field[0]), text(&field[1])));
        }
        Reply::Answer(Answer { status: None, fields, body: unhex(&text(&reply["response"])) })
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

/// The interpreter of an environment that has what the client imports.
fn environment() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpc-client");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed.txt"));
    // Another test may be at it.
    let lock = File::create(folder.with_extension("lock")).expect("the folder for tests can be written");
    lock.lock().expect("files can be locked");
    let wanted = fs::read(REQUIREMENTS).expect("the list is there");
    if fs::read(&installed).ok().as_ref() == Some(&wanted) {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
    match made {
        Ok(output) if output.status.success() => {}
        made => {
            skipped(&format!("python3 or its module venv is missing: {made:?}"));
            return None;
        }
    }
    let pip = Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "-r"])
        .arg(REQUIREMENTS)
        .output()
        .expect("the environment has an interpreter");
    assert!(pip.status.success(), "{pip:?}");
    fs::write(installed, wanted).expect("the folder can be written");
    Some(python)
}
