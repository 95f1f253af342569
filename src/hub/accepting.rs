//! Accepts connections on the thread of a shard, where most of them stay: one that is accepted elsewhere costs a wake-up,
//! and a registration with a second runtime.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::arrival::{Arrival, Receiver};
use super::placing::{Coming, place, place_on};
use super::shard::Shard;
use super::{ShardHandle, Work};

/// How long nothing is accepted when that failed, as where file descriptors have run out.
const PAUSE: Duration = Duration::from_millis(50);

/// A port, and who receives whoever comes there.
#[derive(Debug)]
pub(super) struct Accepting {
    listener: TcpListener,
    receiver: Receiver,
    shards: Arc<[ShardHandle]>,
    /// Told when it was to stop; dropped when the thread dies.
    done: oneshot::Sender<()>,
}

/// Accepts connections until `receiver` is told to stop. One shard does, for all of them, and should its thread die the next.
pub(super) async fn accept(
    shards: &Arc<[ShardHandle]>,
    listener: TcpListener,
    receiver: Receiver,
) -> std::io::Result<()> {
    for shard in shards.iter() {
        let (done, wait) = oneshot::channel();
        let (listener, receiver, shards) = (listener.try_clone()?, receiver.clone(), Arc::clone(shards));
        // Whichever fails, nobody accepts any more.
        let _ = shard.work.send(Work::Accept(Accepting { listener, receiver, shards, done }));
        if wait.await.is_ok() {
            return Ok(());
        }
        tracing::error!(
            "a shard accepts no connections any more; restart the server to have all of its threads again"
        );
    }
    Ok(())
}

impl Accepting {
    /// Accepts on this shard's thread.
    pub(super) async fn run(self, shard: Rc<Shard>) {
        let Self { listener, receiver, shards, done } = self;
        let mut stop = receiver.stop.clone();
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, _)) => welcome(&shard, &shards, stream, receiver.clone()),
                Err(error) => {
                    // Out of file descriptors, or a client that went away: neither is a reason to end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        let _ = done.send(());
    }
}

fn welcome(shard: &Rc<Shard>, shards: &[ShardHandle], stream: TcpStream, receiver: Receiver) {
    let _ = stream.set_nodelay(true);
    if let Some(place) = place_on(shards, shard.id) {
        shard.receive(Arrival { stream, receiver, place });
    } else if let Ok(stream) = stream.into_std() {
        place(shards, |place| Coming::Arrival(Arrival { stream, receiver, place }));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, mpsc, watch};

    use super::super::{Greeting, Reception};
    use super::*;

    struct Nobody;

    impl Reception for Nobody {
        fn greet(&self, _: &[u8]) -> Option<Greeting> {
            None
        }

        fn refer(&self, _: std::net::TcpStream) {}
    }

    fn shard() -> (ShardHandle, mpsc::UnboundedReceiver<Work>) {
        let ((arrivals, _), (work, orders)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (ShardHandle { arrivals, places: Arc::default(), work, budget: Arc::new(Semaphore::new(1)) }, orders)
    }

    #[tokio::test]
    async fn when_the_shard_that_accepts_dies_the_next_one_does() {
        let ((gone, _), (dying, mut first), (alive, mut second)) = (shard(), shard(), shard());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let receiver = Receiver { reception: Arc::new(Nobody), patience: PAUSE, stop: stopped };
        let accepting =
            tokio::spawn(async move { accept(&Arc::from([gone, dying, alive]), listener, receiver).await });
        drop(first.recv().await.unwrap());
        let Work::Accept(Accepting { listener, done, .. }) = second.recv().await.unwrap() else { panic!() };
        assert_eq!(listener.local_addr().unwrap(), address);
        done.send(()).unwrap();
        accepting.await.unwrap().unwrap();
    }
}
