//! GraphiQL: its files, and the page in a real browser.

use crate::live::Stream;
use crate::program::{Program, file};
use crate::walcast::Walcast;
use crate::{cluster, postgres_binaries};

async fn ask(walcast: &Walcast, path: &str, headers: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    walcast.exchange(&request).await
}

#[tokio::test]
async fn a_query_is_written_completed_run_and_kept_live_in_the_page() {
    let database = cluster::shared(18).database().await;
    let sql = database.connect().await;
    sql.batch_execute(
        "create table graphiql_books (id bigint primary key, title text not null);
         comment on table graphiql_books is 'Books with <b>markup</b>';
         insert into graphiql_books values (9007199254740993, 'Ada <b>')",
    )
    .await
    .unwrap();
    let walcast = Walcast::serve(&database, &[]).await;
    walcast.wait_for_log("the GraphQL schema was read").await;
    drop(Stream::followed(&walcast, "query @live { graphiqlBooks { id } }").await);
    let url = format!("http://{}", walcast.address());
    let script = file("tests/browser/graphiql.test.mjs");
    let mut page = Program::start("node".as_ref(), &[&script], &[("WALCAST_URL", &url)]);
    while let Some(line) = page.line().await {
        let title = match line.as_str() {
            "rename" => "Live <i>",
            "restore" => "Ada <b>",
            other => panic!("the page says {other}"),
        };
        sql.execute("update graphiql_books set title = $1", &[&title]).await.unwrap();
        page.say("wrote").await;
    }
    page.finish().await;
}

#[tokio::test]
async fn the_files_come_to_every_client_under_a_strict_policy() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    let walcast = Walcast::serve(&database, &[]).await;
    let (page, html) = ask(&walcast, "/graphiql", "").await;
    assert!(page.starts_with("HTTP/1.1 200 ") && html.contains("graphiql/page.js"), "{page}");
    let (script, text) = ask(&walcast, "/graphiql/json.js", "").await;
    assert!(script.starts_with("HTTP/1.1 200 ") && !script.contains("content-encoding"), "{script}");
    assert!(text.contains("onmessage"), "not a worker: {} bytes", text.len());
    for head in [&page, &script] {
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; worker-src 'self'; "), "{policy}");
        assert!(head.contains("\r\nx-content-type-options: nosniff\r\n"), "{head}");
        assert!(head.contains("\r\ncache-control: no-cache\r\n"), "{head}");
    }
    let tag = script.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let (again, nothing) = ask(&walcast, "/graphiql/json.js", &format!("If-None-Match: {tag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304 ") && nothing.is_empty(), "{again}");
    let (_, licences) = ask(&walcast, "/graphiql/licenses.txt", "").await;
    for name in ["graphiql", "graphql", "monaco-editor", "react-dom", "graphql-sse"] {
        assert!(licences.contains(&format!("\n{name} ")), "{name} has no licence");
    }
}

#[tokio::test]
async fn a_setting_turns_it_off_and_graphql_turns_it_off_too() {
    let database = cluster::shared(postgres_binaries::majors()[0]).database().await;
    for setting in ["WALCAST__GRAPHQL__GRAPHIQL", "WALCAST__GRAPHQL__ENABLED"] {
        let walcast = Walcast::serve(&database, &[(setting, "false")]).await;
        for path in ["/graphiql", "/graphiql/page.js"] {
            assert_eq!(walcast.get(path).await.0, 404, "{setting} {path}");
        }
        assert!(walcast.get("/console.json").await.1.contains("\"graphiql\":false"));
    }
}
