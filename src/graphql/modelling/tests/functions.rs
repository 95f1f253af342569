//! Functions as fields, and what they read.

use super::{definition, has_remark, schema};
use crate::graphql::catalog::Reading;
use crate::graphql::model::{Dependency, Field, Reads, RootField};
use crate::graphql::sample::Sample;

#[test]
fn functions_go_where_their_arguments_and_volatility_say() {
    let mut sample = Sample::default();
    sample
        .composite("public.address", &["street text"])
        .table("public.users", &["id int8!", "name text"])
        .function("public.initials", &["user public.users", "length int4?"], "text")
        .function("public.search_users", &["query text", "limit int4"], "setof public.users")
        .function("public.words", &["text", "id int4"], "setof text")
        .procedure("public.touch", &["user public.users"], "void")
        .procedure("public.reset", &[], "void")
        .procedure("public.import", &["user_id int8", "at timestamptz?"], "setof public.users")
        .function("public.distance", &["address public.address"], "float8")
        .function("public.near", &["point int4", "address public.address"], "float8")
        .function("public.place", &[], "public.address")
        .function("public.words", &["text"], "setof text");
    let schema = schema(&sample);
    assert!(definition(&schema, "type User").contains(&"initials(length: Int): String"));
    let query = definition(&schema, "type Query");
    let selection = "filter: UserFilter, orderBy: [UserOrder!], limit: Int, offset: Int";
    assert!(
        query.contains(&format!("searchUsers(query: String!, limit_: Int!, {selection}): [User!]!").as_str())
    );
    assert!(query.contains(&"words(argument1: String!): [String]!"));
    assert!(query.contains(&"place: Address"));
    assert_eq!(
        definition(&schema, "type Mutation"),
        ["import(input: ImportInput!): [User!]!", "reset: Boolean"]
    );
    assert_eq!(definition(&schema, "input ImportInput"), ["userId: ID!", "at: DateTime"]);
    for (function, reason) in [
        ("public.touch(public.users)", "it takes a row and is VOLATILE"),
        ("public.distance(public.address)", "it takes a composite value"),
        ("public.near(integer, public.address)", "it takes a composite value"),
        ("public.words(text, integer)", "another of this name"),
    ] {
        let remark = format!("the function {function} is not offered: {reason}");
        assert!(has_remark(&schema.model, &remark), "{remark} {:#?}", schema.model.remarks);
    }
    assert_eq!(schema.model.functions.len(), 6);
    for (id, function) in schema.model.functions.iter().enumerate() {
        let found = match function.of {
            Some(entity) => schema.model.entities[entity].fields[&function.field] == Field::Function(id),
            None => {
                schema.model.query.get(&function.field) == Some(&RootField::Function(id))
                    || schema.model.mutation.get(&function.field) == Some(&id)
            }
        };
        assert!(found, "{}", function.field);
    }
}

#[test]
fn what_a_function_reads_is_never_narrower_than_known() {
    let mut sample = Sample::demo();
    sample
        .view("public.tops", &["auction_id int8"], &["public.auctions", "public.bids"])
        .view("public.odd", &["id int8"], &[])
        .find("public.odd")
        .reads
        .more = true;
    let [users, auctions, bids] =
        ["public.users", "public.auctions", "public.bids"].map(|name| sample.find(name).oid);
    let views = ["public.tops", "public.odd"].map(|name| sample.find(name).oid);
    let mut reads = |comment: &str, body: Option<Vec<u32>>| {
        let highest = &mut sample.catalog.functions[0];
        highest.comment = Some(comment.to_owned());
        highest.reads = match body {
            Some(tables) => Reading { tables, ..Reading::default() },
            None => Reading { calls: vec![highest.oid], ..Reading::default() },
        };
        let schema = schema(&sample);
        let highest = schema.model.functions.iter().find(|function| function.name == "highest_bid").unwrap();
        (highest.reads.clone(), schema.model.remarks.clone())
    };
    let any = |table| Dependency { table, on: Vec::new() };
    let bound = Dependency { table: bids, on: vec![("auction_id".to_owned(), 0)] };
    let declared = "@walcast depends_on bids(auction_id = id)";
    let unknown = |reads: Reads| if let Reads::Unknown(why) = reads { why } else { panic!("{reads:?}") };
    assert!(unknown(reads("", None).0).contains("the function public.highest_bid, of which"));
    assert_eq!(reads("", Some(vec![users])).0, Reads::Tables(vec![any(users)]));
    assert_eq!(reads("", Some(vec![views[0]])).0, Reads::Tables(vec![any(auctions), any(bids)]));
    assert!(unknown(reads("", Some(vec![views[1]])).0).contains("highest_bid(public.auctions) depends on"));
    assert_eq!(reads("@walcast depends_on nothing", None).0, Reads::Nothing);
    assert_eq!(reads("@walcast depends_on nothing", Some(vec![users])).0, Reads::Tables(vec![any(users)]));
    assert_eq!(reads(declared, None).0, Reads::Tables(vec![bound.clone()]));
    assert_eq!(reads(declared, Some(vec![bids, users])).0, Reads::Tables(vec![bound, any(users)]));
    assert_eq!(
        reads("@walcast depends_on public.tops", None).0,
        Reads::Tables(vec![any(auctions), any(bids)])
    );
    for (comment, fault) in [
        ("@walcast depends_on nowhere", "there is no nowhere"),
        ("@walcast depends_on odd", "what the view odd reads is not known"),
        ("@walcast depends_on users(", "depends_on takes tables"),
    ] {
        let (reads, remarks) = reads(comment, None);
        assert!(unknown(reads).contains(fault), "{comment}");
        assert!(remarks.iter().any(|text| text.contains(fault)), "{comment}: {remarks:?}");
    }
    for (comment, expected, remark) in [
        ("@walcast depends_on users(x = id)", Reads::Tables(vec![any(users)]), "it has no column x"),
        ("@walcast depends_on users(id = x)", Reads::Tables(vec![any(users)]), "auctions has no column x"),
        (
            "@walcast depends_on tops(auction_id = id)",
            Reads::Tables(vec![any(auctions), any(bids)]),
            "of a view",
        ),
    ] {
        let (reads, remarks) = reads(comment, None);
        assert_eq!(reads, expected, "{comment}");
        assert!(remarks.iter().any(|text| text.contains(remark)), "{comment}: {remarks:?}");
    }
}
