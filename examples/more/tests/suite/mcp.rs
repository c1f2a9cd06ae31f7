//! The example `mcp`, with the client that the protocol's Rust SDK has, and a real OpenID provider.

use reqwest::header::{LOCATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{
    AuthClient, AuthorizationCallback, AuthorizationRequest, ClientCredentialsConfig, OAuthState,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceError};
use serde_json::{Value, json};

use crate::support::{MCP, Running, tampered};

/// The provider sends the user here, and nobody needs to listen.
const CALLBACK: &str = "http://127.0.0.1:9/callback";

/// The server, and the provider whose tokens it takes.
struct Pair {
    server: Running,
    provider: Running,
}

impl Pair {
    fn start() -> Self {
        let provider = Running::provider();
        let server = Running::start(MCP, &["--issuer", &provider.url]);
        Self { server, provider }
    }

    fn url(&self) -> String {
        format!("{}/mcp", self.server.url)
    }

    fn document(&self) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp", self.server.url)
    }

    /// An access token for a client of its own, without an MCP client.
    async fn token(&self, resource: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "service-post"),
            ("client_secret", "integration-test-secret-0123456789abcdef"),
            ("resource", resource),
            ("scope", scope),
        ];
        let request = Client::new().post(format!("{}/token", self.provider.url)).form(&form);
        let granted: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        granted["access_token"].as_str().unwrap_or_else(|| panic!("{granted}")).to_owned()
    }

    /// Sends a message as it is; `None` for no token.
    async fn post(&self, token: Option<&str>, body: impl Into<String>) -> Response {
        let request = Client::new().post(self.url()).body(body.into()).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        request.send().await.expect("an answer")
    }
}

fn challenge(response: &Response) -> &str {
    response.headers()[WWW_AUTHENTICATE].to_str().expect("ASCII")
}

fn call(tool: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": { "item": "milk" } } })
}

/// A user's browser: follows redirects, with cookies, to the client's callback.
async fn visit(browser: &Client, url: &str) -> AuthorizationCallback {
    let response = browser.get(url).send().await.expect("an answer");
    let location = response.headers().get(LOCATION).unwrap_or_else(|| panic!("no way back: {response:?}"));
    AuthorizationCallback::from_redirect_url(location.to_str().expect("ASCII")).expect("a code")
}

fn browser() -> Client {
    let policy =
        Policy::custom(|attempt| if attempt.url().path() == "/callback" { attempt.stop() } else { attempt.follow() });
    Client::builder().cookie_store(true).redirect(policy).build().expect("a client")
}

type Session = RunningService<RoleClient, ()>;

async fn connect(url: &str, client: AuthClient<Client>) -> Session {
    let transport =
        StreamableHttpClientTransport::with_client(client, StreamableHttpClientTransportConfig::with_uri(url));
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    ().serve_with_lifecycle(transport, ClientLifecycleMode::Discover { preferred_versions }).await.expect("a session")
}

/// The text that a tool answers with.
async fn ask(session: &Session, tool: &'static str, arguments: Value) -> Result<String, ServiceError> {
    let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
    let result = session.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
    assert_ne!(result.is_error, Some(true), "{result:?}");
    Ok(result.content[0].as_text().expect("text").text.clone())
}

