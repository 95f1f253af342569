//! The connections of GraphQL: bounds and time limits, roles and claims, what becomes of broken and abandoned
//! statements.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_postgres::Client;
use walcast::demo::cluster::Shutdown;
use walcast::operations::{Database as _, DatabaseError, Identity, Parameter, Reply, Step};
use walcast::postgres::pool::{Pool, PoolOptions};

use crate::cluster::{self, Database};
use crate::postgres_binaries;
use crate::proxy::Proxy;
use crate::walcast::{PATIENCE, until};

fn options() -> PoolOptions {
    PoolOptions { role: None, connections: 2, wait: PATIENCE, statement: PATIENCE }
}

fn pool(url: &str, options: PoolOptions) -> Pool {
    Pool::new(&url.parse().unwrap(), options).unwrap()
}

fn step(sql: &str, parameters: &[&str]) -> Step {
    let parameters = parameters.iter().map(|text| Parameter::Text(Some((*text).to_owned()))).collect();
    Step { sql: sql.into(), parameters }
}

fn identity(role: Option<&str>, claims: Option<&str>) -> Identity {
    Identity { role: role.map(str::to_owned), claims: claims.map(str::to_owned) }
}

async fn read(pool: &Pool, identity: &Identity, sql: &str) -> Result<String, DatabaseError> {
    let reply = pool.read(identity, step(sql, &[])).await?;
    Ok(reply.into_iter().next().flatten().unwrap_or_default())
}

async fn ask(pool: &Pool, sql: &str) -> Result<String, DatabaseError> {
    read(pool, &Identity::default(), sql).await
}

fn code(error: DatabaseError) -> (usize, String) {
    let DatabaseError::Refused { step, code, .. } = error else { panic!("{error:?}") };
    (step, code)
}

fn words(error: DatabaseError) -> String {
    let DatabaseError::Unavailable(words) = error else { panic!("{error:?}") };
    words
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Backends of the pool that run something.
const RUNNING: &str = "select count(*) from pg_stat_activity where datname = current_database() \
    and application_name = 'walcast-graphql' and state <> 'idle'";

/// A table whose rows belong to names, and roles that see their own: one for each call, with a login that may
/// become them and nothing else.
async fn with_policies(database: &Database) -> (String, String) {
    let role = format!("reader_{}_{}", database.name(), fastrand::u32(..));
    let client = database.connect().await;
    client
        .batch_execute(&format!(
            "create table notes (owner text, body text); insert into notes values ('ann', 'a'), ('bob', 'b'); \
             alter table notes enable row level security; create role {role}; grant select, insert on notes to {role}; \
             create policy own on notes to {role} using (owner = current_setting('request.jwt.claims')::json->>'sub'); \
             create role login_{role} login noinherit password 'x'; grant {role} to login_{role}; \
             revoke usage on schema public from public; grant usage on schema public to {role}"
        ))
        .await
        .unwrap();
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.set_username(&format!("login_{role}")).unwrap();
    url.set_password(Some("x")).unwrap();
    (url.into(), role)
}

async fn without_policies(database: &Database, role: &str) {
    let client = database.connect().await;
    let sql = format!("drop table notes; drop owned by {role}, login_{role}; drop role {role}, login_{role}");
    client.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn texts_go_in_and_out_as_they_are() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let pool = pool(&database.url(), options());
        let as_somebody = identity(None, Some("{}"));
        let both = Step {
            sql: "select $1::text, ($2::text)::int8::text, $1 || '!'".into(),
            parameters: vec![Parameter::Text(None), Parameter::Text(Some("12345678901234".to_owned()))],
        };
        for identity in [Identity::default(), as_somebody] {
            let reply = pool.read(&identity, both.clone()).await.unwrap();
            assert_eq!(reply, [None, Some("12345678901234".to_owned()), None]);
        }
        let error = pool.read(&Identity::default(), step("select $1::text", &["a\0b"])).await.unwrap_err();
        assert_eq!(code(error).1, "22021");
        for (sql, rows) in [
            ("select 'x'::text where false", "0 rows"),
            ("select 'x'::text from generate_series(1, 2)", "2 rows"),
        ] {
            let DatabaseError::Refused { message, .. } = ask(&pool, sql).await.unwrap_err() else { panic!() };
            assert!(message.contains(rows), "{message}");
        }
    }
}

