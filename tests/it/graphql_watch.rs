//! The watch over the catalog: DDL is told within seconds, and what may be served from a database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use walcast::demo::cluster::Shutdown;
use walcast::graphql::catalog::Catalog;
use walcast::postgres::schema_watch::{SchemaWatch, Sight};
use walcast::postgres::session::Session;
use walcast::readiness::Readiness;

use crate::walcast::PATIENCE;
use crate::{cluster, postgres_binaries};

/// A running watch; it ends when dropped.
struct Watching {
    sights: mpsc::UnboundedReceiver<Sight>,
    nudge: Arc<Notify>,
    task: JoinHandle<()>,
    _stream: watch::Sender<Readiness>,
}

impl Watching {
    fn start(asked: &str, role: Option<&str>, followed: &str, loopback: bool) -> Self {
        let nudge = Arc::new(Notify::new());
        let followed = Session::new(&followed.parse().unwrap(), "walcast-sql");
        let schemas = vec!["public".to_owned()];
        let asked = asked.parse().unwrap();
        let watch =
            SchemaWatch::new(&asked, role, followed, schemas, "walcast", loopback, Arc::clone(&nudge));
        let (tell, sights) = mpsc::unbounded_channel();
        let (stream, readiness) = watch::channel(Readiness::live());
        let task = tokio::spawn(watch.run(readiness, move |sight| _ = tell.send(sight)));
        Self { sights, nudge, task, _stream: stream }
    }

    async fn next(&mut self) -> Sight {
        tokio::time::timeout(PATIENCE, self.sights.recv()).await.expect("nothing is told").unwrap()
    }

    async fn catalog(&mut self) -> (Arc<Catalog>, Result<(), String>) {
        match self.next().await {
            Sight::Catalog { catalog, live, .. } => (catalog, live),
            other => panic!("{other:?}"),
        }
    }

