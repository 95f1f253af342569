//! The fixed schema of catalog.sql, and a database that looks at statements and answers none.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use serde_json::Value;
use walcast::graphql::plan::Limits;
use walcast::graphql::schema::Schema;
use walcast::graphql::tags::Names;
use walcast::operations::{Database, DatabaseError, Identity, Operations, Reply, Request, Running, Step};

const CATALOG: &str = include_str!("../../catalog.json");
const LIMITS: Limits = Limits { depth: 16, cost: 2000, rows: 1000, introspection: true };

struct Looking;

impl Database for Looking {
    fn read<'a>(&'a self, _: &'a Identity, step: Step) -> Running<'a, Reply> {
        look(&step);
        Box::pin(async { Err(DatabaseError::Timeout) })
    }

    fn write<'a>(&'a self, _: &'a Identity, steps: Vec<Step>) -> Running<'a, Vec<Reply>> {
        steps.iter().for_each(look);
        Box::pin(async { Err(DatabaseError::Timeout) })
    }
}

/// Every parameter that is sent is in the statement, and no other.
fn look(step: &Step) {
    let count = step.parameters.len();
    for number in 1..=count {
        assert!(step.sql.contains(&format!("${number}::text")), "${number} is missing in {}", step.sql);
    }
    assert!(!step.sql.contains(&format!("${}::text", count + 1)), "{count} parameters for {}", step.sql);
}

/// Carries a request out as far as the database.
pub fn ask(document: &str, variables: Value) {
    static OPERATIONS: OnceLock<Operations> = OnceLock::new();
    let operations = OPERATIONS.get_or_init(|| {
        let catalog = serde_json::from_str(CATALOG).expect("a catalog");
        let schema = Schema::of(&catalog, &Names::default()).expect("a schema");
        let operations = Operations::new(Arc::new(Looking), LIMITS, Arc::default());
        operations.serve(Ok(Arc::new(schema)), Ok(()));
        operations
    });
    let request = Request {
        document: document.to_owned(),
        operation_name: None,
        variables: serde_json::from_value(variables).unwrap_or_default(),
        identity: Identity::default(),
    };
    let body = match operations.prepare(request) {
        Err(refused) => refused.body,
        Ok(prepared) => {
            let Poll::Ready(answer) = pin!(operations.run(&prepared)).poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("nothing to wait for")
            };
            answer.body
        }
    };
    let answer: Value = serde_json::from_slice(&body).expect("a response is JSON");
    assert!(answer.get("data").is_some() || answer.get("errors").is_some());
}
