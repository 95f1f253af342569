//! What the application says of its own accord reaches live queries: by SQL, over HTTP, and never too early.

use serde_json::json;

use crate::graphql::Graph;
use crate::held_commits;
use crate::live::Stream;
use crate::walcast::{Walcast, until};
use crate::{cluster, postgres_binaries};

/// A result that depends on what the log does not show, for which it is declared to depend on something else.
const UNSEEN: &str = "
    create table seen (id int primary key, name text);
    insert into seen values (1, 'one');
    create unlogged table unseen (amount int);
    create function total() returns int language sql stable as 'select count(*)::int from unseen';
    comment on function total() is '@walcast depends_on seen';
    create function name_of(seen) returns text language sql stable as
        'select $1.name || count(*) from unseen';
    comment on function name_of(seen) is '@walcast depends_on seen(id = id)';";

const FUNCTIONS: &str = include_str!("../../sql/walcast.sql");

const TOTAL: &str = "query @live { total }";

async fn post(walcast: &Walcast, keys: &[&str]) {
    let body = json!({ "keys": keys }).to_string();
    let request = format!(
        "POST /invalidate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(walcast.request(&request).await.0, 202);
}

#[tokio::test]
async fn a_result_is_made_again_once_what_invalidates_it_is_committed() {
    for &major in postgres_binaries::majors() {
        let settings = [("WALCAST__LOG__FILTER", "walcast=debug")];
        let graph = Graph::serve(major, &format!("{UNSEEN}{FUNCTIONS}"), &settings).await;
        let mut total = Stream::live(&graph, TOTAL).await;
        assert_eq!(total.data().await, json!({ "total": 0 }));
        let mut one = Stream::live(&graph, "query @live { seen(id: 1) { nameOf } }").await;
        assert_eq!(one.data().await, json!({ "seen": { "nameOf": "one0" } }));
        let statements = [
            "insert into unseen values (1)",
            "begin; insert into unseen values (2); select walcast.invalidate('Query.total', 'Seen:1'); rollback",
            "begin; select walcast.invalidate('Query.total', 'Seen:2'); insert into unseen values (3); commit",
        ];
        for statement in statements {
            graph.client.batch_execute(statement).await.unwrap();
        }
        // Its first run may be too early for that commit, and be told with what was there before.
        total.until(&json!({ "total": 2 })).await;
        graph.walcast.wait_for_log("keys are invalidated").await;
        let acted = graph.walcast.log().matches("keys are invalidated").count();
        assert_eq!(acted, 1, "what was rolled back was acted upon, on {major}");
        graph.client.batch_execute("select walcast.invalidate('Seen:1')").await.unwrap();
        assert_eq!(one.data().await, json!({ "seen": { "nameOf": "one2" } }));
        graph.client.batch_execute("insert into unseen values (4)").await.unwrap();
        post(&graph.walcast, &["Query.seen(id:\"2\")", "Nothing:1", "Query.seen(id:\"1\")"]).await;
        assert_eq!(one.data().await, json!({ "seen": { "nameOf": "one3" } }));
        post(&graph.walcast, &["Query.total"]).await;
        assert_eq!(total.data().await, json!({ "total": 3 }));
    }
}

#[tokio::test]
async fn an_invalidation_that_is_decoded_before_its_commit_is_visible_waits_for_it() {
    let cluster = cluster::own(&postgres_binaries::of_major(15), &[]);
    let url = cluster.url("postgres");
    let client = cluster::connect(&url).await;
    client.batch_execute(&format!("{UNSEEN}{FUNCTIONS}")).await.unwrap();
    let walcast = Walcast::spawn(&url, &[]);
    walcast.wait_for_status("live").await;
    until("a schema is served", async || walcast.get("/graphql?query=%7Btotal%7D").await.0 == 200).await;
    let mut total = Stream::followed(&walcast, TOTAL).await;
    assert_eq!(total.data().await, json!({ "total": 0 }));
    // From now on commits wait for a standby that is not there, after they are in the log.
    held_commits::hold(&client).await;
    let writer = cluster::connect(&url).await;
    let writing = tokio::spawn(async move {
        writer
            .batch_execute(
                "begin; insert into unseen values (1); select walcast.invalidate('Query.total'); commit",
            )
            .await
    });
    held_commits::waiting(&client, 1).await;
    // The invalidation has been acted upon, and the runs it brought saw nothing.
    let runs = "select count(*) from pg_stat_activity where application_name = 'walcast-graphql' \
                and query like '%total%' and query_start > (select max(xact_start) from pg_stat_activity \
                where wait_event = 'SyncRep')";
    until("a run was in vain", async || client.query_one(runs, &[]).await.unwrap().get::<_, i64>(0) > 0)
        .await;
    held_commits::release(&client).await;
    assert_eq!(total.data().await, json!({ "total": 1 }));
    writing.await.unwrap().unwrap();
}