    async fn version(&mut self) -> String {
        match self.next().await {
            Sight::Catalog { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    /// The next catalog, whatever was wrong before: reasons change while a server comes up. Whether live
    /// queries are sound.
    async fn back(&mut self) -> Result<(), String> {
        loop {
            match self.next().await {
                Sight::Unreachable(_) => {}
                Sight::Catalog { live, .. } => return live,
                other @ Sight::Forbidden(_) => panic!("{other:?}"),
            }
        }
    }

    /// The next catalog's relations.
    async fn relations(&mut self) -> Vec<String> {
        self.catalog().await.0.relations.iter().map(|one| one.name.clone()).collect()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn ddl_is_told_within_seconds_and_nothing_else() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute("create publication walcast for all tables").await.unwrap();
        let mut watching = Watching::start(&database.url(), None, &database.url(), true);
        assert_eq!(watching.relations().await, [""; 0]);
        client.batch_execute("create table a (id int primary key)").await.unwrap();
        let (catalog, live) = watching.catalog().await;
        assert_eq!((catalog.relations[0].name.as_str(), live), ("a", Ok(())), "{major}");
        client.batch_execute("comment on table a is 'x'").await.unwrap();
        assert_eq!(watching.catalog().await.0.relations[0].comment.as_deref(), Some("x"));
        // What changes the table and not its description is not told: the next that is told is what follows it.
        client.batch_execute("insert into a values (1); truncate a").await.unwrap();
        watching.nudge.notify_one();
        client.batch_execute("create table b (id int)").await.unwrap();
        assert_eq!(watching.relations().await, ["a", "b"], "{major}");
    }
}

#[tokio::test]
async fn a_nudge_has_it_look_at_once() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let mut watching = Watching::start(&database.url(), None, &database.url(), true);
    watching.relations().await;
    let before = Instant::now();
    for number in 1..=5 {
        client.batch_execute(&format!("create table t{number} (id int)")).await.unwrap();
        watching.nudge.notify_one();
        assert_eq!(watching.relations().await.len(), number);
    }
    // By itself it looks every two seconds.
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let mut own = cluster::own(&postgres_binaries::of_major(18), &[]);
    let url = own.url("postgres");
    cluster::connect(&url).await.batch_execute("create publication walcast for all tables").await.unwrap();
    let mut watching = Watching::start(&url, None, &url, true);
    watching.relations().await;
    own.stop_server(Shutdown::Fast).unwrap();
    let Sight::Unreachable(reason) = watching.next().await else { panic!("it was told otherwise") };
    assert!(!reason.is_empty());
    own.start_server().unwrap();
    assert_eq!(watching.back().await, Ok(()));
    cluster::connect(&url).await.batch_execute("create table a (id int)").await.unwrap();
    assert_eq!(watching.relations().await, ["a"]);

    // It comes back as a standby, and becomes a primary again while the connection lasts.
    own.stop_server(Shutdown::Fast).unwrap();
    std::fs::write(own.directory().join("data/standby.signal"), "").unwrap();
    own.start_server().unwrap();
    let live = watching.back().await;
    assert!(live.as_ref().is_err_and(|why| why.contains("standby")), "{live:?}");
    cluster::connect(&url).await.batch_execute("select pg_promote()").await.unwrap();
    assert_eq!(watching.catalog().await.1, Ok(()));
}

#[tokio::test]
async fn a_role_above_row_security_is_refused_where_other_machines_reach_the_server() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let role = format!("web_{}", database.name());
    client.batch_execute(&format!("create table a (id int); create role {role} bypassrls")).await.unwrap();
    client.batch_execute(&format!("grant select on a to {role}")).await.unwrap();
    let url = database.url();
    let mut as_login = Watching::start(&url, None, &url, false);
    let Sight::Forbidden(reason) = as_login.next().await else { panic!() };
    for word in ["\"postgres\" is a superuser", "CREATE ROLE", "GRANT", "WALCAST__GRAPHQL__ROLE", "127.0.0.1"]
    {
        assert!(reason.contains(word), "{reason}");
    }
    let mut as_role = Watching::start(&url, Some(&role), &url, false);
    let Sight::Forbidden(reason) = as_role.next().await else { panic!() };
    assert!(reason.contains(&format!("\"{role}\" has BYPASSRLS")), "{reason}");
    // Mended, it is served, and only to the role's rights.
    client
        .batch_execute(&format!("create table hidden (id int); alter role {role} nobypassrls"))
        .await
        .unwrap();
    assert_eq!(as_role.relations().await, ["a"]);
    client.batch_execute(&format!("grant select on hidden to {role}")).await.unwrap();
    assert_eq!(as_role.relations().await, ["a", "hidden"]);
    // On loopback nobody is refused.
    assert_eq!(Watching::start(&url, None, &url, true).relations().await, ["a", "hidden"]);
    drop((as_login, as_role));
    let drop_role = format!("drop owned by {role}; drop role {role}");
    crate::walcast::until("the role is free", async || client.batch_execute(&drop_role).await.is_ok()).await;
}

#[tokio::test]
async fn live_queries_need_the_database_whose_changes_are_read() {
    let here = cluster::shared(18).database().await;
    let beside = cluster::shared(18).database().await;
    let elsewhere = cluster::shared(15).database().await;
    for (followed, reason) in [(&beside, "another database"), (&elsewhere, "another server")] {
        let mut watching = Watching::start(&here.url(), None, &followed.url(), true);
        let live = watching.catalog().await.1;
        assert!(live.as_ref().is_err_and(|why| why.contains(reason)), "{live:?}");
    }
    let gone = "postgres://nobody@127.0.0.1:1/none";
    let live = Watching::start(&here.url(), None, gone, true).catalog().await.1;
    assert!(live.is_err_and(|why| why.contains("not known")));
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_named() {
    let database = cluster::shared(18).database().await;
    let mut watching = Watching::start(&database.url(), Some("nobody has this"), &database.url(), true);
    let Sight::Unreachable(reason) = watching.next().await else { panic!() };
    assert!(reason.contains("nobody has this"), "{reason}");
}

#[tokio::test]
async fn what_changes_results_without_a_row_is_told_while_the_catalog_stays() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create publication walcast for all tables; create schema hidden;
                 create table a (id int primary key); create table b (id int);
                 alter table a enable row level security;
                 create function hidden.one() returns int language sql stable as 'select 1';
                 create view v as select id from a",
            )
            .await
            .unwrap();
        let mut watching = Watching::start(&database.url(), None, &database.url(), true);
        let Sight::Catalog { catalog: first, version, live: Ok(()), .. } = watching.next().await else {
            panic!()
        };
        let mut versions = vec![version];
        for change in [
            "create or replace function hidden.one() returns int language sql stable as 'select 2'",
            "create or replace view v as select id from a where id > 0",
            "create policy p on a using (id > 1)",
            "alter table a force row level security",
            "alter policy p on a using (id > 2)",
            "alter table b alter column id type int using id + 1",
        ] {
            // Neither of these is told, nor counted among what is.
            client
                .batch_execute(
                    "insert into a values (1); truncate a; create index on b (id); reindex table b; analyze",
                )
                .await
                .unwrap();
            watching.nudge.notify_one();
            client.batch_execute(change).await.unwrap();
            let Sight::Catalog { catalog, version, live: Ok(()), .. } = watching.next().await else {
                panic!()
            };
            assert!(catalog == first, "{change} on {major}");
            assert!(!versions.contains(&version), "{change} on {major}");
            versions.push(version);
        }
    }
}

