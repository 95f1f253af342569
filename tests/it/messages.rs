//! Logical messages: the functions of `sql/walcast.sql`, and how what they write comes out of the log.

use std::collections::BTreeSet;

use tokio_postgres::{Client, SimpleQueryMessage};
use walcast::change::Transaction;
use walcast::change::assembler::Passed;
use walcast::change::message::{Content, Sent};
use walcast::lsn::{Cursor, Lsn};

use crate::slot::{Slot, as_role};
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

const FUNCTIONS: &str = include_str!("../../sql/walcast.sql");

const TABLE: &str = "create table t (id int primary key, v text); create publication walcast for table t";

async fn installed(client: &Client) {
    client.batch_execute(FUNCTIONS).await.unwrap();
}

/// Each entry by itself: what stands before a BEGIN, or behind a COMMIT, would be one transaction with its neighbours.
async fn each(client: &Client, statements: impl IntoIterator<Item = impl AsRef<str>>) {
    for statement in statements {
        client
            .batch_execute(statement.as_ref())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", statement.as_ref()));
    }
}

/// What one piece says in the order in which it is acted upon: its rows' identifiers, then its messages.
fn said(piece: &Transaction) -> Vec<String> {
    let rows = piece.changes.iter().map(|change| {
        let walcast::change::Action::Insert { new } = &change.action else { panic!("{change:?}") };
        let Some(walcast::pgoutput::Column::Text(id)) = new.columns().next() else { panic!("{change:?}") };
        format!("row {}", String::from_utf8_lossy(id))
    });
    let messages = piece.messages.iter().map(|message| match &message.content {
        Content::Invalidate(keys) => keys.join(" "),
        Content::Mark(name) => name.to_string(),
        Content::Send(sent) => {
            let Sent { topic, event, payload, private } = &**sent;
            format!("{topic} {event} {} {private}", String::from_utf8_lossy(payload))
        }
    });
    rows.chain(messages).collect()
}

fn all_said(pieces: &[Transaction]) -> Vec<Vec<String>> {
    pieces.iter().map(said).filter(|said| !said.is_empty()).collect()
}

/// The SQLSTATE of a statement that must fail.
async fn fails(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().unwrap_or_else(|| panic!("{error}")).code().to_owned()
}

#[tokio::test]
async fn what_the_functions_write_is_read_in_order_and_only_if_it_was_committed() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        installed(&client).await;
        installed(&client).await;
        client.batch_execute(&format!("begin; {FUNCTIONS}; commit")).await.unwrap();
        let slot = Slot::created(database.connect().await).await;
        let statements = [
            "select walcast.invalidate('Auction:123')",
            "begin;
               select walcast.invalidate('K:first', 'Query.auction(id:\"1\")');
               insert into t values (1);
               select walcast.send('{\"left\": 10.50, \"more\": [null]}', 'tick', 'countdown');
               insert into t values (2);
             commit",
            "begin; insert into t values (-1); select walcast.invalidate('K:never'); rollback",
            "begin;
               savepoint a; select walcast.invalidate('K:never'); rollback to a;
               savepoint b; select walcast.send('1', 'kept', 'b'); release b; insert into t values (3);
             commit",
            "select walcast.send('null', 'e', 'named', private => true, transactional => true)",
            "select walcast.send(payload => '\"x\"', topic => 'named', event => 'e', private => false)",
            "do $$ begin
               perform walcast.invalidate(variadic array[]::text[]);
               perform walcast.invalidate(variadic array(select 'K:' || i from generate_series(1, 2001) i));
             end $$",
        ];
        each(&client, statements).await;
        let pieces = slot.pieces("walcast", true, Passed::default()).await;
        let said = all_said(&pieces);
        let expected: [&[&str]; 5] = [
            &["Auction:123"],
            &[
                "row 1",
                "row 2",
                "K:first Query.auction(id:\"1\")",
                "countdown tick {\"left\": 10.50, \"more\": [null]} false",
            ],
            &["row 3", "b kept 1 false"],
            &["named e null true"],
            &["named e \"x\" false"],
        ];
        assert_eq!(said[..5], expected, "on {major}");
        let keys: Vec<&str> = said[5].iter().flat_map(|keys| keys.split(' ')).collect();
        assert_eq!(said[5].len(), 3, "a thousand keys at once");
        assert!(keys.into_iter().map(str::to_owned).eq((1..=2001).map(|i| format!("K:{i}"))));
        assert!(pieces.iter().all(|piece| piece.xid != 0 && piece.end.is_some()));
        // Between the two rows.
        let middle = &pieces.iter().find(|piece| piece.changes.len() == 2).unwrap();
        assert!(middle.messages[0].cursor < middle.changes[0].cursor);
        assert!(middle.changes[0].cursor < middle.messages[1].cursor);
        assert!(middle.messages[1].cursor < middle.changes[1].cursor);
    }
}

