//! GraphQL over HTTP: one operation a request.

use crate::graphql_served::Endpoint;
use crate::program::{Program, file};

#[tokio::test]
async fn every_audit_of_graphql_http_passes() {
    let endpoint = Endpoint::start().await;
    let script = file("tests/clients/graphql-http-audits.mjs");
    let url = endpoint.url("/graphql");
    let mut program = Program::start("node".as_ref(), &[&script], &[("GRAPHQL_URL", &url)]);
    let mut audits = 0;
    let mut failed = Vec::new();
    while let Some(line) = program.line().await {
        audits += 1;
        if !line.contains("\"status\":\"ok\"") {
            failed.push(line);
        }
    }
    program.finish().await;
    assert_eq!((audits, failed), (61, Vec::<String>::new()));
}
