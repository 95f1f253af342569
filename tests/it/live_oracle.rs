//! Random live queries against random writes: at rest, what each client holds is what a fresh query returns.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use serde_json::Value;
use tokio_postgres::Client;

use crate::graphql::Graph;
use crate::live::Stream;
use crate::walcast::until;

/// Databases, unless `WALCAST_TEST_SEEDS` says otherwise.
const SEEDS: u64 = 3;
/// Live queries of each.
const QUERIES: usize = 14;
/// Transactions of each.
const TRANSACTIONS: usize = 120;

const SCHEMA: &str = "
create table teams (id int primary key, name text not null, size int not null default 0);
create table players (id int primary key, team_id int references teams on delete cascade on update cascade,
  score int, tag text, rank numeric(6,2), seen timestamptz not null default '2026-01-01');
create table notes (id int primary key, player_id int references players on delete cascade on update cascade,
  body text, done boolean not null default false);
create table events (id int, day int not null, kind text, primary key (id, day)) partition by range (day);
create table events_early partition of events for values from (0) to (5);
create table events_late partition of events for values from (5) to (10);
create function top_player(team teams) returns players language sql stable as
  $$ select p from players p where p.team_id = team.id order by p.score desc nulls last, p.id limit 1 $$;
comment on function top_player(teams) is '@walcast depends_on players(team_id = id)';
create function total() returns bigint language sql stable begin atomic select sum(score) from players; end;
create view loud as select id, score, tag from players where tag = 'loud';
insert into teams select n, 'team ' || n, n from generate_series(1, 4) n;
insert into players select n, 1 + n % 4, n * 10, (array['loud','calm',null])[1 + n % 3], n / 2.0 from generate_series(1, 12) n;
insert into notes select n, 1 + n % 12, 'note ' || n, n % 2 = 0 from generate_series(1, 20) n;
insert into events select n, n % 10, 'kind ' || n % 3 from generate_series(1, 10) n;
";

/// The last result of a live query.
#[derive(Default)]
struct Held {
    last: Option<Value>,
}

struct Follower {
    query: String,
    held: Arc<Mutex<Held>>,
}

fn pick<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

fn condition(random: &mut Rng, depth: usize) -> String {
    let number = random.i32(0..130);
    match random.usize(..if depth == 0 { 12 } else { 9 }) {
        0 => format!("score: {{gt: {number}}}"),
        1 => format!("score: {{lte: {number}}}"),
        2 => format!("score: {{in: [{number}, 20, 50]}}"),
        3 => format!("tag: {{eq: \"{}\"}}", pick(random, &["loud", "calm", "odd"])),
        4 => format!("tag: {{is: {}}}", pick(random, &["NULL", "NOT_NULL"])),
        5 => "tag: {startsWith: \"l\"}".to_owned(),
        6 => format!("rank: {{gte: \"{}.5\"}}", random.i32(0..6)),
        7 => format!("teamId: {{eq: \"{}\"}}", random.i32(1..6)),
        8 => "seen: {gt: \"2026-01-15T00:00:00Z\"}".to_owned(),
        9 => format!("not: {{{}}}", condition(random, 1)),
        10 => format!("or: [{{{}}}, {{{}}}]", condition(random, 1), condition(random, 1)),
        _ => pick(random, &["team: {name: {neq: \"team 1\"}}", "notes: {done: {eq: true}}"]).to_owned(),
    }
}

fn window(random: &mut Rng) -> String {
    let mut parts = vec![format!("filter: {{{}}}", condition(random, 0))];
    if random.bool() {
        parts.push(format!("orderBy: [{{score: {}}}]", pick(random, &["ASC", "DESC"])));
    }
    if random.bool() {
        parts.push(format!("limit: {}", random.i32(1..6)));
    }
    if random.u8(..4) == 0 {
        parts.push(format!("offset: {}", random.i32(0..3)));
    }
    random.shuffle(&mut parts);
    parts.truncate(random.usize(1..=parts.len()));
    format!("({})", parts.join(", "))
}

fn player(random: &mut Rng) -> String {
    let mut fields = vec!["id", "score", "tag", "rank", "team { id name }", "notes { body done }", "seen"];
    fields.push("notesAggregate(filter: {done: {eq: true}}) { count }");
    random.shuffle(&mut fields);
    fields.truncate(random.usize(1..4));
    fields.join(" ")
}

