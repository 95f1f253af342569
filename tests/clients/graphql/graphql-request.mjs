// npm `graphql-request`. The contract is in contract.mjs.
import { ClientError, GraphQLClient } from 'graphql-request'
import { askAll, print, query, url, watchedFetch } from './contract.mjs'

// Where it throws, the error holds the answer, if there was one.
async function answer(promise) {
  try {
    return await promise
  } catch (error) {
    if (error instanceof ClientError) return error.response
    throw error
  }
}

const client = new GraphQLClient(url, { fetch: watchedFetch })
await askAll('POST', ({ query, variables }) => answer(client.request(query, variables).then((data) => ({ data }))))
// Errors beside data are handed over then; it still throws answers whose status is not of success.
const lenient = new GraphQLClient(url, { fetch: watchedFetch, errorPolicy: 'all' })
await askAll('raw', ({ query, variables }) => answer(lenient.rawRequest(query, variables)))
const byGet = new GraphQLClient(url, { method: 'GET', fetch: watchedFetch })
print('GET', 'query', { data: await byGet.request(query.query, query.variables) })
