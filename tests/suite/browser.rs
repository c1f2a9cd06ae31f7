//! A real browser without a window, driven over the WebDriver protocol (W3C WebDriver).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Starts the driver in a process group of its own, which the browser joins, and ends the group when the pipe from this
/// process closes.
const SHELL: &str = r#"setsid chromedriver --port=0 & read _; kill -s KILL -- "-$!"; wait"#;

/// The name of an element's reference (WebDriver §11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with nothing in it: no cookies, no history. It ends when this goes out of scope, and however the test ends.
pub(crate) struct Browser {
    shell: Child,
    port: u16,
    session: String,
    folder: PathBuf,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SHELL])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        let mut lines = BufReader::new(shell.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1.parse().ok());
        let port = port.expect("chromedriver is missing: run `apt-get install chromium chromium-driver`");
        std::thread::spawn(move || lines.for_each(drop));
        let folder = std::env::temp_dir().join(format!("tower-jwt-auth-browser-{}-{port}", std::process::id()));
        let mut browser = Self { shell, port, session: String::new(), folder };
        let profile = format!("--user-data-dir={}", browser.folder.display());
        // Its sandbox does not run as root, and the pages are our own.
        let args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &profile];
        let wanted = json!({"browserName": "chrome", "goog:chromeOptions": {"args": args}});
        let session = browser.command("POST", "/session", &json!({"capabilities": {"alwaysMatch": wanted}}));
        browser.session.push_str(session["sessionId"].as_str().expect("a new session has an id"));
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    pub(crate) fn back(&self) {
        self.ask("POST", "/back", &json!({}));
    }

    /// Clicks, and waits for the page that comes of it.
    pub(crate) fn click(&self, css: &str) {
        let element = self.element(css).unwrap_or_else(|| panic!("no {css} in {}", self.text("body")));
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    pub(crate) fn fill(&self, css: &str, text: &str) {
        let element = self.element(css).unwrap_or_else(|| panic!("no {css} in {}", self.text("body")));
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// What a person reads there; nothing where there is no such element.
    pub(crate) fn text(&self, css: &str) -> String {
        let Some(element) = self.element(css) else { return String::new() };
        let path = format!("/session/{}/element/{element}/text", self.session);
        let (status, answer) = self.exchange("GET", &path, &Value::Null).expect("the driver answers");
        match answer["value"]["error"].as_str() {
            // Another page has come meanwhile.
            Some("stale element reference" | "unknown error") => String::new(),
            error => {
                assert_eq!((status, error), (200, None), "{css}");
                answer["value"].as_str().expect("a text").to_owned()
            }
        }
    }

    /// What a script on the page returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    pub(crate) fn cookies(&self) -> Vec<Value> {
        self.ask("GET", "/cookie", &Value::Null).as_array().expect("a list").clone()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies();
        let cookie = cookies.iter().find(|cookie| cookie["name"] == name)?;
        Some(cookie["value"].as_str().expect("a text").to_owned())
    }

    fn element(&self, css: &str) -> Option<String> {
        let found = self.ask("POST", "/elements", &json!({"using": "css selector", "value": css}));
        Some(found[0][ELEMENT].as_str()?.to_owned())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.exchange(method, path, body).expect("the driver answers");
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}");
        (&stream).write_all(request.as_bytes())?;
        // The driver keeps the connection open: its answer ends where it says.
        let mut answer = BufReader::new(stream);
        let (mut status, mut length) = (0, 0);
        for (at, line) in answer.by_ref().lines().enumerate() {
            let line = line?.to_ascii_lowercase();
            if at == 0 {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).expect("JSON")))
    }

    /// Waits until a text is there, and fails with what is there instead.
    pub(crate) fn wait_for(&self, css: &str, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.text(css).contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {css}: {}", self.text("body"));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.exchange("DELETE", &format!("/session/{}", self.session), &Value::Null);
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
