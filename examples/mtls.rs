//! Tokens that are bound to a client certificate (RFC 8705): a stolen one is worth nothing without the certificate's key.
//!
//! ```text
//! cargo run --example mtls
//! ```
//!
//! It makes a certificate authority, a server with rustls, and two clients, in this process. One client uses its own token,
//! the other one steals it; what each is answered is printed, and the example ends.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::{ServiceBuilder, service_fn};
use tower_jwt_auth::binding::PeerCertificate;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, Jwt, JwtAuth};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// A certificate and its private key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// An authority that signs certificates, for the server and for clients.
struct Certificates {
    root: RootCertStore,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let mut root = RootCertStore::empty();
        root.add(params.self_signed(&key)?.der().clone())?;
        Ok(Self { root, issuer: Issuer::new(params, key) })
    }

    fn identity(&self, name: &str) -> Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Identity { certificate, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() })
    }
}

/// Answers whose token it was. The layer has verified it, and that the connection has shown its certificate.
async fn handle(request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let jwt = request.extensions().get::<Jwt<Claims>>().expect("the layer is in front");
    Ok(Response::new(Full::from(format!("hello, {}", jwt.claims().sub))))
}

/// How long a client may take for the handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

async fn serve(listener: TcpListener, tls: TlsAcceptor, auth: JwtAuth<Claims>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, for example: some are free again when connections end.
                eprintln!("accept: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, auth) = (tls.clone(), auth.clone());
        tokio::spawn(async move {
            let stream = timeout(PATIENCE, tls.accept(stream)).await??;
            // rustls has verified the chain and that the client has the key; the first certificate is the client's own.
            let peer =
                stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(PeerCertificate::from_der);
            let service = ServiceBuilder::new()
                .map_request(move |mut request: Request<Incoming>| {
                    if let Some(peer) = &peer {
                        request.extensions_mut().insert(peer.clone());
                    }
                    request
                })
                .layer(auth)
                .service(service_fn(handle));
            let mut connection = hyper::server::conn::http1::Builder::new();
            connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await?;
            Result::Ok(())
        });
    }
}

/// One request with this certificate and this token.
async fn ask(server: SocketAddr, certificates: &Certificates, own: &Identity, token: &str) -> Result<StatusCode> {
    let config = ClientConfig::builder()
        .with_root_certificates(certificates.root.clone())
        .with_client_auth_cert(vec![own.certificate.clone()], own.key.clone_key())?;
    let stream = TcpStream::connect(server).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost")?, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "localhost").header("authorization", format!("Bearer {token}"));
    Ok(sender.send_request(request.body(Empty::<Bytes>::new())?).await?.status())
}

#[tokio::main]
async fn main() -> Result<()> {
    let certificates = Certificates::new()?;
    let (server, alice, mallory) =
        (certificates.identity("localhost")?, certificates.identity("alice")?, certificates.identity("mallory")?);

    // This stands for the authorization server, which binds the token to the certificate that the client has shown there.
    let authority = Authority::new(Algorithm::ES256);
    let thumbprint = PeerCertificate::from_der(&alice.certificate).thumbprint();
    let token = authority.token().claim("sub", "alice").claim("cnf", json!({"x5t#S256": thumbprint})).sign();

    let verifier = WebPkiClientVerifier::builder(Arc::new(certificates.root.clone())).build()?;
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate], server.key)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let auth = JwtAuth::<Claims>::new(authority.trusted())?.mtls();
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), auth));

    println!("alice, with her certificate: {}", ask(address, &certificates, &alice, &token).await?);
    println!("mallory, with alice's token: {}", ask(address, &certificates, &mallory, &token).await?);
    Ok(())
}
