// npm `@urql/core`. The contract is in contract.mjs.
import { Client, fetchExchange, subscriptionExchange } from '@urql/core'
import { createClient } from 'graphql-sse'
import { askAll, url, watchedFetch } from './contract.mjs'

async function ask(client, { query, variables }) {
  const way = query.startsWith('mutation') ? 'mutation' : 'query'
  const { data, error } = await client[way](query, variables)
  // urql has one error for all that can go wrong; the answer's own are inside.
  if (error?.networkError) throw error.networkError
  return { data, errors: error?.graphQLErrors }
}

for (const [way, preferGetMethod] of [['POST', false], ['GET', 'within-url-limit']]) {
  const client = new Client({ url, fetch: watchedFetch, preferGetMethod, exchanges: [fetchExchange] })
  await askAll(way, (question) => ask(client, question))
}

// As urql's manual has it for subscriptions, here for every operation.
const sse = createClient({ url, retryAttempts: 0, fetchFn: watchedFetch })
const forwardSubscription = ({ query, variables }) => ({
  subscribe: (sink) => ({ unsubscribe: sse.subscribe({ query: query ?? '', variables }, sink) }),
})
const exchanges = [subscriptionExchange({ enableAllOperations: true, forwardSubscription })]
const streaming = new Client({ url, exchanges })
await askAll('graphql-sse', (question) => ask(streaming, question))
