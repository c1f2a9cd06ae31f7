//! A server of the Model Context Protocol that any client can authorize against, with scopes for each tool.
//!
//! ```text
//! cd examples/more
//! cargo run --bin mcp                                           # tokens of its own, with curl lines to try
//! cargo run --bin mcp -- --issuer https://tenant.example/       # tokens of an OpenID provider
//! ```
//!
//! A client that comes without a token is told where the metadata of this server is (RFC 9728), finds the provider there,
//! and asks it for a token for this server. A tool is called with the scopes that it needs, or the answer is 403
//! `insufficient_scope`, over HTTP and before the tool runs: that is how the protocol wants it (revision 2026-07-28,
//! Authorization, "Scope Challenge Handling"), for a client can then ask its user for more and call again. An error in
//! the tool's own result would be read by a model, and no client would step up.

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest};
use rmcp::schemars::{self, JsonSchema};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, tool, tool_router};
use serde::Deserialize;
use tower::{Layer, ServiceExt};
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, Jwt, JwtAuth, RequireScopes};

const HELP: &str = "\
A Model Context Protocol server at http://127.0.0.1:PORT/mcp.

  --issuer URL    whose tokens it takes, spelled as in their `iss`; one made for the occasion unless set
  --audience AUD  this server, as in the tokens' `aud`; the URL above unless set
  --port P        8000 unless set; 0 takes a free one
";

const FIRST_SCOPES: [&str; 1] = ["orders:read"];

/// The scopes that each tool needs, on top of a good token. The server does not start when a tool is missing here.
const SCOPES: [(&str, &[&str]); 3] =
    [("whoami", &[]), ("list_orders", &["orders:read"]), ("place_order", &["orders:write"])];

/// A larger request is answered with 413.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// The tools. rmcp makes a new one for every request.
#[derive(Clone, Default)]
struct Orders {
    /// Whose it is, and what.
    placed: Arc<Mutex<Vec<(String, String)>>>,
}

#[derive(Deserialize, JsonSchema)]
struct PlaceOrder {
    /// What to order.
    item: String,
}

#[tool_router(server_handler)]
impl Orders {
    #[tool(description = "Says who you are and what you may do")]
    async fn whoami(&self, Extension(head): Extension<Parts>) -> Result<String, ErrorData> {
        let jwt = caller(&head)?;
        Ok(format!("{} with the scopes: {}", jwt.claims().sub, jwt.scopes().collect::<Vec<_>>().join(" ")))
    }

    #[tool(description = "Lists your orders")]
    async fn list_orders(&self, Extension(head): Extension<Parts>) -> Result<String, ErrorData> {
        let sub = &caller(&head)?.claims().sub;
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<_> = placed.iter().filter(|(whose, _)| whose == sub).map(|(_, item)| item.as_str()).collect();
        Ok(format!("{} orders: {}", own.len(), own.join(", ")))
    }

    #[tool(description = "Places an order")]
    async fn place_order(
        &self,
        Parameters(PlaceOrder { item }): Parameters<PlaceOrder>,
        Extension(head): Extension<Parts>,
    ) -> Result<String, ErrorData> {
        let sub = caller(&head)?.claims().sub.clone();
        let text = format!("ordered {item} for {sub}");
        self.placed.lock().unwrap_or_else(PoisonError::into_inner).push((sub, item));
        Ok(text)
    }
}

/// The verified token of the HTTP request that the tool was called with: rmcp hands its head to the tools.
fn caller(head: &Parts) -> Result<&Jwt<Claims>, ErrorData> {
    head.extensions.get().ok_or_else(|| ErrorData::internal_error("the layer is not in front", None))
}

/// Asks for the scopes of the tool that the request calls.
///
/// The name is read from the body, by the same type that rmcp reads it with, so that both see the same tool. The
/// header `Mcp-Name` says it too, but only clients of the revision 2026-07-28 send that one.
async fn require_scopes_of_tool(request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let scopes = match serde_json::from_slice(&body) {
        Ok(ClientJsonRpcMessage::Request(message)) => match message.request {
            ClientRequest::CallToolRequest(call) => scopes_of(&call.params.name),
            _ => &[],
        },
        // Nothing that rmcp would call a tool for.
        _ => &[],
    };
    let request = Request::from_parts(head, Body::from(body));
    if scopes.is_empty() {
        return next.run(request).await;
    }
    let guard = RequireScopes::all(scopes.iter().copied());
    guard.layer(next).oneshot(request).await.into_response()
}

