//! A scripted HTTP server on loopback, down to the bytes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::KIB;

/// A self-signed certificate for `localhost`, and its key, in DER: valid until 2100, and trusted by nobody.
const CERTIFICATE: &str = "\
    MIIBYjCCAQmgAwIBAgIUZBwFcz/8QP9PMa86S53GYBOQtwswCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTAwMDEwMTAwMDAwMF\
    oYDzIxMDAwMTAxMDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQliAYyY5FxGfpT70C3za+Bx2Zg\
    y9jbxzDSAnHN8opP9EFE0I3kC6cAFDJ7tCfme3EYgjMSywC8ZXWPLf75k7ZmozcwNTAUBgNVHREEDTALgglsb2NhbGhvc3QwHQYDVR0OBBYEFN2qdo\
    u0eO0XEYKuK6AxfK9tgYHTMAoGCCqGSM49BAMCA0cAMEQCIAJDBRinLosTEF75mmXjy7HpK7EADeS3ECitFz8bkJryAiBWFS7BA7To9Jo376peJJYL\
    1eQCMN4n3/KgVsycWbxx1Q==";
const CERTIFICATE_KEY: &str = "\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSak6ZgIC0nCOkyQmuRMgLOVZ0IG8tkraP+waJOmVTpGhRANCAAQliAYyY5FxGfpT70\
    C3za+Bx2Zgy9jbxzDSAnHN8opP9EFE0I3kC6cAFDJ7tCfme3EYgjMSywC8ZXWPLf75k7Zm";

pub(super) fn certificate() -> Vec<u8> {
    BASE64_STANDARD.decode(CERTIFICATE).expect("base64")
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    headers: HashMap<String, String>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Clone)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    Whole(Vec<u8>),
    /// Shorter than its `Content-Length` says.
    Cut(Vec<u8>),
    /// The same bytes over and over, until the client hangs up.
    Endless(Vec<u8>),
    /// Header fields without end.
    EndlessHead,
    /// A byte now and then.
    Drip,
    /// Nothing at all, while the connection stays open.
    Silence,
    /// The connection is reset.
    Reset,
    /// Bytes that are not HTTP.
    Raw(&'static str),
}

impl Reply {
    pub(super) fn new(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, Body::Whole(body.into()))
    }

    pub(super) fn status(status: u16) -> Self {
        Self::new(status, Body::Whole(Vec::new()))
    }

    pub(super) fn redirect(status: u16, to: impl Into<String>) -> Self {
        Self::status(status).header("location", to.into())
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn etag(&self) -> Option<&[u8]> {
        self.headers.iter().find(|(name, _)| *name == "etag").map(|(_, value)| value.as_slice())
    }
}

/// A provider on a port of its own, which answers as it is told, and 404 where it is told nothing.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    scheme: &'static str,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    /// The last reply of a path is repeated.
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    /// How many bytes the network took.
    written: usize,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(None)
    }

    pub(super) fn start_tls() -> Self {
        let key = PrivatePkcs8KeyDer::from(BASE64_STANDARD.decode(CERTIFICATE_KEY).expect("base64"));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(certificate())], PrivateKeyDer::from(key))
            .expect("the certificate is for the key");
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = listener().expect("a port on loopback");
        let address = listener.local_addr().expect("bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let script = Arc::new(Mutex::new(Script::default()));
        let served = Arc::clone(&script);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, tls) = (Arc::clone(&served), tls.clone());
                // A client that hangs up is what many tests are about.
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => serve(tls.accept(stream).await?, &script).await,
                        None => serve(stream, &script).await,
                    }
                });
            }
        });
        Self { address, scheme, script, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("not poisoned")
    }

    pub(super) fn publish(&self, path: &str, reply: Reply) {
        self.publish_each(path, [reply]);
    }

    /// One after the other; the last one stays.
    pub(super) fn publish_each(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.script().replies.insert(path.to_owned(), replies.into_iter().collect());
    }

    pub(super) fn publish_metadata(&self, path: &str, issuer: &str, jwks_uri: &str) {
        self.publish(path, Reply::ok(json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string()));
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    /// How often a path has been asked for.
    pub(super) fn count(&self, path: &str) -> usize {
        self.script().seen.iter().filter(|seen| seen.path == path).count()
    }

    /// Closes the port.
    pub(super) fn stop(&self) {
        self.task.abort();
    }

    /// How many bytes the network has taken of the answers.
    pub(super) fn written(&self) -> usize {
        self.script().written
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Its small buffers make what a server can write ahead of its reader measurable.
fn listener() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(16 * 1024)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(64)
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>) -> io::Result<()> {
    // A small buffer leaves the header to the kernel while the first line is read, which `Body::Reset` needs.
    let mut stream = BufReader::with_capacity(8, stream);
    let line = read_line(&mut stream).await?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = match script.lock().expect("not poisoned").replies.get_mut(&path) {
        None => Reply::status(404),
        Some(replies) if replies.len() > 1 => replies.pop_front().expect("two at least"),
        Some(replies) => replies[0].clone(),
    };
    let headers = if matches!(reply.body, Body::Reset) { HashMap::new() } else { read_headers(&mut stream).await? };
    let is_known = reply.etag().is_some_and(|etag| headers.get("if-none-match") == Some(&text(etag)));
    script.lock().expect("not poisoned").seen.push(Seen { path, headers });
    let reply = if is_known { Reply { status: 304, body: Body::Whole(Vec::new()), ..reply } } else { reply };

    let mut head = format!("HTTP/1.1 {} Whatever\r\nconnection: close\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let send = async |stream: &mut BufReader<_>, bytes: &[u8]| {
        AsyncWriteExt::write_all(stream, bytes).await?;
        stream.flush().await?;
        script.lock().expect("not poisoned").written += bytes.len();
        io::Result::Ok(())
    };
    let length = |bytes: usize| format!("content-length: {bytes}\r\n\r\n").into_bytes();
    match reply.body {
        Body::Whole(body) => {
            send(&mut stream, &[head, length(body.len())].concat()).await?;
            for part in body.chunks(16 * KIB) {
                send(&mut stream, part).await?;
            }
        }
        Body::Cut(body) => send(&mut stream, &[head, length(body.len() + 1), body].concat()).await?,
        Body::Endless(bytes) => {
            send(&mut stream, &[&head, &b"\r\n"[..]].concat()).await?;
            loop {
                send(&mut stream, &bytes).await?;
            }
        }
        Body::EndlessHead => {
            send(&mut stream, &head).await?;
            loop {
                send(&mut stream, format!("x-filler: {}\r\n", "x".repeat(KIB)).as_bytes()).await?;
            }
        }
        Body::Drip => {
            send(&mut stream, &[&head, &b"\r\n"[..]].concat()).await?;
            loop {
                send(&mut stream, b" ").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Body::Raw(text) => send(&mut stream, text.as_bytes()).await?,
        // Until the client hangs up.
        Body::Silence => drop(stream.read_u8().await?),
        // The kernel resets a connection that is closed with bytes unread.
        Body::Reset => return Ok(()),
    }
    stream.shutdown().await
}

async fn read_headers(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<HashMap<String, String>> {
    let mut headers = HashMap::new();
    while let Some((name, value)) = read_line(stream).await?.split_once(':') {
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(headers)
}

async fn read_line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).await?;
    Ok(text(&line))
}

/// Header values may be any bytes: each becomes the character of its number.
fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
