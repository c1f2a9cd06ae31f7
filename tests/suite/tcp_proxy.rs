//! A connection between a client and a server that can be slow, silent, or cut.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::time::sleep;

/// Passes connections on to a port of this machine. It ends with its runtime.
pub(crate) struct Proxy {
    port: u16,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy)]
struct State {
    /// How long each piece is held back, in each direction.
    delay: Duration,
    is_cut: bool,
    /// How often it fell silent: a connection that was made before is not heard.
    silences: usize,
    /// What those hold is delivered.
    is_delivered: bool,
    /// Where new connections lead.
    server: u16,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (state, changes) =
            watch::channel(State { delay: Duration::ZERO, is_cut: false, silences: 0, is_delivered: false, server });
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                if changes.borrow().is_cut {
                    continue;
                }
                let server = changes.borrow().server;
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pump(from_client, to_server, changes.clone()));
                tokio::spawn(pump(from_server, to_client, changes.clone()));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn slow_down(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Lets every connection stand that there is, open and silent, and takes others.
    pub(crate) fn silence(&self) {
        self.state.send_modify(|state| *state = State { silences: state.silences + 1, is_delivered: false, ..*state });
    }

    /// Delivers what the silent connections hold.
    pub(crate) fn deliver(&self) {
        self.state.send_modify(|state| state.is_delivered = true);
    }

    /// Leads new connections to another server. Those that there are stay.
    pub(crate) fn lead_to(&self, server: u16) {
        self.state.send_modify(|state| state.server = server);
    }

    /// Ends every connection, and takes no other until it is mended.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| state.is_cut = true);
    }

    pub(crate) fn mend(&self) {
        self.state.send_modify(|state| state.is_cut = false);
    }
}

async fn pump(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut changes: watch::Receiver<State>) {
    let mut buffer = vec![0; 1 << 16];
    let mut heard = changes.clone();
    let made = heard.borrow().silences;
    let pumping = async {
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let Ok(delay) =
                heard.wait_for(|state| state.is_delivered || state.silences <= made).await.map(|state| state.delay)
            else {
                return;
            };
            sleep(delay).await;
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = pumping => {}
        _ = changes.wait_for(|state| state.is_cut) => {}
    }
}
