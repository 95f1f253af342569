// Prints the auctions, and bids one more than the highest on the first of them, over server-sent events.
//     node graphql-sse.mjs [URL]
import { createClient } from 'graphql-sse'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const client = createClient({ url: `${url}/graphql` })

// An operation may have many results, so they come as a stream; this takes the first.
async function ask(query, variables) {
  for await (const { data, errors } of client.iterate({ query, variables })) {
    if (errors) throw new Error(errors[0].message)
    return data
  }
}

const { auctions } = await ask('{ auctions { id title highestBid { amount } } }')
for (const { title, highestBid } of auctions) console.log(title, highestBid?.amount ?? 'without a bid')

const [{ id, highestBid }] = auctions
const { bid } = await ask('mutation ($input: BidInput!) { bid(input: $input) { amount auction { title } } }', {
  input: { auctionId: id, amount: (highestBid?.amount ?? 0) + 1 },
})
console.log('bid', bid.amount, 'on', bid.auction.title)
