// Prints the highest bid of an auction whenever it changes.
//     node graphql-sse.mjs [URL]
import { createClient } from 'graphql-sse'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const client = createClient({ url: `${url}/graphql`, retryAttempts: Infinity })

const query = `
  query GetCurrentAuctionBids @live {
    auction(id: "1") { bids { amount } highestBid { amount } id title }
  }
`

for await (const { data, errors } of client.iterate({ query })) {
  // An error is a result as well: the query may be answered again after the next change.
  if (errors) console.error(errors[0].message)
  else console.log(data.auction.title, data.auction.highestBid?.amount ?? 'without a bid')
}
