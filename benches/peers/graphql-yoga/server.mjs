// The part of walcast's demo schema that the benchmark asks for, written by hand: README.md says what it does.
//
//   DATABASE_URL=postgres://.. POOL=8 node server.mjs
//
// Listens on a free port of 127.0.0.1 and prints its address in one line.

import { createServer } from 'node:http';
import { createSchema, createYoga } from 'graphql-yoga';
import pg from 'pg';

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL ?? 8),
  idleTimeoutMillis: 0,
});

// With a name, pg prepares the text once on each connection.
const select = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const typeDefs = /* GraphQL */ `
  type Query {
    auction(id: ID!): Auction
  }
  type Auction {
    id: ID!
    title: String!
    bids: [Bid!]!
  }
  type Bid {
    id: ID!
    amount: Int!
    auctionId: ID!
  }
`;

const resolvers = {
  Query: {
    auction: async (_, { id }) =>
      (await select('auction', 'select id, title from auctions where id = $1', [id]))[0],
  },
  Auction: {
    bids: ({ id }) =>
      select(
        'bids',
        'select id, amount, auction_id as "auctionId" from bids where auction_id = $1 order by id',
        [id],
      ),
  },
};

const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), logging: false, graphiql: false });
const server = createServer(yoga);
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));
