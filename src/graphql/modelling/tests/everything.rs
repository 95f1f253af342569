//! The whole text for a catalog with everything, in files that are read when they change:
//! `UPDATE_GOLDEN=1 cargo test --lib everything` writes them anew.

use std::path::Path;

use super::schema;
use crate::graphql::sample::Sample;
use crate::graphql::typescript::typescript;

/// A shop with every kind of column, key and function.
fn everything() -> Sample {
    let mut sample = Sample::default();
    sample
        .base("public.ltree")
        .labels("public.order_status", &["new", "in progress", "in_progress", "2nd try", "true", "__done"])
        .domain("public.email", "text")
        .domain("public.work_email", "public.email")
        .composite("public.address", &["street text", "zip_code varchar", "lines text[]"])
        .table(
            "public.people",
            &[
                "id uuid!",
                "name text!",
                "email public.work_email!",
                "address public.address",
                "old_addresses public.address[]",
                "manager_id uuid",
                "born date",
                "active bool!",
            ],
        )
        .unique("public.people", "email")
        .refers("public.people", "manager_id", "public.people")
        .table("public.news", &["id int4!", "author_id uuid!", "headline text!"])
        .refers("public.news", "author_id", "public.people")
        .table("public.tenants", &["id int8!"])
        .table(
            "public.orders",
            &["tenant_id int8!", "number int4!", "status public.order_status!", "buyer uuid"],
        )
        .key("public.orders", "tenant_id, number")
        .refers("public.orders", "tenant_id", "public.tenants")
        .refers("public.orders", "buyer", "public.people")
        .table(
            "public.order_lines",
            &["id int8!", "tenant_id int8!", "order_number int4!", "or text", "Größe in cm float4"],
        )
        .refers("public.order_lines", "tenant_id, order_number", "public.orders")
        .table(
            "public.measurements",
            &["small int2", "whole int4", "big int8", "exact numeric", "single float4"],
        )
        .table(
            "public.values",
            &[
                "id int8!",
                "bytes bytea",
                "json json",
                "jsonb jsonb",
                "xml xml",
                "point point",
                "inet inet",
                "time time",
                "timetz timetz",
                "stamp timestamp",
                "zoned timestamptz!",
                "span interval",
                "range int4range",
                "path public.ltree",
                "flags bool[]",
                "numbers int4[]!",
                "states public.order_status[]",
                "documents jsonb[]",
            ],
        )
        .view("public.active_people", &["id uuid", "name text"], &["public.people"])
        .function("public.full_name", &["person public.people", "polite bool?"], "text")
        .function("public.reports", &["person public.people", "depth int4?"], "setof public.people")
        .function("public.search", &["term text", "limit int4?"], "setof public.people")
        .function("public.next_status", &["status public.order_status"], "public.order_status")
        .function("public.tags", &[], "setof text")
        .procedure("public.place_order", &["tenant_id int8", "numbers int4[]", "note text?"], "public.orders")
        .procedure("public.clean", &[], "void")
        .procedure("public.hire", &["names text[]"], "setof public.people")
        .comment(
            "public.people",
            "Whoever works \"here\".\n\n\\ and \"\"\" and */ stay in place.\n@walcast name person",
        )
        .comment("public.people.name", "As it is written.")
        .comment("public.people.born", "Ends with a \"quote\"");
    sample
}

fn compare(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schema").join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(text == golden, "{} is not what is made now; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn the_schema_of_everything_is_as_reviewed() {
    compare("everything.graphql", &schema(&everything()).sdl);
}

#[test]
fn the_typescript_of_everything_is_as_reviewed() {
    compare("everything.ts", &typescript(&schema(&everything())));
}

#[test]
fn the_remarks_on_everything_are_as_reviewed() {
    compare("everything.remarks", &(schema(&everything()).model.remarks.join("\n") + "\n"));
}
