// One fetcher for all operations. Live queries and subscriptions come as server-sent events, each result as a whole:
// GraphiQL would merge the parts of a multipart answer into one another, as @defer wants it, and so keep the errors
// of earlier results. Everything else is one answer, or multipart if the server sends it in parts.
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { getOperationAST } from 'graphql'
import { createClient } from 'graphql-sse'

const RETRY_MS = 1_000
const RETRIES = 60

const url = new URL('graphql', document.baseURI).href
const single = createGraphiQLFetcher({
  url,
  headers: { accept: 'multipart/mixed, application/graphql-response+json, application/json;q=0.9' },
})

function isStream(document, operationName) {
  const operation = document && getOperationAST(document, operationName)
  if (!operation) return false
  return operation.operation === 'subscription' || operation.directives.some(({ name }) => name.value === 'live')
}

// What the server says instead of a stream, in the form that GraphiQL shows.
async function refusal(response) {
  const body = await response.json().catch(() => undefined)
  return body?.errors ?? new Error(body?.error?.message ?? `the server answered with status ${response.status}`)
}

function stream(params, headers) {
  let refused
  const client = createClient({
    url,
    headers,
    fetchFn: async (...request) => {
      const response = await fetch(...request)
      if (response.headers.get('content-type')?.startsWith('text/event-stream')) return response
      refused = await refusal(response)
      throw refused
    },
    // A connection that is lost is made again; a refusal is final.
    retryAttempts: RETRIES,
    retry: async () => {
      if (refused) throw refused
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    },
  })
  return client.iterate(params)
}

export function fetcher(params, options) {
  return isStream(options?.documentAST, params.operationName)
    ? stream(params, options?.headers)
    : single(params, options)
}
