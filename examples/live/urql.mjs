// Prints the highest bid of an auction whenever it changes.
//     node urql.mjs [URL]
import { Client, cacheExchange, fetchExchange, gql, subscriptionExchange } from '@urql/core'
import { createClient } from 'graphql-sse'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const sse = createClient({ url: `${url}/graphql`, retryAttempts: Infinity })

const isLive = ({ query }) =>
  query.definitions.some(({ directives }) => directives?.some(({ name }) => name.value === 'live'))

const client = new Client({
  url: `${url}/graphql`,
  preferGetMethod: false,
  exchanges: [
    cacheExchange,
    subscriptionExchange({
      // urql would end a query at its first result; what this exchange carries may have many.
      isSubscriptionOperation: (operation) => operation.kind === 'subscription' || isLive(operation),
      forwardSubscription: ({ query, variables }) => ({
        subscribe: (sink) => ({ unsubscribe: sse.subscribe({ query, variables }, sink) }),
      }),
    }),
    fetchExchange,
  ],
})

const BIDS = gql`
  query GetCurrentAuctionBids @live {
    auction(id: "1") { bids { amount } highestBid { amount } id title }
  }
`

client.query(BIDS, {}).subscribe(({ data, error }) => {
  if (error) console.error(error.message)
  else console.log(data.auction.title, data.auction.highestBid?.amount ?? 'without a bid')
})
