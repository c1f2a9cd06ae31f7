//! curl, one process for each request.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{self, Thread};

use crate::client::{Answer, Client, Fields, Reply};
use crate::program::skipped;

/// Whether it can be run; says so where not.
pub(crate) fn is_there() -> bool {
    version().is_some()
}

fn version() -> Option<String> {
    let output = Command::new("curl").arg("--version").output();
    if let Ok(output) = output {
        return Some(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    skipped("curl is missing");
    None
}

pub(crate) struct Curl {
    client: Client,
}

impl Curl {
    pub(crate) fn new(client: Client) -> Option<Self> {
        let version = version()?;
        if client != Client::Http1 && !version.contains("HTTP2") {
            skipped("this curl lacks HTTP/2");
            return None;
        }
        Some(Self { client })
    }

    pub(crate) fn post(&self, url: &str, path: &str, fields: &Fields, with_message: bool) -> Reply {
        // The head has a file of its own, for trailers are written to it as well.
        let head = tempfile(&thread::current());
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--data-binary", "@-"]);
        command.arg("--dump-header").arg(&head).arg(match self.client {
            Client::Http1 => "--http1.1",
            _ => "--http2-prior-knowledge",
        });
        let (content_type, message): (_, &[u8]) = match self.client {
            Client::GrpcByCurl => ("content-type: application/grpc", &[0; 5]),
            _ => ("content-type: text/plain", &[]),
        };
        let body = if with_message { message } else { &[] };
        command.args(["--header", content_type, "--header", "te: trailers"]);
        for (name, value) in fields {
            let line = [name.as_bytes(), b": ", value].concat();
            command.arg("--header").arg(OsString::from_vec(line));
        }
        let output = run(command.arg(format!("{url}{path}")), body);
        let text = std::fs::read_to_string(&head);
        // Where nothing came, there may be none.
        let _ = std::fs::remove_file(head);
        match output.status.code() {
            Some(0) => Reply::Answer(read(&text.expect("curl has written the head"), output.stdout)),
            // The stream was reset, the connection closed, or something else than HTTP was said.
            Some(1 | 16 | 52 | 55 | 56 | 92) => Reply::Nothing,
            _ => panic!("{output:?}"),
        }
    }
}

/// A file for this thread: tests of one process run side by side.
fn tempfile(thread: &Thread) -> PathBuf {
    let name = thread.name().unwrap_or("main").replace(':', "-");
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.head", std::process::id()))
}

fn run(command: &mut Command, body: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // It may have given up before it reads.
    let _ = child.stdin.take().expect("stdin is piped").write_all(body);
    child.wait_with_output().expect("curl has run")
}

fn read(head: &str, body: Vec<u8>) -> Answer {
    let (first, fields) = head.split_once("\r\n").unwrap_or_else(|| panic!("no head in {head:?}"));
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    let fields = fields.lines().filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Answer { status, fields: fields.collect(), body }
}
