//! A slot that is lost while it is read, or before: what `replication.on_slot_lost` makes of it.

use serde_json::{Value, json};
use tokio_postgres::Client;
use walcast::demo::cluster::Cluster;

use crate::live::Stream;
use crate::slot::{Slot, id, position};
use crate::socket::Socket;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

const TOPIC: &str = "realtime:public:t";

/// How a slot gets lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Dropped,
    /// By `max_slot_wal_keep_size`.
    GivenUp,
}

/// A server of one test with a table, and walcast on it.
struct World {
    cluster: Cluster,
    client: Client,
    slot: Slot,
}

impl World {
    async fn start(major: u16) -> Self {
        let settings = [("min_wal_size", "32MB"), ("wal_sender_timeout", "0"), ("autovacuum", "off")];
        let cluster = cluster::own(&postgres_binaries::of_major(major), &settings);
        let url = cluster.url("postgres");
        let client = cluster::connect(&url).await;
        client.batch_execute("create table t (id int primary key)").await.unwrap();
        let slot = Slot::new(cluster::connect(&url).await);
        Self { cluster, client, slot }
    }

    async fn serve(&self, policy: &str) -> Walcast {
        let walcast = self.spawn(policy);
        walcast.wait_for_status("live").await;
        walcast
    }

    fn spawn(&self, policy: &str) -> Walcast {
        let settings = [
            ("WALCAST__REPLICATION__SLOT", self.slot.name.as_str()),
            ("WALCAST__REPLICATION__ON_SLOT_LOST", policy),
        ];
        Walcast::spawn(&self.cluster.url("postgres"), &settings)
    }

    async fn lose(&self, loss: Loss, walcast: &Walcast) {
        match loss {
            Loss::Dropped => self.slot.drop_under_its_reader().await,
            Loss::GivenUp => {
                // While it cannot read, the log moves on.
                walcast.signal(nix::sys::signal::Signal::SIGSTOP);
                let read_on = async {
                    self.ended().await;
                    walcast.signal(nix::sys::signal::Signal::SIGCONT);
                };
                tokio::join!(self.give_up(), read_on);
            }
        }
    }

    /// Waits until Postgres has told the walsender to end. That one may not be able to before its last words are read,
    /// and Postgres waits for it.
    async fn ended(&self) {
        let client = cluster::connect(&self.cluster.url("postgres")).await;
        let ended = "select exists(select from pg_replication_slots where slot_name = $1 and wal_status = 'lost') \
                     or exists(select from pg_stat_activity where backend_type = 'checkpointer' \
                     and wait_event = 'ReplicationSlotDrop')";
        until("Postgres ends the walsender", async || {
            client.query_one(ended, &[&self.slot.name]).await.unwrap().get(0)
        })
        .await;
    }

    /// Has Postgres write more than a slot may keep.
    async fn give_up(&self) {
        let keep = |size: &'static str| async move {
            self.client
                .batch_execute(&format!("alter system set max_slot_wal_keep_size = {size}"))
                .await
                .unwrap();
            self.client.batch_execute("select pg_reload_conf()").await.unwrap();
        };
        keep("1").await;
        let lost = "select coalesce(wal_status, '') = 'lost' from pg_replication_slots where slot_name = $1";
        until("Postgres gives the slot up", async || {
            let write = "select pg_logical_emit_message(false, 'filler', repeat('x', 1000000)) from generate_series(1, 20)";
            self.client.batch_execute(&format!("{write}; select pg_switch_wal(); checkpoint")).await.unwrap();
            self.client.query_one(lost, &[&self.slot.name]).await.unwrap().get(0)
        })
        .await;
        keep("-1").await;
    }

    async fn insert(&self, id: i32) {
        self.client.execute("insert into t values ($1)", &[&id]).await.unwrap();
    }
}

async fn count(stream: &mut Stream) -> Value {
    stream.data().await["ts"].as_array().unwrap().len().into()
}