#[tokio::test]
async fn a_read_is_one_statement_and_as_somebody_a_transaction_sent_at_once() {
    let database = cluster::shared(18).database().await;
    let relay = Relay::to(cluster::shared(18).cluster().port()).await;
    let pool = pool(&relay.url(&database.url()), PoolOptions { connections: 1, ..options() });
    let somebody = identity(None, Some(r#"{"sub": "ann"}"#));
    let sql = "select current_setting('request.jwt.claims')";
    read(&pool, &somebody, sql).await.unwrap();
    relay.sent.lock().unwrap().clear();
    ask(&pool, sql).await.unwrap();
    // Bind, Execute, Sync.
    assert_eq!(relay.messages(), "BES");
    // From the beginning of a transaction on nothing comes back until its end has been sent.
    relay.withhold.send_replace(true);
    relay.sent.lock().unwrap().clear();
    let answer = tokio::time::timeout(PATIENCE, read(&pool, &somebody, sql)).await;
    assert_eq!(answer.expect("everything is sent at once").unwrap(), r#"{"sub": "ann"}"#);
    assert_eq!(relay.messages(), "QBESBESQ");
}

/// A relay for one connection, which notes what the client sends, and can withhold what the server answers
/// between `begin` and `commit`.
struct Relay {
    port: u16,
    withhold: watch::Sender<bool>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let withhold = watch::Sender::new(false);
        let withholding = withhold.subscribe();
        let sent: Arc<Mutex<Vec<u8>>> = Arc::default();
        let noted = Arc::clone(&sent);
        tokio::spawn(async move {
            let (mut client_in, mut client_out) = listener.accept().await.unwrap().0.into_split();
            let stream = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut server_in, mut server_out) = stream.into_split();
            let open = watch::Sender::new(true);
            let mut opened = open.subscribe();
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                loop {
                    let length = server_in.read(&mut buffer).await.unwrap_or(0);
                    if length == 0 || opened.wait_for(|open| *open).await.is_err() {
                        return;
                    }
                    client_out.write_all(&buffer[..length]).await.unwrap();
                }
            });
            let mut buffer = vec![0; 65_536];
            loop {
                let length = client_in.read(&mut buffer).await.unwrap_or(0);
                if length == 0 {
                    return;
                }
                noted.lock().unwrap().extend_from_slice(&buffer[..length]);
                let sent = String::from_utf8_lossy(&buffer[..length]);
                if *withholding.borrow() && sent.contains("begin read only") {
                    open.send_replace(false);
                }
                server_out.write_all(&buffer[..length]).await.unwrap();
                if sent.contains("commit") {
                    open.send_replace(true);
                }
            }
        });
        Self { port, withhold, sent }
    }

    /// The kinds of the messages sent (PostgreSQL manual, 55.7 Message Formats).
    fn messages(&self) -> String {
        let sent = self.sent.lock().unwrap();
        let mut rest = sent.as_slice();
        let mut kinds = String::new();
        while let [kind, a, b, c, d, ..] = *rest {
            kinds.push(char::from(kind));
            rest = &rest[1 + u32::from_be_bytes([a, b, c, d]) as usize..];
        }
        kinds
    }

    fn url(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }
}