#[tokio::test]
async fn a_prepared_transaction_speaks_when_it_is_committed() {
    let cluster = cluster::own(&postgres_binaries::of_major(18), &[("max_prepared_transactions", "5")]);
    let url = cluster.url("postgres");
    let client = cluster::connect(&url).await;
    client.batch_execute(TABLE).await.unwrap();
    installed(&client).await;
    let slot = Slot::created(cluster::connect(&url).await).await;
    for name in ["kept", "gone"] {
        client
            .batch_execute(&format!(
                "begin; select walcast.invalidate('K:{name}'); prepare transaction '{name}'"
            ))
            .await
            .unwrap();
    }
    client.batch_execute("insert into t values (1)").await.unwrap();
    client.batch_execute("rollback prepared 'gone'").await.unwrap();
    client.batch_execute("commit prepared 'kept'").await.unwrap();
    let pieces = slot.pieces("walcast", true, Passed::default()).await;
    assert_eq!(all_said(&pieces), [["row 1"], ["K:kept"]]);
}

/// A message's LSN is its end, and there the next row or commit starts. Whatever meets there, rows are called the same
/// whether messages are decoded or not, and everything has a name of its own.
#[tokio::test]
async fn messages_shift_no_row_and_share_no_cursor() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        installed(&client).await;
        let slot = Slot::created(database.connect().await).await;
        each(&client, MEETINGS).await;
        let rows = |pieces: &[Transaction]| -> Vec<Cursor> {
            pieces.iter().flat_map(|piece| &piece.changes).map(|change| change.cursor).collect()
        };
        let pieces = slot.pieces("walcast", true, Passed::default()).await;
        let without = slot.pieces("walcast", false, Passed::default()).await;
        assert_eq!(rows(&pieces), rows(&without));
        let lsns: Vec<Lsn> = rows(&pieces).into_iter().map(|cursor| cursor.change).collect();
        let messages = || pieces.iter().flat_map(|piece| &piece.messages);
        let met = messages().filter(|message| lsns.contains(&Lsn(message.cursor.change.0 + 1))).count();
        assert!(met >= 2, "rows follow messages immediately, else this shows nothing: {met}");
        let commits: Vec<Lsn> = pieces.iter().map(|piece| piece.commit).collect();
        let met = messages().filter(|message| commits.contains(&Lsn(message.cursor.change.0 + 1))).count();
        assert!(met >= 2, "commits follow messages immediately, else this shows nothing: {met}");
        let cursors: Vec<Cursor> =
            rows(&pieces).into_iter().chain(messages().map(|message| message.cursor)).collect();
        assert_eq!(cursors.iter().collect::<BTreeSet<_>>().len(), cursors.len());
        assert!(pieces.iter().map(|piece| piece.commit).is_sorted_by(|a, b| a < b), "pieces are in order");
    }
}

/// Everything that was seen to put a message beside a row or a commit of the same LSN.
const MEETINGS: [&str; 6] = [
    "begin; select walcast.invalidate('K:a'); insert into t values (1); select walcast.invalidate('K:b'); commit",
    "begin; insert into t values (2); savepoint s; select walcast.invalidate('K:c'); release s;
       insert into t values (3); savepoint u; insert into t values (4); release u; commit",
    "begin; insert into t values (5); select walcast.invalidate('K:d');
       select walcast.send('1', 'e', 'at once', transactional => false); commit",
    "select walcast.send('2', 'e', 'alone', transactional => false)",
    "begin; insert into t values (-1); select walcast.send('3', 'e', 'although', transactional => false); rollback",
    "begin; savepoint s; select walcast.invalidate('K:e'); release s; select walcast.invalidate('K:f'); commit",
];

