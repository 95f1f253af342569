use crate::graphql::model::{Dependency, Reads};
use crate::graphql::sample::Sample;
use crate::graphql::schema::Schema;
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
