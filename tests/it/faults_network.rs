//! Half-open connections: packets vanish, and neither end is told.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use walcast::demo::cluster::Cluster;

use crate::faults::{Load, patiently};
use crate::live::Stream;
use crate::network::Network;
use crate::socket::Socket;
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

/// A network with a database outside of it, a table there, and walcast in it.
struct Place {
    // Ended in this order.
    walcast: Walcast,
    cluster: Cluster,
    network: Network,
}

impl Place {
    /// `None`, which is said, where this user may not make one.
    async fn make(settings: &[(&str, &str)]) -> Option<Self> {
        let Some(network) = Network::make() else {
            crate::not_run::say("a network takes the right to make one, which this user has not");
            return None;
        };
        let listen = format!("127.0.0.1,{}", network.database.outside);
        let binaries = postgres_binaries::of_major(15);
        let cluster = cluster::own(&binaries, &[("listen_addresses", &listen), ("wal_sender_timeout", "4s")]);
        let from = network.database.inside;
        let rule = OpenOptions::new().append(true).open(cluster.directory().join("data/pg_hba.conf"));
        let rules = ["all", "replication"].map(|of| format!("host {of} all {from}/32 scram-sha-256\n"));
        rule.unwrap().write_all(rules.concat().as_bytes()).unwrap();
        let client = cluster::connect(&cluster.url("postgres")).await;
        // Whom other machines reach has a role for GraphQL.
        let sql = "select pg_reload_conf(); create table t (id int primary key, body text); \
                   create table items (id int primary key); create role web nologin; \
                   grant usage on schema public to web; grant select on items to web";
        client.simple_query(sql).await.unwrap();
        let url = cluster.url("postgres").replace("127.0.0.1", &network.database.outside.to_string());
        let mut command = network.command(env!("CARGO_BIN_EXE_walcast"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let everywhere = [
            ("WALCAST__LISTEN", "0.0.0.0:0"),
            ("WALCAST__AUTH__MODE", "none"),
            ("WALCAST__GRAPHQL__ROLE", "web"),
        ];
        let settings: Vec<_> = everywhere.into_iter().chain(settings.iter().copied()).collect();
        let mut walcast = Walcast::spawn_by(command, &url, &settings);
        walcast.reach_by(network.clients.inside.into());
        walcast.wait_for_status("live").await;
        Some(Self { walcast, cluster, network })
    }
}

#[tokio::test]
async fn a_database_whose_packets_vanish_is_taken_for_lost_and_costs_nothing_once_it_is_back() {
    let Some(Place { walcast, cluster, network }) = Place::make(&[]).await else { return };
    let at = watch::Sender::new(walcast.address());
    let mut load = Load::at(at.subscribe(), &cluster.url("postgres"), 20, Duration::from_millis(5)).await;
    load.rows(30).await;
    // Shorter than anybody's patience: nothing has to be begun again.
    network.database.cut();
    load.rows(30).await;
    network.database.mend();
    load.rows(30).await;
    // Longer.
    network.database.cut();
    let begun = Instant::now();
    patiently("it is noticed", &mut async || walcast.ready().await["status"] == "reconnecting").await;
    assert!(walcast.log().contains("the database is silent"), "{}", walcast.log());
    println!("it was noticed after {:?}", begun.elapsed());
    load.rows(30).await;
    network.database.mend();
    let begun = Instant::now();
    patiently("it is back", &mut async || walcast.ready().await["status"] == "live").await;
    println!("it was live {:?} after packets arrived again", begun.elapsed());
    load.rows(30).await;
    for client in load.all_is_told().await {
        let account = client.account();
        assert_eq!((account.joins, account.interrupted), (1, 0), "nobody was disturbed");
    }
}

/// Sends a request whose answer is awaited, or only begun.
async fn asked(walcast: &Walcast, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(walcast.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Sockets, streams, polls and sessions that take a seat, and subscribers of live queries.
async fn seats(walcast: &Walcast) -> (u64, u64) {
    let (_, text) = walcast.get("/metrics").await;
    let sample = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.expect(name).parse().unwrap()
    };
    (sample("walcast_sockets"), sample("walcast_live_subscribers"))
}

#[tokio::test]
async fn clients_whose_packets_vanish_leave_their_seats_by_whatever_way_they_came() {
    let settings = [("WALCAST__LIMITS__IDLE_SECONDS", "14"), ("WALCAST__LIMITS__VANISHED_SECONDS", "8")];
    let Some(Place { mut walcast, cluster, network }) = Place::make(&settings).await else { return };
    let mut socket = Socket::connect(&walcast).await;
    socket.joined("realtime:public:t", json!({})).await;
    let mut events = asked(&walcast, "/events?topic=realtime:public:t").await;
    events.read_u8().await.unwrap();
    // Nothing comes on these: nothing is sent that would have to be acknowledged.
    let mut quiet = asked(&walcast, "/events?topic=realtime:public:t:id=eq.0").await;
    quiet.read_u8().await.unwrap();
    let (_, answer) = walcast.get("/poll?topic=realtime:public:t:id=eq.0").await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let since = answer["position"].as_str().unwrap();
    let held = asked(&walcast, &format!("/poll?topic=realtime:public:t:id=eq.0&wait=60&since={since}")).await;
    let (_, answer) = walcast.get("/socket/longpoll?vsn=2.0.0").await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = answer["token"].as_str().unwrap();
    let polled = asked(&walcast, &format!("/socket/longpoll?vsn=2.0.0&token={token}")).await;
    walcast.wait_for_log("the GraphQL schema was read").await;
    let live = Stream::followed(&walcast, "query @live { items { id } }").await;
    // Whoever looks comes another way.
    walcast.reach_by(network.database.inside.into());
    patiently("all have their seats", &mut async || seats(&walcast).await == (5, 1)).await;
    network.clients.cut();
    let begun = Instant::now();
    let client = cluster::connect(&cluster.url("postgres")).await;
    client.batch_execute("insert into t values (1); insert into items values (1)").await.unwrap();
    patiently("all seats are free", &mut async || seats(&walcast).await == (0, 0)).await;
    println!("all seats were free {:?} after the last packet", begun.elapsed());
    drop((socket, events, quiet, held, polled, live));
}