#[tokio::test]
async fn a_slot_that_is_lost_while_it_is_read_is_made_anew_and_everybody_is_told() {
    for &major in postgres_binaries::majors() {
        for loss in [Loss::Dropped, Loss::GivenUp] {
            let world = World::start(major).await;
            let walcast = world.serve("recreate").await;
            until("there is a schema", async || {
                walcast.get("/graphql?query=%7B__typename%7D").await.0 == 200
            })
            .await;
            let mut stream = Stream::followed(&walcast, "query @live { ts { id } }").await;
            assert_eq!(count(&mut stream).await, 0);
            let mut socket = Socket::connect(&walcast).await;
            let before = position(&socket.joined(TOPIC, json!({})).await);

            world.lose(loss, &walcast).await;
            // Whether this is in the new slot depends on who is faster: the live query runs again in any case.
            world.insert(1).await;
            socket.interrupted(TOPIC).await;
            until("the live query has run again", async || count(&mut stream).await == 1).await;
            walcast.wait_for_status("live").await;
            let after = position(&socket.joined(TOPIC, json!({})).await);
            assert!(after > before, "{loss:?}: {before} {after}");
            world.insert(2).await;
            assert_eq!(id(&socket.change().await), 2);
            assert!(walcast.stop().success());
        }
    }
}

/// On one major alone: it waits as long as an operator does.
#[tokio::test]
async fn a_slot_that_is_lost_while_it_is_read_stops_the_stream_until_somebody_decides() {
    for (loss, words, mending) in [
        (Loss::Dropped, "was dropped while this server was reading it", ""),
        (
            Loss::GivenUp,
            "is lost: Postgres gave it up (max_slot_wal_keep_size)",
            "select pg_drop_replication_slot($1)",
        ),
    ] {
        let world = World::start(18).await;
        let walcast = world.serve("stop").await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined(TOPIC, json!({})).await;
        world.lose(loss, &walcast).await;
        walcast.wait_for_log(words).await;
        walcast.wait_for_status("reconnecting").await;
        let ready = walcast.ready().await;
        assert_eq!(ready["http"], 503);
        let reason = ready["reason"].as_str().unwrap();
        for word in [words, "replication.on_slot_lost", &world.slot.name] {
            assert!(reason.contains(word), "{word:?} in {reason}");
        }
        // Nothing was created behind the operator's back, who now makes it by hand.
        if !mending.is_empty() {
            world.client.execute(mending, &[&world.slot.name]).await.unwrap();
        }
        assert_eq!(world.slot.confirmed().await, walcast::lsn::Lsn(0));
        let create = "select pg_create_logical_replication_slot($1, 'pgoutput')";
        world.client.execute(create, &[&world.slot.name]).await.unwrap();
        socket.interrupted(TOPIC).await;
        walcast.wait_for_status("live").await;
        socket.joined(TOPIC, json!({})).await;
        world.insert(1).await;
        assert_eq!(id(&socket.change().await), 1);
    }
}

#[tokio::test]
async fn a_slot_that_was_lost_before_the_start_ends_it_or_is_made_anew() {
    for &major in postgres_binaries::majors() {
        let world = World::start(major).await;
        assert!(world.serve("stop").await.stop().success());
        world.give_up().await;
        let printed = world.spawn("stop").gives_up();
        for word in
            ["is lost", "max_slot_wal_keep_size", "pg_drop_replication_slot", "replication.on_slot_lost"]
        {
            assert!(printed.contains(word), "{word:?} in {printed}");
        }
        let walcast = world.serve("recreate").await;
        walcast.wait_for_log("it is made anew").await;
        let mut socket = Socket::connect(&walcast).await;
        socket.joined(TOPIC, json!({})).await;
        world.insert(1).await;
        assert_eq!(id(&socket.change().await), 1);
        assert!(walcast.stop().success());
        // One that is missing is created, whatever the setting says.
        world.slot.drop_under_its_reader().await;
        assert!(world.serve("stop").await.stop().success());
    }
}