fn query(random: &mut Rng) -> String {
    let selection = player(random);
    let body = match random.usize(..9) {
        0 | 1 => format!("players{} {{ {selection} }}", window(random)),
        2 => format!("player(id: \"{}\") {{ {selection} }}", random.i32(1..15)),
        3 => format!("teams {{ id name players{} {{ {selection} }} }}", window(random)),
        4 => format!(
            "team(id: \"{}\") {{ name topPlayer {{ {selection} }} playersAggregate {{ count sum {{ score }} }} }}",
            random.i32(1..6)
        ),
        5 => format!(
            "playersAggregate(filter: {{{}}}) {{ count sum {{ score }} max {{ rank }} }}",
            condition(random, 0)
        ),
        6 => format!("events(filter: {{day: {{gte: {}}}}}) {{ id day kind }}", random.i32(0..9)),
        7 => "total".to_owned(),
        _ => "louds { id score }".to_owned(),
    };
    let throttle = if random.u8(..6) == 0 { "(throttle: 20)" } else { "" };
    format!("query @live{throttle} {{ {body} }}")
}

fn statement(random: &mut Rng) -> String {
    let (one, two) = (random.i32(1..16), random.i32(1..30));
    let team = random.i32(1..6);
    let tag = pick(random, &["'loud'", "'calm'", "'odd'", "null"]);
    match random.usize(..20) {
        0 | 1 => format!(
            "insert into players values ({two}, nullif({team}, 5), {}, {tag}, {team}.25) on conflict do nothing",
            one * 7
        ),
        2 | 3 => format!("update players set score = score + {two} where id = {one}"),
        4 => format!("update players set team_id = {} where id = {one}", random.i32(1..5)),
        5 => format!(
            "update players set id = {} where id = {one} and not exists (select from players where id = {})",
            one + 40,
            one + 40
        ),
        6 => format!("update players set tag = {tag} where id % 5 = {}", one % 5),
        7 => format!("delete from players where id = {one}"),
        8 => format!("update notes set done = not done where id = {two}"),
        9 => format!(
            "insert into notes values ({two}, (select min(id) from players), 'new') on conflict do nothing"
        ),
        10 => format!("update notes set player_id = (select max(id) from players) where id = {two}"),
        11 => format!("insert into events values ({two}, {}, 'kind') on conflict do nothing", one % 10),
        12 => format!("update events set day = {} where id = {two}", one % 10),
        13 => format!("delete from events where day = {}", one % 10),
        14 => format!(
            "insert into players select n, 1 + n % 4, n, {tag}, 1 from generate_series({}, {}) n on conflict do nothing",
            60 + two,
            80 + two
        ),
        15 => "delete from players where id > 50".to_owned(),
        16 => format!(
            "insert into teams values ({team}, 'back') on conflict (id) do update set size = teams.size + 1"
        ),
        17 => format!("update teams set name = 'team {two}' where id = {team}"),
        18 if random.u8(..4) == 0 => {
            pick(random, &["truncate notes", "truncate events", "delete from teams where id = 3"]).to_owned()
        }
        _ => format!("update players set seen = seen + interval '{team} days' where id = {one}"),
    }
}

/// One transaction in one of the ways in which there are transactions. Conflicts with another one are no fault here.
async fn write(random: &mut Rng, client: &Client, name: &str) {
    let mut sql = vec!["begin".to_owned()];
    for _ in 0..random.usize(1..5) {
        if random.u8(..5) == 0 {
            let end = pick(random, &["rollback to savepoint s", "release savepoint s"]);
            sql.extend(["savepoint s".to_owned(), statement(random), end.to_owned()]);
        } else {
            sql.push(statement(random));
        }
    }
    match random.usize(..10) {
        0 => sql.push("rollback".to_owned()),
        1 => sql.extend([format!("prepare transaction '{name}'"), format!("commit prepared '{name}'")]),
        _ => sql.push("commit".to_owned()),
    }
    for statement in sql {
        if client.batch_execute(&statement).await.is_err() {
            let _ = client.batch_execute("rollback").await;
            break;
        }
    }
}