/// None for a tool that is not there: rmcp says so to the client.
fn scopes_of(tool: &str) -> &'static [&'static str] {
    SCOPES.iter().find(|(name, _)| *name == tool).map_or(&[], |(_, scopes)| *scopes)
}

fn app(issuer: Issuer, resource: &str) -> Result<Router, ConfigError> {
    for tool in Orders::tool_router().list_all() {
        if !SCOPES.iter().any(|(name, _)| *name == tool.name) {
            return Err(ConfigError::new(format!("the tool `{}` has no line in `SCOPES`", tool.name)));
        }
    }
    let orders = Orders::default();
    // No sessions: each request has a token of its own, and one user cannot go on with the session of another. Pages of
    // other sites are refused by their `Origin`, and other names than localhost by `Host` (DNS rebinding).
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .enforce_origin_validation();
    let mcp = StreamableHttpService::new(move || Ok(orders.clone()), NeverSessionManager::default().into(), config);

    let auth = JwtAuth::<Claims>::new(issuer)?;
    // The scopes that a client asks for to begin with; other challenges name the others when they are needed.
    let metadata = auth.metadata(resource)?.name("Orders").scopes(FIRST_SCOPES);
    let auth = auth.resource_metadata(&metadata).challenge_scopes(FIRST_SCOPES)?;
    Ok(Router::new()
        .route_service("/mcp", mcp)
        .layer(from_fn(require_scopes_of_tool)) // 403 insufficient_scope
        .layer(auth) // 401 with the way to a token
        .layer(metadata)) // open to everybody, for it is in front of the others
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .await
        .map_err(|error| format!("port {}: {error}; `--port 0` takes a free one", options.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    let resource = format!("{url}/mcp");
    // A token for another server is refused, so clients name this one when they ask for a token (RFC 8707).
    let audience = options.audience.unwrap_or_else(|| resource.clone());
    let authority = Authority::new(Algorithm::ES256).for_audience(&audience);
    let issuer = match &options.issuer {
        Some(issuer) => Issuer::discover(issuer)?.audience(&audience),
        None => authority.trusted(),
    };
    let app = app(issuer, &resource)?;

    println!("READY {url}\n");
    match options.issuer {
        None => print_curl_lines(&resource, &authority),
        Some(issuer) => println!(
            "An MCP client needs no more than {resource}, and finds {issuer} by itself. A token for curl:\n\
             curl TOKEN_ENDPOINT -u CLIENT:SECRET -d grant_type=client_credentials -d resource={audience} \
             --data-urlencode 'scope=orders:read orders:write'"
        ),
    }
    Ok(axum::serve(listener, app).await?)
}

fn print_curl_lines(resource: &str, authority: &Authority) {
    let token = |scope: &str| authority.token().claim("scope", scope).expires_in(3600).sign();
    let (reader, writer) = (token("orders:read"), token("orders:read orders:write"));
    let call = |token: &str, tool: &str, arguments: &str| {
        format!(
            "curl -i {resource} -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
             -H 'Accept: application/json, text/event-stream' -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\
             \"method\":\"tools/call\",\"params\":{{\"name\":\"{tool}\",\"arguments\":{arguments}}}}}'"
        )
    };
    let milk = r#"{"item":"milk"}"#;
    println!("No token: 401 and where the metadata is\ncurl -i {resource} -d '{{}}'\n");
    println!("A tool for everybody with a token: 200\n{}\n", call(&reader, "whoami", "{}"));
    println!("A tool whose scope is missing: 403 insufficient_scope\n{}\n", call(&reader, "place_order", milk));
    println!("A tool whose scope is granted: 200\n{}\n", call(&writer, "place_order", milk));
}

struct Options {
    issuer: Option<String>,
    audience: Option<String>,
    port: u16,
}

fn options() -> Options {
    let mut options = Options { issuer: None, audience: None, port: 8000 };
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        if matches!(option.as_str(), "--help" | "-h") {
            print!("{HELP}");
            exit(0)
        }
        let value = arguments.next().unwrap_or_else(|| refuse(&format!("{option} has no value")));
        match option.as_str() {
            "--issuer" => options.issuer = Some(value),
            "--audience" => options.audience = Some(value),
            "--port" => {
                options.port = value.parse().unwrap_or_else(|_| refuse("the port is a number from 0 to 65535"));
            }
            _ => refuse(&format!("{option}: there is no such option")),
        }
    }
    options
}

fn refuse(message: &str) -> ! {
    eprintln!("{message}\n\n{HELP}");
    exit(2)
}
