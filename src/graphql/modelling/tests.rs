mod everything;
mod random;

use crate::graphql::model::{Dependency, Field, Model, Reads, RootField, Shape};
use crate::graphql::sample::Sample;
use crate::graphql::schema::{Schema, SchemaError};
use crate::graphql::tags::Names;

fn schema(sample: &Sample) -> Schema {
    Schema::of(&sample.catalog, &Names::default()).unwrap()
}

/// The lines of one definition, without descriptions.
fn definition<'a>(schema: &'a Schema, head: &str) -> Vec<&'a str> {
    let start =
        schema.sdl.find(&format!("\n{head} {{\n")).unwrap_or_else(|| panic!("no {head}:\n{}", schema.sdl));
    let body = &schema.sdl[start + 1..];
    let end = body.find("\n}\n").unwrap();
    body[..end].lines().skip(1).map(str::trim).filter(|line| !line.starts_with("\"\"\"")).collect()
}

#[test]
fn the_demo_has_its_schema() {
    let schema = schema(&Sample::demo());
    let has = |head: &str, lines: &[&str]| {
        let definition = definition(&schema, head);
        for line in lines {
            assert!(definition.contains(line), "{line} is not in {definition:#?}");
        }
    };
    has(
        "type Query",
        &[
            "auction(id: ID!): Auction",
            "auctions(filter: AuctionFilter, orderBy: [AuctionOrder!], limit: Int, offset: Int): [Auction!]!",
            "auctionsAggregate(filter: AuctionFilter): AuctionAggregate!",
            "message(id: ID!): Message",
            "messages(filter: MessageFilter, orderBy: [MessageOrder!], limit: Int, offset: Int): [Message!]!",
        ],
    );
    has(
        "type Auction",
        &[
            "id: ID!",
            "title: String!",
            "bids(filter: BidFilter, orderBy: [BidOrder!], limit: Int, offset: Int): [Bid!]!",
            "bidsAggregate(filter: BidFilter): BidAggregate!",
            "highestBid: Bid",
        ],
    );
    assert_eq!(
        definition(&schema, "type Bid"),
        ["id: ID!", "amount: Int!", "auctionId: ID!", "auction: Auction!"]
    );
    assert_eq!(
        definition(&schema, "type Message"),
        ["id: ID!", "roomId: ID!", "from: String!", "body: String!"]
    );
    assert_eq!(
        definition(&schema, "type Mutation"),
        ["bid(input: BidInput!): Bid", "sendMessage(input: SendMessageInput!): Message"]
    );
    assert_eq!(definition(&schema, "input BidInput"), ["auctionId: ID!", "amount: Int!"]);
    assert_eq!(
        definition(&schema, "input SendMessageInput"),
        ["roomId: ID!", "from: String!", "body: String!"]
    );
    assert_eq!(schema.model.remarks, Vec::<String>::new());
    let mut sample = Sample::demo();
    let bids = sample.find("public.bids").oid;
    let dependency = Dependency { table: bids, on: vec![("auction_id".to_owned(), 0)] };
    let highest = schema.model.functions.iter().find(|function| function.name == "highest_bid").unwrap();
    assert_eq!(highest.reads, Reads::Tables(vec![dependency]));
}

/// The fields of a type, without arguments and result.
fn fields<'a>(schema: &'a Schema, head: &str) -> Vec<&'a str> {
    let name = |line: &'a str| &line[..line.find([':', '(']).unwrap_or(line.len())];
    definition(schema, head).into_iter().map(name).collect()
}

fn names(names: &[&str], omit: &[&str]) -> Names {
    Names::parse(names, omit).unwrap()
}

fn has_remark(model: &Model, part: &str) -> bool {
    model.remarks.iter().any(|remark| remark.contains(part))
}

#[test]
fn several_keys_to_one_table_get_names_of_their_own() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!"])
        .table("public.messages", &["id int8!", "sender_id int8!", "recipient int8"])
        .refers("public.messages", "sender_id", "public.users")
        .refers("public.messages", "recipient", "public.users");
    let schema = schema(&sample);
    assert_eq!(
        definition(&schema, "type Message"),
        ["id: ID!", "senderId: ID!", "recipient: ID", "userByRecipient: User", "sender: User!"]
    );
    assert_eq!(
        fields(&schema, "type User"),
        [
            "id",
            "messagesByRecipient",
            "messagesBySender",
            "messagesByRecipientAggregate",
            "messagesBySenderAggregate"
        ]
    );
}

#[test]
fn a_table_that_refers_to_itself_has_both_ways() {
    let mut sample = Sample::default();
    sample.table("public.employees", &["id int4!", "manager_id int4"]).refers(
        "public.employees",
        "manager_id",
        "public.employees",
    );
    assert_eq!(
        fields(&schema(&sample), "type Employee"),
        ["id", "managerId", "manager", "employeesByManager", "employeesByManagerAggregate"]
    );
}

