//! Programs that run for a test: the examples, and the OpenID provider of the crate's own tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

pub(crate) const MCP: &str = env!("CARGO_BIN_EXE_mcp");
pub(crate) const GRAPHQL: &str = env!("CARGO_BIN_EXE_graphql");
pub(crate) const OPENTELEMETRY: &str = env!("CARGO_BIN_EXE_opentelemetry");
pub(crate) const PROMETHEUS: &str = env!("CARGO_BIN_EXE_prometheus");

/// A running program, ended when this goes out of scope, by a panic too.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said with `READY`.
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(["--port", "0"]).args(arguments))
    }

    /// The OpenID provider. It ends with its input too, however this process ends.
    pub(crate) fn provider() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/provider");
        assert!(folder.join("node_modules").exists(), "run `npm ci` in tests/provider");
        Self::spawn(Command::new("node").args(["provider.mjs", "--port", "0", "--watch-stdin"]).current_dir(folder))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut running = Self { child, output, url: String::new() };
        let line = running.line();
        line.strip_prefix("READY ").unwrap_or_else(|| panic!("no READY in {line:?}")).clone_into(&mut running.url);
        running
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("the output is UTF-8");
        assert!(read > 0, "the program has ended, or prints no more");
        line.trim_end().to_owned()
    }

    /// The next curl line, run in a shell as it would be pasted, and what was said of it: its heading and the answer.
    pub(crate) fn paste(&mut self) -> (String, String) {
        let mut heading = String::new();
        loop {
            let line = self.line();
            if let Some(arguments) = line.strip_prefix("curl ") {
                let quiet = format!("curl --silent --show-error --max-time 20 --noproxy '*' {arguments}");
                let output = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
                assert!(output.status.success(), "install curl with `apt-get install curl`: {output:?}");
                return (heading, String::from_utf8(output.stdout).expect("the answer is UTF-8"));
            }
            heading = line;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same token with another signature.
pub(crate) fn tampered(token: &str) -> String {
    let at = token.rfind('.').expect("a compact token") + 5;
    let other = if &token[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