#[tokio::test]
async fn a_read_cannot_write_whatever_it_calls() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    client
        .batch_execute(
            "create table t (id int); create function put() returns text language sql as \
             $$ insert into t values (1) returning 'done' $$; \
             create function dare() returns text language sql as \
             $$ select set_config('transaction_read_only', 'off', true) $$",
        )
        .await
        .unwrap();
    let pool = pool(&database.url(), options());
    for identity in [Identity::default(), identity(None, Some("{}"))] {
        assert_eq!(code(read(&pool, &identity, "select put()").await.unwrap_err()), (0, "25006".to_owned()));
        assert_eq!(code(read(&pool, &identity, "select dare()").await.unwrap_err()), (0, "25001".to_owned()));
        let written = pool.write(&identity, vec![step("select put()", &[])]).await.unwrap();
        assert_eq!(written, [vec![Some("done".to_owned())]]);
        assert_eq!(code(read(&pool, &identity, "select put()").await.unwrap_err()).1, "25006");
    }
    assert_eq!(count(&client, "select count(*) from t").await, 2);
}

#[tokio::test]
async fn the_steps_of_a_write_are_one_transaction() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table t (id int primary key, of int references t deferrable initially deferred); \
                 create function put(id int, of int) returns text language sql as \
                 $$ insert into t values (put.id, put.of) returning t.id::text $$",
            )
            .await
            .unwrap();
        let pool = pool(&database.url(), PoolOptions { connections: 1, ..options() });
        let put = |id: &str, of: Option<&str>| Step {
            sql: "select put($1::int, $2::int)".into(),
            parameters: vec![Parameter::Text(Some(id.to_owned())), Parameter::Text(of.map(str::to_owned))],
        };
        let seen = Step {
            sql: "select count(*)::text, $1::text from t where id = ($1::text)::int".into(),
            parameters: vec![Parameter::Result],
        };
        for (place, identity) in [Identity::default(), identity(None, Some("{}"))].iter().enumerate() {
            let id = (place + 1).to_string();
            let text = |text: &str| Some(text.to_owned());
            let replies = pool.write(identity, vec![put(&id, None), seen.clone()]).await.unwrap();
            let expected: [Reply; 2] = [vec![text(&id)], vec![text("1"), text(&id)]];
            assert_eq!(replies, expected);
            // The second step fails, and takes the first one back.
            let error = pool.write(identity, vec![put("10", None), put(&id, None)]).await.unwrap_err();
            assert_eq!(code(error), (1, "23505".to_owned()));
            // The end itself fails, behind both steps.
            let error = pool.write(identity, vec![put("10", None), put("11", Some("99"))]).await.unwrap_err();
            assert_eq!(code(error), (2, "23503".to_owned()));
            let error = pool.write(identity, vec![step("select nonsense", &[])]).await.unwrap_err();
            assert_eq!(code(error), (0, "42703".to_owned()));
        }
        assert_eq!(count(&client, "select count(*) from t where id >= 10").await, 0, "{major}");
        assert_eq!(ask(&pool, "select count(*)::text from t").await.unwrap(), "2");
    }
}