#[test]
fn a_unique_reference_is_one_row_from_the_other_side() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!"])
        .table("public.profiles", &["id int8!", "user_id int8!"])
        .unique("public.profiles", "user_id")
        .refers("public.profiles", "user_id", "public.users")
        .table("public.settings", &["user_id int8!"])
        .key("public.settings", "user_id")
        .refers("public.settings", "user_id", "public.users");
    let schema = schema(&sample);
    assert_eq!(definition(&schema, "type User"), ["id: ID!", "profile: Profile", "setting: Setting"]);
    assert!(definition(&schema, "type Query").contains(&"profileByUserId(userId: ID!): Profile"));
    assert!(definition(&schema, "type Query").contains(&"setting(userId: ID!): Setting"));
}

#[test]
fn a_key_of_several_columns_is_named_after_its_target() {
    let mut sample = Sample::default();
    sample
        .table("public.rooms", &["house int4!", "number text!"])
        .key("public.rooms", "house, number")
        .table("public.beds", &["id int4!", "house int4!", "room text"])
        .refers("public.beds", "house, room", "public.rooms")
        .table("public.doors", &["id int4!", "house int4!", "from_room text!", "to_room text!"])
        .refers("public.doors", "house, from_room", "public.rooms")
        .refers("public.doors", "house, to_room", "public.rooms");
    let schema = schema(&sample);
    assert!(definition(&schema, "type Query").contains(&"room(house: ID!, number: ID!): Room"));
    // A column is called `room`.
    assert!(definition(&schema, "type Bed").contains(&"roomByHouseAndRoom: Room"));
    assert_eq!(
        definition(&schema, "type Door")[4..],
        ["roomByHouseAndFromRoom: Room!", "roomByHouseAndToRoom: Room!"]
    );
    assert_eq!(
        fields(&schema, "type Room")[2..5],
        ["beds", "doorsByHouseAndFromRoom", "doorsByHouseAndToRoom"]
    );
}

#[test]
fn keys_besides_the_primary_one_find_rows_too() {
    let mut sample = Sample::default();
    sample
        .table("public.users", &["id int8!", "email text!", "tenant_id uuid!", "slug text!", "data jsonb"])
        .unique("public.users", "email")
        .unique("public.users", "tenant_id, slug")
        .unique("public.users", "slug, tenant_id")
        .unique("public.users", "id")
        .unique("public.users", "data");
    let schema = schema(&sample);
    let keys: Vec<_> =
        definition(&schema, "type Query").into_iter().filter(|line| line.ends_with(": User")).collect();
    assert_eq!(
        keys,
        [
            "user(id: ID!): User",
            "userByEmail(email: String!): User",
            "userByTenantIdAndSlug(tenantId: ID!, slug: String!): User"
        ]
    );
}

#[test]
fn names_that_meet_are_told_apart_with_a_remark() {
    let mut sample = Sample::default();
    sample
        .table("auth.users", &["id int8!"])
        .table("public.user", &["id int8!"])
        .table("public.users", &["id int8!", "and int4", "first_name text", "firstName text"])
        .table("public.bids", &["id int8!", "user_id int8!", "user text"])
        .refers("public.bids", "user_id", "public.users")
        .function("public.bids", &["row public.users"], "int4")
        .function("public.bids_aggregate", &["row public.users"], "int4");
    let schema = schema(&sample);
    let model = &schema.model;
    let named: Vec<_> = model
        .entities
        .iter()
        .map(|entity| (entity.schema.as_str(), entity.relation.as_str(), entity.name.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("auth", "users", "User"),
            ("public", "bids", "Bid"),
            ("public", "user", "PublicUser"),
            ("public", "users", "PublicUser2")
        ]
    );
    assert_eq!(
        fields(&schema, "type PublicUser2"),
        ["id", "and_", "firstName", "firstName2", "bids", "bids2", "bidsAggregate", "bidsAggregate2"]
    );
    assert_eq!(fields(&schema, "type Bid"), ["id", "userId", "user", "publicUser2ByUserId"]);
    assert!(has_remark(model, "public.users.and is PublicUser2.and_"), "{:?}", model.remarks);
    assert!(has_remark(model, "public.users is PublicUser2, since User is taken"), "{:?}", model.remarks);
}

#[test]
fn tags_and_settings_rename_and_hide() {
    let mut sample = Sample::demo();
    sample
        .comment("public.auctions", "What is for sale.\n@walcast name lot")
        .comment("public.auctions.title", "@walcast name heading")
        .comment("public.users.email", "@walcast omit")
        .comment("public.users.name", "@walcast nom x");
    sample.catalog.foreign_keys[0].comment = Some("@walcast name soldAs".to_owned());
    let names = names(
        &[
            "public.users=Person",
            "public.users.inserted_at=since",
            "public.highest_bid()=topBid",
            "public.no=No",
        ],
        &["public.messages"],
    );
    let schema = Schema::of(&sample.catalog, &names).unwrap();
    assert_eq!(
        fields(&schema, "type Query"),
        [
            "lot",
            "bid",
            "person",
            "lots",
            "bids",
            "people",
            "lotsAggregate",
            "bidsAggregate",
            "peopleAggregate"
        ]
    );
    assert_eq!(definition(&schema, "type Lot")[..2], ["id: ID!", "heading: String!"]);
    assert!(definition(&schema, "type Lot").contains(&"topBid: Bid"));
    assert_eq!(schema.model.entities[0].description.as_deref(), Some("What is for sale."));
    assert_eq!(fields(&schema, "type Bid"), ["id", "amount", "auctionId", "soldAs"]);
    assert_eq!(fields(&schema, "type Person"), ["id", "name", "since", "profile", "tags", "balance"]);
    // Its result is not offered, so neither is it.
    assert_eq!(fields(&schema, "type Mutation"), ["bid"]);
    assert!(has_remark(&schema.model, "there is no tag \"nom\""), "{:?}", schema.model.remarks);
    assert!(has_remark(&schema.model, "the settings name public.no, which is not there"));
    // A hidden column is still there for keys.
    let person = &schema.model.entities[schema.model.types["Person"]];
    assert!(person.columns.iter().any(|column| column.name == "email"));
}