#[tokio::test]
async fn wherever_a_stream_is_cut_everything_is_handed_over_once() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        installed(&client).await;
        let slot = Slot::created(database.connect().await).await;
        each(&client, MEETINGS).await;
        // Large enough for pieces to end anywhere, and for some to end at a row whose neighbour in the log, a message of
        // a subtransaction, comes behind it in the stream.
        let large =
            "begin; insert into t values (100, repeat('x', 300000)); select walcast.invalidate('K:g');
             select walcast.send(to_jsonb(repeat('y', 300000)), 'e', 'large');
             do $$ begin for i in 1001..1400 loop
               begin perform walcast.invalidate('K:' || i); exception when others then raise; end;
               insert into t values (i, repeat('z', 1900));
             end loop; end $$; commit";
        client.batch_execute(large).await.unwrap();
        let whole = slot.pieces("walcast", true, Passed::default()).await;
        let everything = all_said(&whole).concat();
        assert!(whole.iter().filter(|piece| piece.end.is_none()).count() >= 4, "some are cut");
        let late = whole.windows(2).filter(|two| {
            let (row, message) = (two[0].changes.last(), two[1].messages.first());
            row.zip(message).is_some_and(|(row, message)| message.cursor < row.cursor)
        });
        assert!(late.count() >= 1, "a message comes behind its neighbour, else this shows little");
        assert!(whole.iter().any(|piece| piece.xid == 0 && piece.changes.is_empty()));
        let mut passed = Passed::default();
        for (place, piece) in whole.iter().enumerate() {
            passed.pass(piece);
            let rest = slot.pieces("walcast", true, passed).await;
            let seen = all_said(&whole[..=place]).concat();
            let told = [seen, all_said(&rest).concat()].concat();
            // The payloads are too large to be shown.
            assert!(told == everything, "cut behind piece {place} on {major}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_or_name_is_refused_where_it_is_written() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        installed(&client).await;
        for keys in [
            "''",
            "'K:1', ''",
            "null",
            "variadic null",
            "e'K:a\\nb'",
            "e'K:\\x7f'",
            "'K:' || repeat('ü', 511) || 'a'",
            "'K'",
            "'K:'",
            "'1:K'",
            "'K x:1'",
            "'Query.'",
            "'Query.a:1'",
            "'Query.a()'",
            "'Query.a(id:1)'",
        ] {
            assert_eq!(
                fails(&client, &format!("select walcast.invalidate({keys})")).await,
                "22023",
                "{keys}"
            );
        }
        for keys in
            ["'K:' || repeat('ü', 511)", "'_1:a b:ü'", "'Query.a'", "'Query.a(b:\"1\",c:\"\")'", "'Query:1'"]
        {
            client.batch_execute(&format!("select walcast.invalidate({keys})")).await.expect(keys);
        }
        for arguments in ["'1', '', 't'", "'1', 'e', null", "'1', 'e', repeat('t', 1025)", "'1', e'\\t', 't'"]
        {
            assert_eq!(
                fails(&client, &format!("select walcast.send({arguments})")).await,
                "22023",
                "{arguments}"
            );
        }
        assert_eq!(fails(&client, "select walcast.send(null, 'e', 't')").await, "22004");
        assert_eq!(fails(&client, "select walcast.send('1', 'e', 't', null)").await, "22004");
        let longest =
            |bytes: usize| format!("select walcast.send(to_jsonb(repeat('x', {bytes} - 2)), 'e', 't')");
        client.batch_execute(&longest(1024 * 1024)).await.unwrap();
        assert_eq!(fails(&client, &longest(1024 * 1024 + 1)).await, "54000");
    }
}

