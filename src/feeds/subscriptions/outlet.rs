//! The results that wait for one subscriber, bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes of results that may wait for a subscriber. One result alone may be larger.
pub(super) const OUTLET_BYTES: usize = 4 * 1024 * 1024;

/// The end that is filled. Dropping it ends the stream behind what waits.
#[derive(Debug)]
pub(super) struct Outlet {
    results: mpsc::UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// The end that is read.
#[derive(Debug)]
pub(super) struct Results {
    results: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

pub(super) fn outlet() -> (Outlet, Results) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let outlet = Outlet { results: sender, waiting: Arc::clone(&waiting) };
    (outlet, Results { results: receiver, waiting })
}

impl Outlet {
    /// Adds a result; says whether there was room.
    pub(super) fn put(&self, result: &Bytes) -> bool {
        let before = self.waiting.load(Ordering::Relaxed);
        if before > 0 && before + result.len() > OUTLET_BYTES {
            return false;
        }
        self.add(result);
        true
    }

    /// Adds a last result, whether there is room or not.
    pub(super) fn end(self, result: &Bytes) {
        self.add(result);
    }

    fn add(&self, result: &Bytes) {
        self.waiting.fetch_add(result.len(), Ordering::Relaxed);
        // Its subscriber may be gone already.
        let _ = self.results.send(result.clone());
    }
}

impl Results {
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let result = self.results.recv().await?;
        self.waiting.fetch_sub(result.len(), Ordering::Relaxed);
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_but_for_one_large_result() {
        let (outlet, mut results) = outlet();
        let half = Bytes::from(vec![b' '; OUTLET_BYTES / 2]);
        assert_eq!([outlet.put(&half), outlet.put(&half), outlet.put(&half)], [true, true, false]);
        results.next().await.unwrap();
        assert_eq!([outlet.put(&half), outlet.put(&half)], [true, false]);
        results.next().await.unwrap();
        results.next().await.unwrap();
        let large = Bytes::from(vec![b' '; OUTLET_BYTES + 1]);
        assert_eq!([outlet.put(&large), outlet.put(&half)], [true, false]);
        outlet.end(&half);
        assert_eq!(results.next().await.map(|result| result.len()), Some(large.len()));
        assert_eq!(results.next().await.map(|result| result.len()), Some(half.len()));
        assert_eq!(results.next().await, None);
    }
}
