// The part of walcast's demo schema that the benchmark of live queries asks for, written by hand: README.md says what
// it does.
//
//   DATABASE_URL=postgres://.. POOL=8 node server.mjs
//
// Listens on a free port of 127.0.0.1 and prints its address in one line.

import { createServer } from 'node:http'
import { GraphQLLiveDirectiveSDL, useLiveQuery } from '@envelop/live-query'
import { InMemoryLiveQueryStore } from '@n1ru4l/in-memory-live-query-store'
import { createSchema, createYoga } from 'graphql-yoga'
import pg from 'pg'

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL ?? 8),
  idleTimeoutMillis: 0,
})

// With a name, pg prepares the text once on each connection.
const select = async (name, text, values) => (await pool.query({ name, text, values })).rows

const BID = 'id, amount, auction_id as "auctionId"'

const typeDefs = /* GraphQL */ `
  type Query {
    auction(id: ID!): Auction
  }
  type Mutation {
    bid(input: BidInput!): Bid!
  }
  input BidInput {
    auctionId: ID!
    amount: Int!
  }
  type Auction {
    id: ID!
    title: String!
    bids: [Bid!]!
    highestBid: Bid
  }
  type Bid {
    id: ID!
    amount: Int!
    auctionId: ID!
  }
`

const liveQueryStore = new InMemoryLiveQueryStore()

const resolvers = {
  Query: {
    auction: async (_, { id }) =>
      (await select('auction', 'select id, title from auctions where id = $1', [id]))[0],
  },
  Auction: {
    bids: ({ id }) => select('bids', `select ${BID} from bids where auction_id = $1 order by id`, [id]),
    highestBid: async ({ id }) =>
      (await select('highest', `select ${BID} from bids where auction_id = $1 order by amount desc, id limit 1`, [id]))[0],
  },
  Mutation: {
    bid: async (_, { input: { auctionId, amount } }) => {
      const [bid] = await select(
        'bid',
        `insert into bids (auction_id, amount) values ($1, $2) returning ${BID}`,
        [auctionId, amount],
      )
      // It runs the queries again by itself; who bids does not wait for them.
      liveQueryStore.invalidate(`Auction:${auctionId}`)
      return bid
    },
  },
}

const yoga = createYoga({
  schema: createSchema({ typeDefs: [typeDefs, GraphQLLiveDirectiveSDL], resolvers }),
  plugins: [useLiveQuery({ liveQueryStore })],
  logging: false,
  graphiql: false,
})
const server = createServer(yoga)
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`))
