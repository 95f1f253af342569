//! walcast as an operator runs it: on one slot, begun again whenever it ended, and clients that find it where it is.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::walcast::{Walcast, slot_name};

/// One walcast after another on one slot.
pub struct Service {
    url: String,
    settings: Vec<(String, String)>,
    walcast: Option<Walcast>,
    at: watch::Sender<SocketAddr>,
    peak: usize,
}

impl Service {
    /// Begins on the database of `url`, with a slot of its own and further settings; returns when it is live.
    pub async fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let slot = ("WALCAST__REPLICATION__SLOT".to_owned(), slot_name());
        let settings = std::iter::once(slot).chain(settings).collect();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let mut service =
            Self { url: url.to_owned(), settings, walcast: None, at: watch::Sender::new(nowhere), peak: 0 };
        service.begin();
        service.walcast().wait_for_status("live").await;
        service
    }

    /// Another process, which now is the one that clients find. The one before is returned, if it runs.
    pub fn begin(&mut self) -> Option<Walcast> {
        let settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let walcast = Walcast::spawn(&self.url, &settings);
        self.at.send_replace(walcast.address());
        self.walcast.replace(walcast)
    }

    /// Sets one setting for the next process.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The process.
    pub fn walcast(&self) -> &Walcast {
        self.walcast.as_ref().expect("it runs")
    }

    /// Where it listens.
    pub fn at(&self) -> watch::Receiver<SocketAddr> {
        self.at.subscribe()
    }

    /// The name of its slot.
    pub fn slot(&self) -> &str {
        &self.settings.iter().find(|(name, _)| name == "WALCAST__REPLICATION__SLOT").expect("a slot").1
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.note_memory();
        self.walcast = None;
    }

    /// Ends it with SIGTERM while the next one waits for its slot, as a deployment does.
    pub async fn succeed(&mut self) {
        self.note_memory();
        let before = self.begin().expect("it runs");
        before.signal(Signal::SIGTERM);
        let ended = tokio::task::spawn_blocking(move || {
            let mut before = before;
            (before.wait(), before.log())
        });
        let (status, log) = ended.await.unwrap();
        assert!(status.success(), "it did not end in order: {status}\n{log}");
    }

    /// The most memory that any of the processes ever had, in bytes (`VmHWM`, proc(5)).
    pub fn peak(&mut self) -> usize {
        self.note_memory();
        self.peak
    }

    fn note_memory(&mut self) {
        self.peak = self.peak.max(self.walcast.as_ref().map_or(0, Walcast::peak_memory));
    }
}
