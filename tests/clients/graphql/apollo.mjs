// npm `@apollo/client`. The contract is in contract.mjs; besides, the step `cache` is what a query is answered from the
// normalised cache after a mutation has told of the same rows.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client'
import { print as textOf } from 'graphql'
import { createClient } from 'graphql-sse'
import { Observable } from 'rxjs'
import { askAll, mutation, print, query, url, watchedFetch } from './contract.mjs'

function clientOn(link) {
  const all = { errorPolicy: 'all' }
  return new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: all, mutate: all } })
}

async function ask(client, { query, variables }) {
  const document = gql(query)
  const { data, error } = await (query.startsWith('mutation')
    ? client.mutate({ mutation: document, variables })
    : client.query({ query: document, variables }))
  // Apollo has one error for all that can go wrong; of those that the server told, it keeps the list.
  if (error && !error.errors) throw error
  return { data, errors: error?.errors }
}

// The link that an application writes for graphql-sse.
class SseLink extends ApolloLink {
  constructor(options) {
    super()
    this.client = createClient(options)
  }

  request({ operationName, query, variables }) {
    return new Observable((sink) => this.client.subscribe({ operationName, query: textOf(query), variables }, sink))
  }
}

for (const [way, link] of [
  ['POST', new HttpLink({ uri: url, fetch: watchedFetch })],
  ['GET', new HttpLink({ uri: url, fetch: watchedFetch, useGETForQueries: true })],
  ['graphql-sse', new SseLink({ url, retryAttempts: 0, fetchFn: watchedFetch })],
]) {
  await askAll(way, (question) => ask(clientOn(link), question))
}

const client = clientOn(new HttpLink({ uri: url, fetch: watchedFetch }))
const first = { ...query, variables: { id: '1' } }
await ask(client, first)
await ask(client, mutation())
const { auction } = client.readQuery({ query: gql(first.query), variables: first.variables })
print('POST', 'cache', { data: { entities: Object.keys(client.cache.extract()).sort(), highestBid: auction.highestBid } })
