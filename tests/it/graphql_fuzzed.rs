//! The catalog that the fuzz targets of GraphQL plan against.

use walcast::graphql::catalog::Catalog;
use walcast::graphql::schema::Schema;
use walcast::graphql::tags::Names;

use crate::{cluster, postgres_binaries};

/// `WALCAST_TEST_WRITE=1` writes it anew.
#[tokio::test]
async fn the_fuzzed_catalog_is_that_of_its_sql() {
    let database = cluster::shared(postgres_binaries::majors()[1]).database().await;
    let client = database.connect().await;
    client.batch_execute(include_str!("../../fuzz/catalog.sql")).await.unwrap();
    let question = include_str!("../../src/postgres/introspection.sql");
    let row = client.query_one(question, &[&vec!["public".to_owned()], &"walcast"]).await.unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/catalog.json");
    if std::env::var_os("WALCAST_TEST_WRITE").is_some() {
        std::fs::write(path, row.get::<_, String>(0)).unwrap();
    }
    let schema = |json: &str| {
        let catalog: Catalog = serde_json::from_str(json).unwrap();
        Schema::of(&catalog, &Names::default()).unwrap().sdl
    };
    let kept = std::fs::read_to_string(path).unwrap();
    assert_eq!(schema(&kept), schema(row.get(0)), "WALCAST_TEST_WRITE=1 writes fuzz/catalog.json anew");
}