#[tokio::test]
async fn only_whom_the_owner_lets_in_may_speak_and_nobody_forges_after_the_revoke() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        installed(&client).await;
        let (app, other) = (format!("app_{}", database.name()), format!("other_{}", database.name()));
        // As the heading of the file says it.
        let revoke = FUNCTIONS.split("ends it:\n--\n").nth(1).unwrap().split("\n--\n").next().unwrap();
        let revoke = revoke.replace("--    ", "");
        assert!(revoke.contains("do $$") && revoke.ends_with("$$;"), "{revoke}");
        client
            .batch_execute(&format!(
                "create role {app} login password 'p'; create role {other} login password 'p';
                 grant usage on schema walcast to {app};
                 grant execute on function walcast.invalidate(text[]) to {app};
                 grant execute on function walcast.send(jsonb, text, text, boolean, boolean) to {app}"
            ))
            .await
            .unwrap();
        let as_app = cluster::connect(&as_role(&database.url(), &app, "p")).await;
        let as_other = cluster::connect(&as_role(&database.url(), &other, "p")).await;
        let forge = "select pg_logical_emit_message(true, 'walcast.invalidate', '[\"a\"]')";
        as_other.batch_execute(forge).await.unwrap();
        client.batch_execute(&revoke).await.unwrap();
        for forged in [
            forge,
            "select pg_logical_emit_message(false, 'walcast.send', '\\x00'::bytea)",
            "select walcast.invalidate('K:a')",
            "select walcast.send('1', 'e', 't')",
        ] {
            assert_eq!(fails(&as_other, forged).await, "42501", "{forged} on {major}");
        }
        assert_eq!(fails(&as_app, forge).await, "42501");
        // Whatever stands in the caller's search path.
        as_app
            .batch_execute(
                "create temp table pg_class (); create function pg_temp.convert_to(text, text) returns bytea
                   language sql as $$ select 'forged'::bytea $$;
                 set search_path = pg_temp, public;
                 select walcast.invalidate('K:a'); select walcast.send('1', 'e', 't', transactional => false)",
            )
            .await
            .unwrap();
        // Installing again takes away nothing that was granted.
        installed(&client).await;
        as_app.batch_execute("select walcast.invalidate('K:a')").await.unwrap();
        drop((as_app, as_other));
        client
            .batch_execute(&format!(
                "drop owned by {app}; drop owned by {other}; drop role {app}; drop role {other}"
            ))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn nothing_is_installed_into_the_schema_of_another_role() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    let mallory = format!("mallory_{}", database.name());
    client
        .batch_execute(&format!("create role {mallory}; create schema walcast authorization {mallory}"))
        .await
        .unwrap();
    assert_eq!(fails(&client, FUNCTIONS).await, "42501");
    client.batch_execute(&format!("rollback; drop owned by {mallory}; drop role {mallory}")).await.unwrap();
    installed(&client).await;
}

#[tokio::test]
async fn another_encoding_of_the_server_is_no_matter() {
    let database = cluster::shared(18).database_with("encoding 'LATIN1' template template0 locale 'C'").await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    installed(&client).await;
    let slot = Slot::created(database.connect().await).await;
    client
        .batch_execute("select walcast.invalidate('K:Größe'), walcast.send('{\"ä\": \"ö\"}', 'ü', 'ß')")
        .await
        .unwrap();
    let pieces = slot.pieces("walcast", true, Passed::default()).await;
    assert_eq!(all_said(&pieces), [["K:Größe", "ß ü {\"ä\": \"ö\"} false"]]);
}

/// What is not on disk is not decoded, and a quiet server is in no hurry to write it.
#[tokio::test]
async fn what_is_sent_at_once_is_flushed_at_once() {
    for &major in postgres_binaries::majors() {
        // Others must not write meanwhile.
        let cluster = cluster::own(&postgres_binaries::of_major(major), &[("wal_writer_delay", "10s")]);
        let client = cluster::connect(&cluster.url("postgres")).await;
        installed(&client).await;
        client.batch_execute("select walcast.send('1', 'e', 't', transactional => false)").await.unwrap();
        let sql = "select pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()";
        let flushed: bool = client.query_one(sql, &[]).await.unwrap().get(0);
        assert!(flushed, "on {major}");
    }
}

