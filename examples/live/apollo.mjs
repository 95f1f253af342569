// Prints the highest bid of an auction whenever it changes.
//     node apollo.mjs [URL]
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client'
import { print } from 'graphql'
import { createClient } from 'graphql-sse'
import { Observable } from 'rxjs'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const sse = createClient({ url: `${url}/graphql`, retryAttempts: Infinity })

// Operations with any number of results.
const stream = new ApolloLink(
  ({ operationName, query, variables }) =>
    new Observable((sink) => sse.subscribe({ operationName, query: print(query), variables }, sink)),
)

const isStream = ({ query }) =>
  query.definitions.some(
    ({ operation, directives }) =>
      operation === 'subscription' || directives?.some(({ name }) => name.value === 'live'),
  )

const client = new ApolloClient({
  link: ApolloLink.split(isStream, stream, new HttpLink({ uri: `${url}/graphql` })),
  cache: new InMemoryCache(),
})

const BIDS = gql`
  query GetCurrentAuctionBids @live {
    auction(id: "1") { bids { amount } highestBid { amount } id title }
  }
`

// In React: useQuery(BIDS).
client.watchQuery({ query: BIDS }).subscribe(({ data, error }) => {
  if (error) console.error(error.message)
  else if (data) console.log(data.auction.title, data.auction.highestBid?.amount ?? 'without a bid')
})
