// No client at all: `fetch`, and `EventSource` (npm `eventsource`, since Node.js has none). The contract is in
// contract.mjs.
import { EventSource } from 'eventsource'
import { askAll, mutation, oneOf, print, query, url, watchedFetch } from './contract.mjs'

const byGet = ({ query, variables = {} }) => `${url}?${new URLSearchParams({ query, variables: JSON.stringify(variables) })}`

await askAll('POST', async (question) => {
  const headers = { 'content-type': 'application/json' }
  const response = await watchedFetch(url, { method: 'POST', headers, body: JSON.stringify(question) })
  return response.json()
})
print('GET', 'query', await (await watchedFetch(byGet(query))).json())
print('GET', 'mutation', await (await watchedFetch(byGet(mutation()))).json())

async function* events(question) {
  const source = new EventSource(byGet(question), { fetch: watchedFetch })
  const results = []
  await new Promise((resolve, reject) => {
    source.addEventListener('next', ({ data }) => results.push(JSON.parse(data)))
    // Without the close it would ask again.
    source.addEventListener('complete', () => resolve(source.close()))
    source.addEventListener('error', reject)
  })
  yield* results
}
print('EventSource', 'query', await oneOf(events(query)))
print('EventSource', 'invalid', await oneOf(events({ query: '{ nothing }' })))