#[tokio::test]
async fn a_role_and_its_claims_hold_for_their_operation_alone() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let (url, role) = with_policies(&database).await;
        let pool = pool(&url, PoolOptions { connections: 1, ..options() });
        let who = step("select current_user::text, current_setting('request.jwt.claims')", &[]);
        let nobody = pool.read(&Identity::default(), who).await.unwrap();
        assert_eq!(nobody, [Some(format!("login_{role}")), Some("{}".to_owned())]);
        // The login may not even look into the schema: statements have to be prepared as the role.
        let sql = "select string_agg(body, ',') from public.notes";
        assert_eq!(code(ask(&pool, sql).await.unwrap_err()).1, "42501");
        for (sub, sees) in [("ann", "a"), ("bob", "b"), ("eve", ""), ("ann", "a")] {
            let claims = format!(r#"{{"sub": "{sub}"}}"#);
            let somebody = identity(Some(&role), Some(&claims));
            assert_eq!(read(&pool, &somebody, sql).await.unwrap(), sees, "{sub} on {major}");
            let replies = pool.write(&somebody, vec![step(sql, &[])]).await.unwrap();
            assert_eq!(replies[0][0].as_deref().unwrap_or_default(), sees, "{sub} on {major}");
            assert_eq!(code(ask(&pool, sql).await.unwrap_err()).1, "42501");
        }
        assert_eq!(read(&pool, &identity(Some(&role), None), sql).await.unwrap(), "");
        let claims = "select current_setting('request.jwt.claims')";
        assert_eq!(ask(&pool, claims).await.unwrap(), "{}");
        for refused in ["none", "None", "", "postgres", "nobody_has_this_name"] {
            let somebody = identity(Some(refused), None);
            let codes = ["22023", "42501"];
            let error = code(read(&pool, &somebody, "select 'seen'::text").await.unwrap_err());
            assert!(error.0 == 0 && codes.contains(&&*error.1), "{refused}: {error:?}");
            let error =
                code(pool.write(&somebody, vec![step("select 'seen'::text", &[])]).await.unwrap_err());
            assert!(error.0 == 0 && codes.contains(&&*error.1), "{refused}: {error:?}");
        }
        assert_eq!(ask(&pool, "select current_user::text").await.unwrap(), format!("login_{role}"));
        drop(pool);
        without_policies(&database, &role).await;
    }
}

#[tokio::test]
async fn the_configured_role_is_that_of_all_who_name_none_at_no_cost() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let role = format!(r#"We b\{} "x" -c work_mem=1 é"#, fastrand::u32(..));
    let quoted = postgres_protocol::escape::escape_identifier(&role);
    client
        .batch_execute(&format!("create role {quoted}; create role {}_other", database.name()))
        .await
        .unwrap();
    let relay = Relay::to(cluster::shared(18).cluster().port()).await;
    let options = PoolOptions { role: Some(role.clone()), connections: 1, ..options() };
    let pool = pool(&relay.url(&database.url()), options);
    assert_eq!(ask(&pool, "select current_user::text").await.unwrap(), role);
    relay.sent.lock().unwrap().clear();
    assert_eq!(ask(&pool, "select current_user::text").await.unwrap(), role);
    assert_eq!(relay.messages(), "BES");
    assert_eq!(read(&pool, &identity(None, Some("{}")), "select current_user::text").await.unwrap(), role);
    let other = format!("{}_other", database.name());
    assert_eq!(read(&pool, &identity(Some(&other), None), "select current_user::text").await.unwrap(), other);
    assert_eq!(ask(&pool, "select current_user::text").await.unwrap(), role);
    drop(pool);
    let gone = PoolOptions { role: Some("gone".to_owned()), ..self::options() };
    let pool = self::pool(&database.url(), gone);
    assert!(words(ask(&pool, "select ''").await.unwrap_err()).contains("role"));
    client.batch_execute(&format!("drop role {quoted}, {other}")).await.unwrap();
}