/// The cursors of the messages that a server has acted upon, as its log tells them.
fn acted_upon(walcast: &Walcast) -> Vec<Cursor> {
    let entries = walcast.log();
    let entries = entries.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told = entries.filter(|entry| {
        entry["message"] == "keys are invalidated" || entry["message"] == "something is sent"
    });
    told.map(|entry| entry["cursor"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_session_that_is_killed_again_and_again_loses_no_message_and_repeats_none() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(TABLE).await.unwrap();
        installed(&client).await;
        let (slot, kept) =
            (Slot::new(database.connect().await), Slot::created(database.connect().await).await);
        let settings = [
            ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
            ("WALCAST__LOG__FILTER", "walcast=debug"),
            ("WALCAST__WINDOW__BYTES", "0"),
        ];
        let walcast = Walcast::serve(&database, &settings).await;
        for round in 0..4 {
            let meetings = |half| {
                MEETINGS.map(|statement| statement.replace("values (", &format!("values ({round}{half}0 + ")))
            };
            each(&client, meetings(1)).await;
            slot.terminate().await;
            each(&client, meetings(2)).await;
        }
        let pieces = kept.pieces("walcast", true, Passed::default()).await;
        let expected: Vec<_> =
            pieces.iter().flat_map(|piece| &piece.messages).map(|message| message.cursor).collect();
        assert_eq!(expected.len(), 8 * 9);
        until("every message has come", async || acted_upon(&walcast).len() >= expected.len()).await;
        assert_eq!(acted_upon(&walcast), expected, "on {major}");
        // All of it is acknowledged in the end, and then does not come again.
        assert!(walcast.stop().success());
        assert!(slot.confirmed().await >= pieces.last().unwrap().end.unwrap());
        let successor = Walcast::serve(&database, &settings).await;
        client.batch_execute("select walcast.invalidate('K:last')").await.unwrap();
        until("the next message has come", async || !acted_upon(&successor).is_empty()).await;
        assert!(acted_upon(&successor)[0] > *expected.last().unwrap());
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_comes_again_to_a_successor() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    installed(&client).await;
    let slot = Slot::new(database.connect().await);
    let settings = [
        ("WALCAST__REPLICATION__SLOT", slot.name.as_str()),
        ("WALCAST__LOG__FILTER", "walcast=debug"),
        ("WALCAST__WINDOW__BYTES", "0"),
    ];
    let walcast = Walcast::serve(&database, &settings).await;
    walcast.signal(nix::sys::signal::Signal::SIGKILL);
    client
        .batch_execute(
            "select walcast.send('1', 'e', 't', transactional => false); select walcast.invalidate('K:a')",
        )
        .await
        .unwrap();
    let successor = Walcast::serve(&database, &settings).await;
    // It is live when all before was dispatched, though its log may be read a moment later. What was sent has nobody here who
    // could have asked for it.
    until("the message has come", async || !acted_upon(&successor).is_empty()).await;
    assert_eq!(acted_upon(&successor).len(), 1);
}

#[tokio::test]
async fn malformed_messages_of_ours_are_told_to_the_log_without_their_content() {
    let database = cluster::shared(15).database().await;
    let client = database.connect().await;
    client.batch_execute(TABLE).await.unwrap();
    installed(&client).await;
    let walcast = Walcast::serve(&database, &[("WALCAST__LOG__FILTER", "walcast=debug")]).await;
    let forged = [
        "true, 'walcast.invalidate', 'hunter2'",
        "false, 'walcast.invalidate', '[\"hunter2\", 1]'",
        "true, 'walcast.send', '{\"topic\":\"\",\"event\":\"hunter2\",\"payload\":\"hunter2\"}'",
        "true, 'walcast.invalidate', convert_to('[\"hunter2', 'UTF8') || '\\xff'::bytea || '\"]'::bytea",
        "true, 'walcast.invalidate', repeat(' ', 9000000) || 'hunter2'",
        "true, 'hunter2', 'hunter2'",
    ];
    for arguments in forged {
        client.simple_query(&format!("select pg_logical_emit_message({arguments})")).await.unwrap();
    }
    client.batch_execute("select walcast.invalidate('K:good')").await.unwrap();
    until("the good one has come", async || acted_upon(&walcast).len() == 1).await;
    let log = walcast.log();
    assert_eq!(log.matches("a logical message is ignored").count(), 5, "{log}");
    assert!(log.contains("a logical message of somebody else is ignored"));
    assert!(!log.contains("hunter2"), "{log}");
    assert_eq!(walcast.ready().await["status"], "live");
    let rows = client.simple_query("select 1").await.unwrap();
    assert!(matches!(rows[..], [SimpleQueryMessage::RowDescription(_), ..]));
}
