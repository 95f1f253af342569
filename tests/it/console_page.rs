//! The console page in a real browser, and the demo from start to end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster;
use crate::graphql::{DEMO, Graph};
use crate::live::Stream;
use crate::program::{Program, file};
use crate::walcast::{self, Walcast};

#[tokio::test]
async fn the_page_shows_what_is_written_through_sql() {
    let database = cluster::shared(18).database().await;
    let sql = database.connect().await;
    sql.batch_execute(
        "create table page_users (id bigint primary key, name text, email text, balance numeric)",
    )
    .await
    .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    let url = format!("http://{}", walcast.address());
    let script = file("tests/browser/page.test.mjs");
    let mut page = Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url)]);
    loop {
        let statement = match page.expect_line().await.as_str() {
            "joined" => {
                "insert into page_users values (9007199254740993, 'Ada <b>', 'ada@example.org', 12.50)"
            }
            "update" => "update page_users set name = 'Ada Lovelace' where id = 9007199254740993",
            "paused" => "insert into page_users select n, 'Paused ' || n from generate_series(1, 3) n",
            "delete" => "delete from page_users where id = 9007199254740993",
            "away" => "insert into page_users values (77, 'While away')",
            "flood" => "",
            "done" => break,
            other => panic!("the page says {other}"),
        };
        if statement.is_empty() {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            for start in (1000_i64..7000).step_by(100) {
                tick.tick().await;
                let flood = "insert into page_users select n, 'flood ' || n from generate_series($1::bigint, $1 + 99) n";
                sql.execute(flood, &[&start]).await.unwrap();
            }
        } else {
            sql.batch_execute(statement).await.unwrap();
        }
        page.say("wrote").await;
    }
    page.finish().await;
}

#[tokio::test]
async fn the_page_shows_a_live_query_with_what_changed_and_what_made_it_run() {
    let graph = Graph::serve(15, DEMO, &[("WALCAST__GRAPHQL__LIVE_EXTENSIONS", "true")]).await;
    drop(Stream::live(&graph, "query @live { auctions { id } }").await);
    let url = format!("http://{}", graph.walcast.address());
    let script = file("tests/browser/live.test.mjs");
    let mut page = Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url)]);
    loop {
        let statement = match page.expect_line().await.as_str() {
            "bid" => "insert into bids (auction_id, amount) values (1, 20)",
            "title" => "update auctions set title = 'A <b>table</b>' where id = 1",
            "other" => "insert into bids (auction_id, amount) values (2, 500)",
            "delete" => "delete from bids where auction_id = 1 and amount = 20",
            "done" => break,
            other => panic!("the page says {other}"),
        };
        graph.client.batch_execute(statement).await.unwrap();
        page.say("wrote").await;
    }
    page.finish().await;
}

#[tokio::test]
async fn the_demo_serves_its_page_ends_cleanly_and_starts_again() {
    // Of its own, so that the script finds this demo and not that of another test.
    let temporary = std::env::temp_dir().join(format!("walcast-demo-page-{}", std::process::id()));
    std::fs::create_dir_all(&temporary).unwrap();
    for _ in 0..2 {
        let mut command = walcast::command();
        command
            .arg("demo")
            .env("WALCAST__LISTEN", "127.0.0.1:0")
            .env("WALCAST__LOG__FORMAT", "json")
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped());
        let (mut demo, mut output) = Walcast::start_with_output(command);
        demo.wait_for_status("live").await;
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            assert_ne!(output.read_line(&mut greeting).unwrap(), 0, "the demo ended: {greeting}");
        }
        let directory =
            greeting.lines().find_map(|line| line.split("a database cluster in ").nth(1)).unwrap();
        let directory = std::path::PathBuf::from(directory.trim());
        assert!(directory.exists(), "{}", directory.display());
        for part in ["http://localhost:", "psql postgres://", "realtime:public:users", "insert into users"] {
            assert!(greeting.contains(part), "the greeting lacks {part}: {greeting}");
        }
        let url = format!("http://{}", demo.address());
        let script = file("tests/browser/demo.test.mjs");
        Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url)]).finish().await;
        let mut bids = Command::new(file("scripts/simulate_bids.sh"));
        bids.args(["-n", "2", "-d", "0"]).env_remove("DATABASE_URL").env("TMPDIR", &temporary);
        let bids = bids.output().unwrap();
        assert!(bids.status.success(), "the demo's database was not found: {bids:?}");
        demo.signal(Signal::SIGINT);
        assert!(demo.wait().success());
        assert!(!directory.exists(), "{} was left behind", directory.display());
    }
    std::fs::remove_dir_all(temporary).unwrap();
}

#[tokio::test]
async fn a_stop_while_the_demo_still_starts_leaves_nothing_behind() {
    let mut command = walcast::command();
    command.arg("demo").env("WALCAST__LISTEN", "127.0.0.1:0").env("TMPDIR", std::env::temp_dir());
    let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap();
    let directory = first.split("a database cluster in ").nth(1).unwrap().trim().to_owned();
    kill(Pid::from_raw(i32::try_from(demo.id()).unwrap()), Signal::SIGINT).unwrap();
    while lines.next().is_some() {}
    assert!(demo.wait().unwrap().success());
    assert!(!std::path::Path::new(&directory).exists(), "{directory} was left behind");
}