#[tokio::test]
async fn a_client_that_knows_the_url_finds_the_provider_and_steps_up_when_a_tool_needs_more() {
    let pair = Pair::start();
    let url = pair.url();

    // Without a token: refused, with the way to the document.
    let transport = StreamableHttpClientTransport::from_uri(url.clone());
    let error = rmcp::ServiceExt::serve((), transport).await.expect_err("no token");
    let unauthorized = error.auth_challenge().expect("a challenge").to_owned();
    assert_eq!(unauthorized, format!(r#"Bearer resource_metadata="{}", scope="orders:read""#, pair.document()));

    // The client reads the document, and the provider's metadata, and sends its user there.
    let mut state = OAuthState::new(&*url, None).await.expect("a URL");
    let request = AuthorizationRequest::new(CALLBACK).with_preregistered_client("app").with_challenge(unauthorized);
    state.start_authorization(request).await.expect("both documents");
    let authorize: reqwest::Url = state.get_authorization_url().await.expect("started").parse().expect("a URL");
    assert!(authorize.as_str().starts_with(&format!("{}/auth?", pair.provider.url)), "{authorize}");
    let parameters: Vec<_> = authorize.query_pairs().collect();
    for (name, value) in [("resource", &*url), ("scope", "orders:read"), ("code_challenge_method", "S256")] {
        assert!(parameters.contains(&(name.into(), value.into())), "{name} in {authorize}");
    }
    let browser = browser();
    let back = visit(&browser, authorize.as_str()).await;
    state.handle_callback_with_issuer(&back.code, &back.csrf_token, back.issuer.as_deref()).await.expect("a token");
    let manager = state.into_authorization_manager().expect("authorized");
    let client = AuthClient::new(Client::new(), manager);
    let session = connect(&url, client.clone()).await;

    let tools = session.list_all_tools().await.expect("a list");
    let mut names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["list_orders", "place_order", "whoami"]);
    assert_eq!(ask(&session, "whoami", json!({})).await.expect("no scope"), "user-1 with the scopes: orders:read");
    assert_eq!(ask(&session, "list_orders", json!({})).await.expect("the scope"), "0 orders: ");

    // A tool that needs more.
    let milk = json!({ "item": "milk" });
    let error = ask(&session, "place_order", milk.clone()).await.expect_err("the scope is missing");
    let forbidden = error.auth_challenge().unwrap_or_else(|| panic!("no challenge: {error}")).to_owned();
    let expected = [
        format!(r#"Bearer resource_metadata="{}""#, pair.document()),
        r#"error="insufficient_scope""#.to_owned(),
        r#"error_description="the token lacks a scope that is required""#.to_owned(),
        r#"scope="orders:write""#.to_owned(),
    ];
    assert_eq!(forbidden, expected.join(", "));

    // The user agrees to more, and the same session goes on.
    let manager = client.auth_manager.lock().await;
    let authorize = manager.request_scope_upgrade("orders:write").await.expect("a URL");
    let back = visit(&browser, &authorize).await;
    let exchanged = manager.exchange_code_for_token_with_issuer(&back.code, &back.csrf_token, back.issuer.as_deref());
    exchanged.await.expect("a token");
    drop(manager);
    assert_eq!(ask(&session, "place_order", milk).await.expect("the scope"), "ordered milk for user-1");
    assert_eq!(ask(&session, "list_orders", json!({})).await.expect("the scope"), "1 orders: milk");

    // Another user sees its own.
    let mut state = OAuthState::new(&*url, None).await.expect("a URL");
    let config = ClientCredentialsConfig::ClientSecret {
        client_id: "service-post".to_owned(),
        client_secret: "integration-test-secret-0123456789abcdef".to_owned(),
        scopes: vec!["orders:read".to_owned()],
        resource: Some(url.clone()),
    };
    state.authenticate_client_credentials(config).await.expect("a token");
    let manager = state.into_authorization_manager().expect("authorized");
    let service = connect(&url, AuthClient::new(Client::new(), manager)).await;
    let said = ask(&service, "whoami", json!({})).await.expect("no scope");
    assert_eq!(said, "service-post with the scopes: orders:read");
    assert_eq!(ask(&service, "list_orders", json!({})).await.expect("the scope"), "0 orders: ");
}

#[tokio::test]
async fn a_client_of_an_older_revision_meets_the_same_rules() {
    let pair = Pair::start();
    let token = pair.token(&pair.url(), "orders:read").await;
    let config = StreamableHttpClientTransportConfig::with_uri(pair.url()).auth_header(token);
    let session =
        ().serve_with_lifecycle(StreamableHttpClientTransport::from_config(config), ClientLifecycleMode::Initialize);
    let session = session.await.expect("a session");
    let version = &session.peer_info().expect("initialized").protocol_version;
    assert!(*version < ProtocolVersion::V_2026_07_28, "{version}");

    assert_eq!(ask(&session, "list_orders", json!({})).await.expect("the scope"), "0 orders: ");
    let error = ask(&session, "place_order", json!({ "item": "milk" })).await.expect_err("the scope is missing");
    assert!(error.auth_challenge().is_some_and(|challenge| challenge.contains(r#"scope="orders:write""#)), "{error}");
}

#[tokio::test]
async fn tokens_that_are_not_for_this_server_are_refused_with_the_way_to_one_that_is() {
    let pair = Pair::start();
    let token = pair.token(&pair.url(), "orders:read").await;
    let elsewhere = pair.token("https://api.example.com/orders", "orders:read").await;
    // A provider of the same make, with other keys.
    let stranger =
        Pair { provider: Running::provider(), server: Running::start(MCP, &["--issuer", &pair.provider.url]) };
    let strange = stranger.token(&pair.url(), "orders:read").await;

    let accepted = pair.post(Some(&token), call("whoami").to_string()).await;
    assert_eq!(accepted.status(), StatusCode::OK);
    let cases = [
        ("no token", None, ""),
        ("a tampered one", Some(tampered(&token)), "the signature is invalid"),
        ("for another server", Some(elsewhere), "the token is for another audience"),
        ("of another provider", Some(strange), "the token's issuer is not trusted"),
    ];
    for (case, token, phrase) in cases {
        let refused = pair.post(token.as_deref(), call("whoami").to_string()).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{case}");
        let way = format!(r#"Bearer resource_metadata="{}""#, pair.document());
        let why = format!(r#", error="invalid_token", error_description="{phrase}""#);
        let why = if token.is_some() { why } else { String::new() };
        assert_eq!(challenge(&refused), format!(r#"{way}{why}, scope="orders:read""#), "{case}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_call_goes_around_the_scope() {
    let pair = Pair::start();
    let reader = pair.token(&pair.url(), "orders:read").await;
    let plain = call("place_order").to_string();
    let again = |member: &str, other: &str| {
        let member = format!("{member},");
        assert!(plain.contains(&member), "{plain}");
        [
            plain.replacen(&member, &format!("{member}{other},"), 1),
            plain.replacen(&member, &format!("{other},{member}"), 1),
        ]
    };
    let mut bodies = vec![plain.clone(), format!("[{plain}]"), plain.replace("place_order", r"\u0070lace_order")];
    bodies.extend(again(r#""method":"tools/call""#, r#""method":"tools/list""#));
    bodies.extend(again(r#""jsonrpc":"2.0""#, r#""params":{"name":"whoami"}"#));
    bodies.extend(again(r#""id":1"#, r#""id":2"#));
    bodies.push(plain.replacen(r#""name":"place_order""#, r#""name":"whoami","name":"place_order""#, 1));
    bodies.push(plain.replacen(r#""name":"place_order""#, r#""name":"place_order","name":"whoami""#, 1));
    bodies.push(format!("\u{feff}{plain}"));
    for body in bodies {
        let answer = pair.post(Some(&reader), &*body).await;
        let (status, text) = (answer.status(), answer.text().await.expect("text"));
        assert!(!text.contains("ordered"), "{body}: {status} {text}");
    }
    // The header is for those who cannot read the body.
    let request = Client::new().post(pair.url()).bearer_auth(&reader).body(plain).header("mcp-name", "whoami");
    let request =
        request.header("accept", "application/json, text/event-stream").header("content-type", "application/json");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);

    let listed = pair.post(Some(&reader), call("list_orders").to_string()).await.text().await.expect("text");
    assert!(listed.contains("0 orders"), "{listed}");
}

#[tokio::test]
async fn pages_of_other_sites_and_large_requests_are_refused() {
    let pair = Pair::start();
    let reader = pair.token(&pair.url(), "orders:read").await;
    let request = Client::new().post(pair.url()).bearer_auth(&reader).header("origin", "https://evil.example");
    let request = request.header("accept", "application/json, text/event-stream").json(&call("whoami"));
    assert_eq!(request.send().await.expect("an answer").status(), StatusCode::FORBIDDEN);

    let limit = 64 * 1024;
    for (length, expected) in [(limit, StatusCode::OK), (limit + 1, StatusCode::PAYLOAD_TOO_LARGE)] {
        let message = call("whoami").to_string();
        let body = format!("{message}{}", " ".repeat(length - message.len()));
        assert_eq!(pair.post(Some(&reader), body).await.status(), expected, "{length} bytes");
    }
}

#[tokio::test]
async fn the_document_is_open_to_everybody_and_names_the_provider() {
    let pair = Pair::start();
    let document: Value = reqwest::get(pair.document()).await.expect("an answer").json().await.expect("a document");
    let expected = json!({
        "resource": pair.url(),
        "authorization_servers": [pair.provider.url],
        "bearer_methods_supported": ["header"],
        "resource_name": "Orders",
        "scopes_supported": ["orders:read"],
    });
    assert_eq!(document, expected);
}

#[test]
fn the_curl_lines_answer_as_printed() {
    let mut server = Running::start(MCP, &[]);
    for (expected, hint) in [
        ("401", "resource_metadata="),
        ("200", "user-1 with the scopes: orders:read"),
        ("403", r#"scope="orders:write""#),
        ("200", "ordered milk for user-1"),
    ] {
        let (heading, answer) = server.paste();
        assert!(heading.contains(&format!(": {expected}")), "{heading}");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")) && answer.contains(hint), "{heading}: {answer}");
    }
}
