mod everything;
mod functions;
mod random;
mod relations;

use crate::graphql::model::{Dependency, Model, Reads, Shape};
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
    assert_eq!(
        definition(&schema, "type Subscription"),
        [
            "listen(topic: String!): Sent!",
            "newMessage(roomId: ID!): Message!",
            "auctions(filter: AuctionFilter, events: [ChangeEvent!]): AuctionChange!",
            "bids(filter: BidFilter, events: [ChangeEvent!]): BidChange!",
            "messages(filter: MessageFilter, events: [ChangeEvent!]): MessageChange!",
            "users(filter: UserFilter, events: [ChangeEvent!]): UserChange!",
        ]
    );
    assert_eq!(
        definition(&schema, "type BidChange"),
        ["event: ChangeEvent!", "record: Bid", "old: BidOld", "cursor: String!"]
    );
    assert_eq!(definition(&schema, "type BidOld"), ["id: ID", "amount: Int", "auctionId: ID"]);
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
