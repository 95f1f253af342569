//! A database served as GraphQL, for the tests that ask it.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::cluster::{self, Database};
use crate::walcast::{Walcast, until};

/// The demo's schema and data.
pub const DEMO: &str = include_str!("../../sql/demo.sql");

/// A walcast whose GraphQL endpoint is up.
pub struct Graph {
    pub walcast: Walcast,
    pub client: Client,
    pub database: Database,
}

impl Graph {
    /// Serves a database with this schema and these settings.
    pub async fn serve(major: u16, sql: &str, settings: &[(&str, &str)]) -> Self {
        let database = cluster::shared(major).database().await;
        let client = database.connect().await;
        client.batch_execute(sql).await.unwrap();
        Self::of(database, client, settings).await
    }

    /// Serves a database that holds its schema already.
    pub async fn of(database: Database, client: Client, settings: &[(&str, &str)]) -> Self {
        let walcast = Walcast::serve(&database, settings).await;
        let graph = Self { walcast, client, database };
        until("a schema is served", async || {
            graph.post(&json!({ "query": "{ __typename }" })).await.0 == 200
        })
        .await;
        graph
    }

    /// Where it is served.
    pub fn url(&self) -> String {
        format!("http://{}/graphql", self.walcast.address())
    }

    /// A POST of this body: the status and the answer.
    pub async fn post(&self, body: &Value) -> (u16, Value) {
        let (status, answer) = self.post_text(&body.to_string()).await;
        (status, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("not JSON: {answer:?}")))
    }

    /// A POST of this body: the status and the bytes of the answer.
    pub async fn post_text(&self, body: &str) -> (u16, String) {
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/graphql-response+json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.walcast.request(&request).await
    }

    /// The whole answer to a document.
    pub async fn ask(&self, query: &str) -> Value {
        self.post(&json!({ "query": query })).await.1
    }

    /// The whole answer to a document with variables.
    pub async fn ask_with(&self, query: &str, variables: Value) -> Value {
        self.post(&json!({ "query": query, "variables": variables })).await.1
    }

    /// The data of an answer without errors.
    pub async fn data(&self, query: &str) -> Value {
        data(self.ask(query).await)
    }

    /// Whether a statement with this text runs for GraphQL.
    pub async fn is_running(&self, text: &str) -> bool {
        let sql = "select exists(select from pg_stat_activity where application_name = 'walcast-graphql' \
                   and datname = current_database() and state = 'active' and query like '%' || $1 || '%')";
        self.client.query_one(sql, &[&text]).await.unwrap().get(0)
    }

    /// Waits for one.
    pub async fn running(&self, text: &str) {
        until("the statement runs", async || self.is_running(text).await).await;
    }

    /// The one error of an answer.
    pub async fn error(&self, query: &str) -> Value {
        let answer = self.ask(query).await;
        let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("no errors in {answer}"));
        assert_eq!(errors.len(), 1, "{answer}");
        errors[0].clone()
    }
}

/// The data of an answer that has no errors.
pub fn data(mut answer: Value) -> Value {
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].take()
}