#[tokio::test]
async fn connections_are_bounded_and_a_wait_for_one_ends() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let pool = pool(&database.url(), PoolOptions { connections: 3, ..options() });
    let pids =
        join_all((0..60).map(|_| ask(&pool, "select pg_backend_pid()::text from pg_sleep(0.01)"))).await;
    let mut pids: Vec<String> = pids.into_iter().map(Result::unwrap).collect();
    pids.sort();
    pids.dedup();
    assert!((1..=3).contains(&pids.len()), "{pids:?}");
    drop(pool);

    client.batch_execute("select pg_advisory_lock(7)").await.unwrap();
    let wait = Duration::from_millis(200);
    let pool = self::pool(&database.url(), PoolOptions { connections: 2, wait, ..options() });
    let held: Vec<_> = (0..2)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { ask(&pool, "select pg_advisory_xact_lock_shared(7)::text").await })
        })
        .collect();
    until("both wait for the lock", async || count(&client, RUNNING).await == 2).await;
    let before = Instant::now();
    let told = words(ask(&pool, "select ''").await.unwrap_err());
    assert_eq!(told, "all 2 connections to the database stayed in use for 200 ms");
    assert!(before.elapsed() >= wait);
    client.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    for one in held {
        one.await.unwrap().unwrap();
    }
    ask(&pool, "select ''").await.unwrap();
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_and_the_connection_goes_on() {
    let database = cluster::shared(18).database().await;
    let statement = Duration::from_millis(200);
    let pool = pool(&database.url(), PoolOptions { connections: 1, statement, ..options() });
    let pid = ask(&pool, "select pg_backend_pid()::text").await.unwrap();
    let slow = "select pg_sleep(600)::text";
    for identity in [Identity::default(), identity(None, Some("{}"))] {
        assert_eq!(read(&pool, &identity, slow).await.unwrap_err(), DatabaseError::Timeout);
        let steps = vec![step("select ''", &[]), step(slow, &[])];
        assert_eq!(pool.write(&identity, steps).await.unwrap_err(), DatabaseError::Timeout);
    }
    assert_eq!(ask(&pool, "select pg_backend_pid()::text").await.unwrap(), pid);
}

#[tokio::test]
async fn dropping_an_operation_cancels_what_runs_and_rolls_back_what_is_open() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table t (id int); insert into t values (1); create function lock() returns text language sql \
                 as $$ update t set id = 2 returning 'locked' $$",
            )
            .await
            .unwrap();
        let pool = pool(&database.url(), PoolOptions { connections: 1, ..options() });
        let slow = "select pg_sleep(600)::text";
        let pid = ask(&pool, "select pg_backend_pid()::text").await.unwrap();
        for write in [false, true] {
            let task = {
                let pool = pool.clone();
                tokio::spawn(async move {
                    if write {
                        let steps = vec![step("select lock()", &[]), step(slow, &[])];
                        pool.write(&Identity::default(), steps).await.map(drop)
                    } else {
                        ask(&pool, slow).await.map(drop)
                    }
                })
            };
            let sleeping = format!("{RUNNING} and query like '%pg_sleep(600)%' and wait_event = 'PgSleep'");
            until("it sleeps", async || count(&client, &sleeping).await == 1).await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            // No longer busy, and with no lock left behind, before anybody asks for a connection again.
            until("it is cancelled", async || count(&client, RUNNING).await == 0).await;
            client.batch_execute("set lock_timeout = '10s'; update t set id = 3").await.unwrap();
            let other = ask(&pool, "select pg_backend_pid()::text").await.unwrap();
            assert_ne!(other, pid, "the connection was given to somebody else on {major}");
        }
    }
}

