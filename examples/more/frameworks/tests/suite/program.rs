//! Programs that run for a test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) const EXAMPLES: [&str; 2] = [env!("CARGO_BIN_EXE_poem"), env!("CARGO_BIN_EXE_salvo")];
pub(crate) const SERVER: &str = env!("CARGO_BIN_EXE_server");

/// A running program, ended when this goes out of scope, by a panic too.
pub(crate) struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self { child, input, output }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("the output is UTF-8");
        assert!(read > 0, "the program has ended, or prints no more");
        line.trim_end().to_owned()
    }

    /// What it prints for a line.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("the program reads");
        self.line()
    }

    /// The next curl line that it prints, run in a shell as it would be pasted, and what was said of it: its heading and
    /// the answer.
    pub(crate) fn paste(&mut self) -> (String, String) {
        let mut heading = String::new();
        loop {
            let line = self.line();
            if let Some(arguments) = line.strip_prefix("curl ") {
                let quiet = format!("curl --silent --show-error --max-time 20 --noproxy '*' {arguments}");
                let output = Command::new("sh").args(["-c", &quiet]).output().expect("a shell");
                assert!(output.status.success(), "{output:?}");
                return (heading, String::from_utf8(output.stdout).expect("the answer is UTF-8"));
            }
            heading = line;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says, past what captures the output of tests, that one did not run.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
