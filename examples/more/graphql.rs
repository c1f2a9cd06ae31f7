//! A GraphQL server: the verified token in the context, scopes as guards of fields, and subscriptions over a websocket.
//!
//! ```text
//! cd examples/more
//! cargo run --bin graphql                                       # tokens of its own, with curl lines to try
//! cargo run --bin graphql -- --lifetime 20                      # tokens that expire while you watch
//! ```
//!
//! Queries and mutations come over HTTP, and the layer verifies their token. A page cannot give headers to a websocket, so
//! there the token comes in the payload of `connection_init`, and goes to the same [`Verifier`]. Without a good one the
//! connection is refused, and it is closed when the token expires: a client connects again with a fresh one.

#![expect(clippy::unused_async, reason = "what resolves a field is async, whether or not it waits")]

use std::error::Error;
use std::net::Ipv4Addr;
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_graphql::{Context, Data, ErrorExtensions as _, Guard, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::{GraphQLProtocol, GraphQLRequest, GraphQLResponse, GraphQLWebSocket};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{SinkExt as _, Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::{broadcast, oneshot};
use tokio::time::{sleep, timeout};
use tower_jwt_auth::clock::UnixTime;
use tower_jwt_auth::testing::Authority;
use tower_jwt_auth::{Algorithm, ConfigError, Issuer, Jwt, JwtAuth, Verifier};

const HELP: &str = "\
A GraphQL server at http://127.0.0.1:PORT/graphql, with subscriptions at ws://127.0.0.1:PORT/graphql/ws.

  --port P      8000 unless set; 0 takes a free one
  --lifetime S  of the tokens that it prints, in seconds; 3600 unless set
";

/// How long a connection may take to send its token.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Of a message over the websocket. Who has not shown a token yet can send one too.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

#[derive(Clone, SimpleObject)]
struct Order {
    item: String,
    #[graphql(skip)]
    whose: String,
}

struct Orders {
    placed: Mutex<Vec<Order>>,
    news: broadcast::Sender<Order>,
}

/// A field that needs a scope. Without it the field is an error with the code `FORBIDDEN`, and the others are answered.
struct Scope(&'static str);

impl Guard for Scope {
    async fn check(&self, context: &Context<'_>) -> async_graphql::Result<()> {
        if caller(context)?.has_scope(self.0) {
            return Ok(());
        }
        let error = async_graphql::Error::new("the token lacks a scope that is required");
        Err(error.extend_with(|_, extensions| {
            extensions.set("code", "FORBIDDEN");
            extensions.set("scope", self.0);
        }))
    }
}

fn caller<'c>(context: &Context<'c>) -> async_graphql::Result<&'c Jwt<Claims>> {
    context.data::<Jwt<Claims>>()
}

struct Query;

#[Object]
impl Query {
    async fn me(&self, context: &Context<'_>) -> async_graphql::Result<String> {
        Ok(caller(context)?.claims().sub.clone())
    }

    /// Your own.
    #[graphql(guard = "Scope(\"orders:read\")")]
    async fn orders(&self, context: &Context<'_>) -> async_graphql::Result<Vec<Order>> {
        let sub = &caller(context)?.claims().sub;
        let placed = context.data::<Orders>()?.placed.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(placed.iter().filter(|order| order.whose == *sub).cloned().collect())
    }
}

struct Mutation;

#[Object]
impl Mutation {
    #[graphql(guard = "Scope(\"orders:write\")")]
    async fn place_order(&self, context: &Context<'_>, item: String) -> async_graphql::Result<Order> {
        let order = Order { item, whose: caller(context)?.claims().sub.clone() };
        let orders = context.data::<Orders>()?;
        orders.placed.lock().unwrap_or_else(PoisonError::into_inner).push(order.clone());
        // An error means that nobody has subscribed.
        let _ = orders.news.send(order.clone());
        Ok(order)
    }
}

struct Subscriptions;

#[Subscription]
impl Subscriptions {
    /// Your own orders, as they are placed.
    #[graphql(guard = "Scope(\"orders:read\")")]
    async fn orders(&self, context: &Context<'_>) -> async_graphql::Result<impl Stream<Item = Order> + use<>> {
        let sub = caller(context)?.claims().sub.clone();
        let news = context.data::<Orders>()?.news.subscribe();
        Ok(stream::unfold((news, sub), async |(mut news, sub)| {
            loop {
                match news.recv().await {
                    Ok(order) if order.whose == sub => return Some((order, (news, sub))),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        }))
    }
}

type Shop = Schema<Query, Mutation, Subscriptions>;

/// A request whose token the layer has verified.
async fn execute(
    State(Server { shop, .. }): State<Server>,
    jwt: Jwt<Claims>,
    request: GraphQLRequest,
) -> GraphQLResponse {
    shop.execute(request.into_inner().data(jwt)).await.into()
}

/// The token is not here yet, so the layer is not in front of this.
async fn connect(State(server): State<Server>, protocol: GraphQLProtocol, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .protocols(async_graphql::http::ALL_WEBSOCKET_PROTOCOLS)
        .on_upgrade(move |socket| serve_connection(socket, protocol, server))
}

/// What a client sends first: `{"type":"connection_init","payload":{"token":"…"}}`.
#[derive(Deserialize)]
struct ConnectionInit {
    token: String,
}

async fn serve_connection(socket: WebSocket, protocol: GraphQLProtocol, Server { shop, verifier }: Server) {
    let (mut sink, stream) = socket.split();
    let (verified, ends) = oneshot::channel();
    let on_init = async move |payload| {
        // Where this fails, the message is the reason with which the connection is closed.
        let ConnectionInit { token } = serde_json::from_value(payload).map_err(|_| "no token in `connection_init`")?;
        // The phrase is for clients; what else the error holds is for the log.
        let jwt = verifier.verify(&token).await.map_err(|error| error.kind().phrase())?;
        let _ = verified.send(jwt.expires_at());
        let mut data = Data::default();
        data.insert(jwt);
        Ok(data)
    };
    let serve = GraphQLWebSocket::new_with_pair(&mut sink, stream, shop, protocol).on_connection_init(on_init).serve();
    // The codes are those of the protocol graphql-transport-ws, and of its clients.
    let (code, reason) = tokio::select! {
        // The client has gone, or was refused.
        () = serve => return,
        ended = deadline(ends) => ended,
    };
    let close = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    // An error means that the client has gone.
    let _ = sink.send(close).await;
}

/// Waits until the connection has to end: when no token has come in time, or the token expires.
async fn deadline(verified: oneshot::Receiver<Option<UnixTime>>) -> (u16, &'static str) {
    match timeout(INIT_TIMEOUT, verified).await {
        Err(_) => return (4408, "Connection initialisation timeout"),
        Ok(Ok(Some(end))) => {
            // In steps, for the time of day may be set, and a timer stands still while the machine sleeps.
            while let Some(left) = seconds_until(end) {
                sleep(Duration::from_secs(left.min(30))).await;
            }
        }
        // Refused: the other side says so. Without an end: a verifier takes no such token unless it is told to.
        Ok(_) => std::future::pending().await,
    }
    (4401, "the token has expired")
}

/// None when that is past.
fn seconds_until(end: UnixTime) -> Option<u64> {
    let left = end.as_secs() - UnixTime::from(SystemTime::now()).as_secs();
    u64::try_from(left).ok().filter(|left| *left > 0)
}

#[derive(Clone)]
struct Server {
    shop: Shop,
    verifier: Verifier<Claims>,
}

fn app(issuer: Issuer) -> Result<Router, ConfigError> {
    let orders = Orders { placed: Mutex::default(), news: broadcast::channel(64).0 };
    let shop = Schema::build(Query, Mutation, Subscriptions).data(orders).finish();
    let verifier = Verifier::new(issuer)?;
    Ok(Router::new()
        .route("/graphql", post(execute))
        .layer(JwtAuth::with(verifier.clone()))
        .route("/graphql/ws", get(connect)) // after the layer, which is not in front of it
        .with_state(Server { shop, verifier }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Options { port, lifetime } = options();
    let authority = Authority::new(Algorithm::ES256).for_audience("shop");
    let app = app(authority.trusted())?;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("port {port}: {error}; `--port 0` takes a free one"))?;
    let address = listener.local_addr()?;
    println!("READY http://{address}\n");
    print_lines_to_paste(&address.to_string(), &authority, lifetime);
    Ok(axum::serve(listener, app).await?)
}

fn print_lines_to_paste(address: &str, authority: &Authority, lifetime: i64) {
    let token = |scope: &str| authority.token().claim("scope", scope);
    let reader = token("orders:read").expires_in(lifetime).sign();
    let writer = token("orders:read orders:write").expires_in(lifetime).sign();
    // More than the 30 seconds by which clocks may differ.
    let expired = token("orders:read").expires_in(-60).sign();
    let ask = |query: &str| {
        format!("curl -i http://{address}/graphql -H 'Content-Type: application/json' -d '{{\"query\":\"{query}\"}}'")
    };
    let with = |token: &str| format!("-H 'Authorization: Bearer {token}'");
    let place = ask(r#"mutation { placeOrder(item: \"milk\") { item } }"#);
    println!("No token: 401\n{}\n", ask("{ me }"));
    println!("An expired token: 401 invalid_token\n{} {}\n", ask("{ me }"), with(&expired));
    println!("A scope that the token has: 200\n{} {}\n", ask("{ me orders { item } }"), with(&reader));
    println!("A scope that it lacks: 200 and an error FORBIDDEN\n{place} {}\n", with(&reader));
    println!("A scope that another token has: 200\n{place} {}\n", with(&writer));
    println!(
        "A subscription: connect, paste two lines, and place an order as above\n\
         npx wscat -s graphql-transport-ws -c ws://{address}/graphql/ws\n\
         {{\"type\":\"connection_init\",\"payload\":{{\"token\":\"{reader}\"}}}}\n\
         {{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{{\"query\":\"subscription {{ orders {{ item }} }}\"}}}}"
    );
}

struct Options {
    port: u16,
    lifetime: i64,
}

fn options() -> Options {
    let mut options = Options { port: 8000, lifetime: 3600 };
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        if matches!(option.as_str(), "--help" | "-h") {
            print!("{HELP}");
            exit(0)
        }
        let value = arguments.next();
        let is_set = match (option.as_str(), &value) {
            ("--port", Some(value)) => value.parse().map(|port| options.port = port).is_ok(),
            ("--lifetime", Some(value)) => value.parse().map(|seconds| options.lifetime = seconds).is_ok(),
            _ => false,
        };
        if !is_set {
            eprintln!("{option}: no such option, or not with this value\n\n{HELP}");
            exit(2)
        }
    }
    options
}