#[tokio::test]
async fn statements_are_prepared_again_after_ddl_and_when_they_are_lost() {
    for &major in postgres_binaries::majors() {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client
            .batch_execute(
                "create table t (a text); insert into t values ('a'); \
                 create function lose() returns text language plpgsql as $$ begin deallocate all; return ''; end $$",
            )
            .await
            .unwrap();
        let pool = pool(&database.url(), PoolOptions { connections: 1, ..options() });
        let all = |identity: Identity| {
            let pool = pool.clone();
            async move { pool.read(&identity, step("select * from t", &[])).await.unwrap().len() }
        };
        let somebody = identity(None, Some("{}"));
        for columns in 1..4 {
            // Once for a new statement, once for a known one, in both ways.
            for _ in 0..2 {
                assert_eq!(all(Identity::default()).await, columns, "{major}");
                assert_eq!(all(somebody.clone()).await, columns, "{major}");
            }
            client.batch_execute(&format!("alter table t add column c{columns} text")).await.unwrap();
            if columns == 2 {
                assert_eq!(all(somebody.clone()).await, 3);
            }
        }
        ask(&pool, "select lose()").await.unwrap();
        assert_eq!(all(Identity::default()).await, 4);
        ask(&pool, "select lose()").await.unwrap();
        assert_eq!(all(somebody).await, 4);
        // More shapes than a connection keeps.
        for shape in 0..300 {
            assert_eq!(ask(&pool, &format!("select '{shape}'::text")).await.unwrap(), shape.to_string());
        }
        let kept = ask(&pool, "select count(*)::text from pg_prepared_statements").await.unwrap();
        assert!(kept.parse::<usize>().unwrap() <= 258, "{kept}");
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_told_and_found_again() {
    let mut own = cluster::own(&postgres_binaries::of_major(18), &[]);
    let pool = pool(&own.url("postgres"), options());
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        join_all((0..2).map(|_| ask(&pool, "select pg_sleep(0.05)::text"))).await;
        let running = {
            let pool = pool.clone();
            tokio::spawn(async move { ask(&pool, "select pg_sleep(600)::text").await })
        };
        let client = cluster::connect(&own.url("postgres")).await;
        until("it sleeps", async || count(&client, RUNNING).await == 1).await;
        drop(client);
        own.stop_server(shutdown).unwrap();
        assert!(words(running.await.unwrap().unwrap_err()).contains("database"));
        let told = words(ask(&pool, "select ''").await.unwrap_err());
        assert!(told.contains("the database") || told.contains("connection"), "{told}");
        own.start_server().unwrap();
        assert_eq!(ask(&pool, "select 'back'::text").await.unwrap(), "back");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_does_not_hold_anybody_for_ever() {
    let database = cluster::shared(18).database().await;
    let proxy = Proxy::to(cluster::shared(18).cluster().port());
    let statement = Duration::from_millis(100);
    let pool = pool(&proxy.url(&database.url()), PoolOptions { connections: 1, statement, ..options() });
    ask(&pool, "select ''").await.unwrap();
    proxy.freeze();
    assert_eq!(words(ask(&pool, "select ''").await.unwrap_err()), "the database does not answer");
    ask(&pool, "select ''").await.unwrap();
}

#[tokio::test]
async fn logins_without_room_or_right_are_told_without_their_names() {
    let database = cluster::shared(18).database().await;
    let client = database.connect().await;
    let login = format!("one_{}", database.name());
    client
        .batch_execute(&format!("create role {login} login password 'x' connection limit 1"))
        .await
        .unwrap();
    let mut url = url::Url::parse(&database.url()).unwrap();
    url.set_username(&login).unwrap();
    url.set_password(Some("x")).unwrap();
    let first = pool(url.as_str(), options());
    ask(&first, "select ''").await.unwrap();
    let second = pool(url.as_str(), options());
    assert_eq!(
        words(ask(&second, "select ''").await.unwrap_err()),
        "the database has no connection to spare"
    );
    url.set_password(Some("wrong")).unwrap();
    let wrong = words(ask(&pool(url.as_str(), options()), "select ''").await.unwrap_err());
    assert!(!wrong.contains(&login), "{wrong}");
    drop((first, second));
    let dropped = format!("drop role {login}");
    until("the role is free", async || client.batch_execute(&dropped).await.is_ok()).await;
}

#[tokio::test]
async fn one_pool_serves_many_at_once_each_in_their_own_name() {
    let database = cluster::shared(18).database().await;
    let pool = Arc::new(pool(&database.url(), PoolOptions { connections: 4, ..options() }));
    let all = join_all((0..200).map(|number| {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move {
            let claims = format!("{{\"sub\": {number}}}");
            let somebody = if number % 3 == 0 { Identity::default() } else { identity(None, Some(&claims)) };
            let seen = read(&pool, &somebody, "select current_setting('request.jwt.claims')").await.unwrap();
            assert_eq!(seen, somebody.claims.unwrap_or_else(|| "{}".to_owned()));
        })
    }));
    for one in all.await {
        one.unwrap();
    }
}
