// npm `@graphql-tools/executor-http`, as gateways use it. The contract is in contract.mjs.
import { buildHTTPExecutor } from '@graphql-tools/executor-http'
import { parse } from 'graphql'
import { askAll, oneOf, url, watchedFetch } from './contract.mjs'

const events = { accept: 'text/event-stream' }
for (const [way, options] of [
  ['POST', {}],
  ['GET', { useGETForQueries: true }],
  ['server-sent events', { headers: events }],
  ['server-sent events by GET', { useGETForQueries: true, headers: events }],
  ['multipart', { headers: { accept: 'multipart/mixed' } }],
]) {
  const executor = buildHTTPExecutor({ endpoint: url, fetch: watchedFetch, ...options })
  await askAll(way, async ({ query, variables }) => oneOf(await executor({ document: parse(query), variables })))
}