#[test]
fn a_hidden_table_takes_its_relations_with_it() {
    let sample = Sample::demo();
    let schema = Schema::of(&sample.catalog, &names(&[], &["public.bids"])).unwrap();
    assert_eq!(fields(&schema, "type Auction"), ["id", "title"]);
    assert!(!schema.sdl.contains("Bid"));
}

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
        .reads_more = true;
    let [users, auctions, bids] =
        ["public.users", "public.auctions", "public.bids"].map(|name| sample.find(name).oid);
    let views = ["public.tops", "public.odd"].map(|name| sample.find(name).oid);
    let mut reads = |comment: &str, body: Option<Vec<u32>>| {
        let highest = &mut sample.catalog.functions[0];
        highest.comment = Some(comment.to_owned());
        highest.reads = body;
        let schema = schema(&sample);
        let highest = schema.model.functions.iter().find(|function| function.name == "highest_bid").unwrap();
        (highest.reads.clone(), schema.model.remarks.clone())
    };
    let any = |table| Dependency { table, on: Vec::new() };
    let bound = Dependency { table: bids, on: vec![("auction_id".to_owned(), 0)] };
    let declared = "@walcast depends_on bids(auction_id = id)";
    assert_eq!(reads("", None).0, Reads::Unknown);
    assert_eq!(reads("", Some(vec![users])).0, Reads::Tables(vec![any(users)]));
    assert_eq!(reads("", Some(vec![views[0]])).0, Reads::Tables(vec![any(auctions), any(bids)]));
    assert_eq!(reads("", Some(vec![views[1]])).0, Reads::Unknown);
    assert_eq!(reads(declared, None).0, Reads::Tables(vec![bound.clone()]));
    assert_eq!(reads(declared, Some(vec![bids, users])).0, Reads::Tables(vec![bound, any(users)]));
    assert_eq!(
        reads("@walcast depends_on public.tops", None).0,
        Reads::Tables(vec![any(auctions), any(bids)])
    );
    for (comment, expected, remark) in [
        ("@walcast depends_on nowhere", Reads::Unknown, "there is no nowhere"),
        ("@walcast depends_on odd", Reads::Unknown, "what the view odd reads is not known"),
        ("@walcast depends_on users(", Reads::Unknown, "depends_on takes tables"),
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

#[test]
fn an_id_is_what_identifies_a_row() {
    let mut sample = Sample::default();
    sample.domain("public.code", "text");
    sample
        .table("public.lands", &["code public.code!", "day date!"])
        .key("public.lands", "code, day")
        .table(
            "public.things",
            &["land public.code!", "day date!", "owner_id uuid", "pixel_id float8", "ids int4[]"],
        )
        .refers("public.things", "land, day", "public.lands");
    assert_eq!(
        definition(&schema(&sample), "type Thing"),
        ["land: ID!", "day: ID!", "ownerId: ID", "pixelId: Float", "ids: [Int]", "landByLandAndDay: Land!"]
    );
}

#[test]
fn types_without_something_to_show_are_left_out() {
    let mut sample = Sample::default();
    sample
        .labels("public.none", &[])
        .table("public.empty", &[])
        .composite("public.hollow", &[])
        .composite("public.shell", &["inside public.hollow"])
        .table("public.things", &["id int8!", "shell public.shell", "none public.none"]);
    let schema = schema(&sample);
    assert_eq!(definition(&schema, "type Thing"), ["id: ID!", "none: None"]);
    assert_eq!(schema.model.entities.len(), 1);
    assert!(has_remark(&schema.model, "public.empty has no column to show"));
    // Its value is there all the same.
    assert!(matches!(schema.model.entities[0].columns[1].value.shape, Shape::Scalar(_)));
}

#[test]
fn a_catalog_without_anything_to_query_is_an_error_that_says_where_to_look() {
    let mut sample = Sample::default();
    sample.procedure("public.reset", &[], "void");
    let error = Schema::of(&sample.catalog, &Names::default()).unwrap_err();
    assert!(matches!(error, SchemaError::Empty));
    assert!(error.to_string().contains("graphql.schemas") && error.to_string().contains("GRANT SELECT"));
}