#[tokio::test]
async fn who_writes_while_the_publication_changes_is_waited_for() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let (client, writer) = (database.connect().await, database.connect().await);
        client
            .batch_execute(
                "create table a (id int primary key); create table b (id int); create publication walcast",
            )
            .await
            .unwrap();
        let mut watching = Watching::start(&database.url(), None, &database.url(), true);
        watching.version().await;
        // What it writes now is not published, whenever it commits.
        writer.batch_execute("begin; insert into a values (1)").await.unwrap();
        client.batch_execute("alter publication walcast add table a").await.unwrap();
        watching.version().await;
        // Nothing is told while it writes on.
        client.batch_execute("create table c (id int)").await.unwrap();
        let Sight::Catalog { catalog, version, .. } = watching.next().await else { panic!() };
        assert_eq!(catalog.relations.len(), 3, "{major}");
        writer.batch_execute("commit").await.unwrap();
        let Sight::Catalog { catalog: same, version: another, .. } = watching.next().await else { panic!() };
        assert!(catalog == same && version != another, "{major}");
        // Told once.
        client.batch_execute("create table d (id int)").await.unwrap();
        assert_eq!(watching.relations().await, ["a", "b", "c", "d"], "{major}");
    }
}

#[tokio::test]
async fn without_the_publication_no_live_query_is_sound() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute("create table a (id int primary key)").await.unwrap();
    let mut watching = Watching::start(&database.url(), None, &database.url(), true);
    let live = watching.catalog().await.1;
    assert!(live.as_ref().is_err_and(|why| why.contains("publication")), "{live:?}");
    client.batch_execute("create publication walcast for all tables").await.unwrap();
    assert_eq!(watching.catalog().await.1, Ok(()));
    client.batch_execute("drop publication walcast").await.unwrap();
    assert!(watching.catalog().await.1.is_err());

    let own = cluster::own(&postgres_binaries::of_major(18), &[("wal_level", "replica")]);
    let url = own.url("postgres");
    cluster::connect(&url).await.batch_execute("create publication walcast for all tables").await.unwrap();
    let live = Watching::start(&url, None, &url, true).catalog().await.1;
    assert!(live.as_ref().is_err_and(|why| why.contains("wal_level is replica")), "{live:?}");
}
