//! Which shard gets who comes.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::SmallVec;
use tokio::sync::mpsc::error::SendError;

use super::arrival::Arrival;
use super::{Newcomer, ShardHandle};

/// Places taken on a shard whose thread died: more than on any other.
const DEAD: usize = usize::MAX / 2;

/// A place on one shard, counted until it is dropped: newcomers go where there are fewest.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(places: &Arc<AtomicUsize>) -> Self {
        places.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(places))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who comes to a shard.
#[derive(Debug)]
pub(super) enum Coming {
    Arrival(Arrival<TcpStream>),
    Newcomer(Newcomer<TcpStream>),
}

impl Coming {
    const fn place(&mut self) -> &mut Place {
        match self {
            Self::Arrival(arrival) => &mut arrival.place,
            Self::Newcomer(newcomer) => &mut newcomer.place,
        }
    }
}

/// A place on the shard `id`, where newcomers go there now.
pub(super) fn place_on(shards: &[ShardHandle], id: usize) -> Option<Place> {
    let all = shards.iter().enumerate();
    let (emptiest, shard) = all.min_by_key(|(_, shard)| shard.places.load(Ordering::Relaxed))?;
    (emptiest == id).then(|| Place::take(&shard.places))
}

/// Hands who comes to the shard with the fewest places taken.
pub(super) fn place(shards: &[ShardHandle], coming: impl FnOnce(Place) -> Coming) {
    let mut rest: SmallVec<[&ShardHandle; 16]> = shards.iter().collect();
    let Some(mut shard) = emptiest(&mut rest) else { return };
    let mut sent = shard.arrivals.send(coming(Place::take(&shard.places)));
    while let Err(SendError(mut coming)) = sent {
        // Its thread died, and all places there are free: it must look full, lest it be tried for whoever comes.
        shard.places.store(DEAD, Ordering::Relaxed);
        tracing::error!(
            "a shard takes no sockets any more; restart the server to have all of its threads again"
        );
        // Where there is none left, the socket closes with who comes.
        let Some(next) = emptiest(&mut rest) else { return };
        shard = next;
        *coming.place() = Place::take(&shard.places);
        sent = shard.arrivals.send(coming);
    }
}

/// Takes out the shard with the fewest places taken.
fn emptiest<'a>(shards: &mut SmallVec<[&'a ShardHandle; 16]>) -> Option<&'a ShardHandle> {
    let (at, _) = shards.iter().enumerate().min_by_key(|(_, shard)| shard.places.load(Ordering::Relaxed))?;
    Some(shards.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use bytes::Bytes;
    use tokio::sync::{Semaphore, mpsc};

    use super::super::{Agreed, Seat};
    use super::*;
    use crate::channel::serializer::Version;

    fn shard() -> (ShardHandle, mpsc::UnboundedReceiver<Coming>) {
        let ((arrivals, coming), (work, _)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let budget = Arc::new(Semaphore::new(1));
        (ShardHandle { arrivals, places: Arc::default(), work, budget }, coming)
    }

    #[test]
    fn a_shard_that_died_swallows_nobody() {
        let ((dead, gone), (alive, mut coming)) = (shard(), shard());
        drop(gone);
        let shards = [dead, alive];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let came = |_| {
            place(&shards, |place| {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (answer, early, seat) = (Bytes::new(), Bytes::new(), Seat(Arc::new(AtomicUsize::new(1))));
                let agreed = Agreed { version: Version::V2, deflate: false };
                Coming::Newcomer(Newcomer { stream, answer, early, agreed, seat, place })
            });
            coming.try_recv().unwrap()
        };
        let all: Vec<_> = (0..3).map(came).collect();
        let places = || shards.each_ref().map(|shard| shard.places.load(Ordering::Relaxed));
        assert_eq!(places(), [DEAD - 1, 3], "it was tried once, and who moved on has one place");
        drop(all);
        assert_eq!(places(), [DEAD - 1, 0]);
    }
}
