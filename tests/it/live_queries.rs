//! Live queries end to end: results follow the database, whoever writes to it.

use serde_json::json;

use crate::graphql::{DEMO, Graph};
use crate::live::Stream;

const CURRENT: &str = "query GetCurrentAuctionBids @live { auction(id: \"1\") { bids { amount } highestBid { amount } id title } }";

#[tokio::test]
async fn a_write_from_anywhere_brings_a_new_result() {
    let graph = Graph::serve(15, DEMO, &[]).await;
    let mut stream = Stream::live(&graph, CURRENT).await;
    let auction = |bids: &[i32], highest: i32| {
        let bids: Vec<_> = bids.iter().map(|amount| json!({ "amount": amount })).collect();
        json!({ "auction": { "bids": bids, "highestBid": { "amount": highest }, "id": "1", "title": "A wooden chair" } })
    };
    assert_eq!(stream.data().await, auction(&[10, 15], 15));
    graph.client.batch_execute("insert into bids (auction_id, amount) values (1, 20)").await.unwrap();
    assert_eq!(stream.data().await, auction(&[10, 15, 20], 20));
    // Of another auction: the next result is that of the change behind it.
    graph.client.batch_execute("insert into bids (auction_id, amount) values (2, 90)").await.unwrap();
    graph.data("mutation { bid(input: {auctionId: \"1\", amount: 30}) { id } }").await;
    assert_eq!(stream.data().await, auction(&[10, 15, 20, 30], 30));
    graph.client.batch_execute("delete from bids where auction_id = 1 and amount > 12").await.unwrap();
    assert_eq!(stream.data().await, auction(&[10], 10));
    graph.client.batch_execute("update auctions set title = 'A chair' where id = 1").await.unwrap();
    assert_eq!(stream.data().await["auction"]["title"], "A chair");
    graph.client.batch_execute("truncate bids").await.unwrap();
    assert_eq!(stream.data().await["auction"]["bids"], json!([]));
}
