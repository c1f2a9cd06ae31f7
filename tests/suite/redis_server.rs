//! A real Redis server, in a process and a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tower_jwt_auth::Redis;

/// A server on a free port of the loopback address, ended when this goes out of scope.
///
/// A shell is its parent, and ends it when the pipe from this process closes: however a test ends, nothing is left behind.
pub(crate) struct RedisServer {
    port: u16,
    folder: PathBuf,
    options: Vec<String>,
    running: Option<Running>,
}

struct Running {
    shell: Child,
    pid: String,
}

/// Starts the server, says which process it is, and waits for the pipe to close.
const SHELL: &str = r#"redis-server "$@" & echo "$!"; read _; kill -9 "$!"; wait"#;

#[allow(dead_code, reason = "the tests of more stores are to come")]
impl RedisServer {
    /// A server that writes every change to its file before it answers.
    pub(crate) fn start() -> Self {
        Self::with_options(&["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"])
    }

    pub(crate) fn with_options(options: &[&str]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("loopback has a free port").port();
        let folder = std::env::temp_dir().join(format!("tower-jwt-auth-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { port, folder, options, running: None };
        server.restart();
        server
    }

    /// The client of this crate, for this server. It waits long: where the machine is busy, the server is not away.
    pub(crate) fn redis(&self) -> Redis {
        Redis::open(&self.url()).expect("a URL of a Redis server").timeout(Duration::from_secs(10))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the server at once, in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.shell.stdin.take());
            running.shell.wait().expect("the shell ends once its input does");
        }
    }

    /// Starts the server anew, with what is in its files.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.try_start() {
            assert!(Instant::now() < deadline, "redis-server does not start on port {}", self.port);
        }
    }

    /// Starts the server anew, empty.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.folder).expect("it is this server's own");
        std::fs::create_dir_all(&self.folder).expect("a folder for temporary files");
        self.restart();
    }

    /// Lets the server stand still, with its connections open, until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// What a command answers, through a connection of its own.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).expect("a URL of a Redis server");
        let mut connection = client.get_connection().expect("the server listens");
        let (name, arguments) = command.split_first().expect("a command has a name");
        redis::cmd(name).arg(arguments).query(&mut connection).expect("the command is answered")
    }

    fn signal(&self, name: &str) {
        let pid = &self.running.as_ref().expect("it runs").pid;
        let status = Command::new("kill").args(["-s", name, pid]).status().expect("there is a `kill`");
        assert!(status.success());
    }

    /// True once the server takes connections; false where another process has the port.
    fn try_start(&mut self) -> bool {
        let port = self.port.to_string();
        let spawned = Command::new("sh")
            .args(["-c", SHELL, "sh", "--port", &port, "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(&self.folder)
            .args(&self.options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut shell = spawned.expect("there is a shell");
        let mut log = BufReader::new(shell.stdout.take().expect("it is piped"));
        let (mut line, mut pid) = (String::new(), None);
        let is_ready = loop {
            line.clear();
            match log.read_line(&mut line) {
                Ok(0) | Err(_) => break false,
                Ok(_) if line.trim().parse::<u32>().is_ok() => pid = Some(line.trim().to_owned()),
                Ok(_) => {}
            }
            if line.contains("Ready to accept connections") {
                break true;
            }
        };
        let Some(pid) = pid.filter(|_| is_ready) else {
            drop(shell.stdin.take());
            let output = shell.wait_with_output().expect("the shell ends once its input does");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("not found"), "redis-server is missing: run `apt-get install redis-server`");
            return false;
        };
        // The rest of its log is read away, lest it fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.running = Some(Running { shell, pid });
        true
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
