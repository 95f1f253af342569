// Prints the auctions, and bids one more than the highest on the first of them.
//     node urql.mjs [URL]
import { Client, cacheExchange, fetchExchange, gql } from '@urql/core'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const client = new Client({ url: `${url}/graphql`, exchanges: [cacheExchange, fetchExchange], preferGetMethod: false })

const AUCTIONS = gql`
  {
    auctions { id title highestBid { id amount } }
  }
`
const BID = gql`
  mutation ($input: BidInput!) {
    bid(input: $input) { amount auction { title } }
  }
`

const { auctions } = (await client.query(AUCTIONS).toPromise().then(answered)).data
for (const { title, highestBid } of auctions) console.log(title, highestBid?.amount ?? 'without a bid')

const [{ id, highestBid }] = auctions
const input = { auctionId: id, amount: (highestBid?.amount ?? 0) + 1 }
const { bid } = (await client.mutation(BID, { input }).toPromise().then(answered)).data
console.log('bid', bid.amount, 'on', bid.auction.title)

function answered(result) {
  if (result.error) throw result.error
  return result
}