async fn follow(graph: &Graph, query: String) -> Follower {
    let mut stream = Stream::live(graph, &query).await;
    let held = Arc::new(Mutex::new(Held::default()));
    let shared = Arc::clone(&held);
    tokio::spawn(async move {
        while let Some(event) = stream.wait().await {
            assert_eq!(event.name, "next", "the stream ended after {:?}", shared.lock().unwrap().last);
            shared.lock().unwrap().last = Some(event.data);
        }
    });
    Follower { query, held }
}

/// What a client's last result lacks to be that of a fresh query.
async fn stale(graph: &Graph, client: &Follower) -> Option<String> {
    let plain = client.query.split_once('{').map(|(_, body)| format!("{{{body}")).unwrap();
    let fresh = graph.ask(&plain).await;
    let held = client.held.lock().unwrap().last.clone().unwrap_or_default();
    let same = held["data"] == fresh["data"] && held.get("errors") == fresh.get("errors");
    (!same).then(|| format!("{}\n  holds {held}\n  fresh {fresh}", client.query))
}

/// Waits until every client holds what a fresh query returns.
async fn rest(graph: &Graph, clients: &[Follower], seed: u64) {
    let what = std::cell::RefCell::new(String::new());
    let rest = until("every client holds what a fresh query returns", async || {
        for client in clients {
            if let Some(stale) = stale(graph, client).await {
                *what.borrow_mut() = stale;
                return false;
            }
        }
        true
    });
    let rested = std::panic::AssertUnwindSafe(rest);
    let told = futures_util::FutureExt::catch_unwind(rested).await;
    assert!(told.is_ok(), "WALCAST_TEST_SEED={seed}\n{}", what.borrow());
}

async fn play(seed: u64) -> BTreeMap<String, (u64, u64)> {
    let mut random = Rng::with_seed(seed);
    let mut schema = SCHEMA.to_owned();
    for table in ["players", "notes", "events_early", "events_late"] {
        if random.bool() {
            schema.extend(["alter table ", table, " replica identity full;"]);
        }
    }
    let settings = [("WALCAST__LOG__FILTER", "info,walcast::feeds=debug")];
    let graph = Graph::serve(15, &schema, &settings).await;
    graph.walcast.wait_for_status("live").await;
    let mut clients = Vec::new();
    for _ in 0..QUERIES {
        clients.push(follow(&graph, query(&mut random)).await);
    }
    let writers = [graph.database.connect().await, graph.database.connect().await];
    for number in 0..TRANSACTIONS {
        let name = format!("{}-{number}", graph.database.name());
        write(&mut random, &writers[number % 2], &name).await;
        if random.usize(..60) == 0 {
            let kill = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()";
            graph.client.batch_execute(kill).await.unwrap();
        }
        // Often, since what comes later may hide what was missed.
        if number % 8 == 7 {
            rest(&graph, &clients, seed).await;
        }
        if random.usize(..30) == 0 {
            clients.push(follow(&graph, query(&mut random)).await);
        }
    }
    rest(&graph, &clients, seed).await;
    count(&graph.walcast.log())
}

/// Runs, and those that brought nothing new, by why they were.
fn count(log: &str) -> BTreeMap<String, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("a live query ran")) {
        let line: Value = serde_json::from_str(line).unwrap();
        let why = line["why"].as_str().unwrap_or_default().to_owned();
        let count: &mut (u64, u64) = counts.entry(why).or_default();
        count.0 += 1;
        count.1 += u64::from(line["changed"] == false);
    }
    counts
}

#[tokio::test]
async fn at_rest_every_live_result_is_that_of_a_fresh_query() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("WALCAST_TEST_SEED");
    let count = number("WALCAST_TEST_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for seed in 0..count {
        for (why, (runs, needless)) in play(first.unwrap_or(1) + seed).await {
            let sum = counts.entry(why).or_default();
            *sum = (sum.0 + runs, sum.1 + needless);
        }
    }
    println!("runs and needless ones, by why: {counts:?}");
    let (runs, needless) = counts.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
    println!("{needless} of {runs} runs were needless: {} %", needless * 100 / runs);
}
