//! Half-open connections: packets vanish, and neither end is told.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use walcast::demo::cluster::Cluster;

use crate::faults::{Load, patiently};
use crate::network::Network;
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
            eprintln!("not run: a network takes the right to make one, which this user has not");
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
        let sql = "select pg_reload_conf(); create table t (id int primary key, body text)";
        client.simple_query(sql).await.unwrap();
        let url = cluster.url("postgres").replace("127.0.0.1", &network.database.outside.to_string());
        let mut command = network.command(env!("CARGO_BIN_EXE_walcast"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let everywhere = [("WALCAST__LISTEN", "0.0.0.0:0"), ("WALCAST__AUTH__MODE", "none")];
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
