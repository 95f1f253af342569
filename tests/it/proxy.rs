//! A TCP proxy in front of Postgres, for the faults that a network adds.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// Runs on a thread of its own, so that a test may block; ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    upstream: Arc<Mutex<u16>>,
    /// What becomes of the connections made before the last change.
    fate: watch::Sender<Fate>,
    _running: oneshot::Sender<()>,
}

#[derive(Clone, Copy)]
enum Fate {
    Cut,
    Frozen,
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1 that leads to `port`.
    pub fn to(port: u16) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Arc::new(Mutex::new(port));
        let (fate, fates) = watch::channel(Fate::Cut);
        let (running, mut dropped) = oneshot::channel();
        let target = Arc::clone(&upstream);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let port = *target.lock().unwrap();
                            tokio::spawn(lead(accepted.unwrap().0, port, fates.clone()));
                        }
                        _ = &mut dropped => return,
                    }
                }
            });
        });
        Self { address, upstream, fate, _running: running }
    }

    /// `url` by way of this proxy.
    pub fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    /// From now on nothing passes on the connections there are, and neither end is told; new ones work.
    pub fn freeze(&self) {
        self.fate.send_replace(Fate::Frozen);
    }

    /// Cuts the connections there are; new ones lead to `port`.
    pub fn lead_to(&self, port: u16) {
        *self.upstream.lock().unwrap() = port;
        self.fate.send_replace(Fate::Cut);
    }
}

async fn lead(mut client: TcpStream, port: u16, mut fates: watch::Receiver<Fate>) {
    fates.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        changed = fates.changed() => {
            let fate = *fates.borrow();
            if changed.is_ok() && matches!(fate, Fate::Frozen) {
                // Both sockets stay open, and nobody reads them.
                std::future::pending::<()>().await;
            }
        }
    }
}
