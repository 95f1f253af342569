// What every script in this folder has in common, so that one test can drive any of them.
//
// Environment: GRAPHQL_URL (http://HOST:PORT/graphql), where the demo's schema and data are served. Each script asks
// the same questions in every way that its client knows, and prints what the client handed to its user, as JSON:
//     {"way": NAME, "step": NAME, "data"?: .., "errors"?: [{"message", "code"?, "path"?}], "by"?: [METHOD, MEDIA TYPE]}
// `by` is the method and the media type of the answer, as they were on the wire.
export const url = process.env.GRAPHQL_URL

export const query = {
  query: `query Auction($id: ID!) {
    auction(id: $id) { __typename id title bids { __typename id amount } highestBid { __typename id amount } }
  }`,
  variables: { id: '2' },
}

// Each bid on the first auction has to be higher than the last.
let amount = 100
export function mutation() {
  amount += 1
  return {
    query: `mutation Bid($input: BidInput!) {
      bid(input: $input) { __typename id amount auction { __typename id highestBid { __typename id amount } } }
    }`,
    variables: { input: { auctionId: '1', amount } },
  }
}

let by

// `fetch`, noting what travels.
export async function watchedFetch(input, init) {
  const response = await fetch(input, init)
  by = [init?.method ?? input.method ?? 'GET', response.headers.get('content-type')?.split(';')[0]]
  return response
}

export function print(way, step, { data, errors }) {
  const line = { way, step, data: data ?? undefined, by }
  line.errors = errors?.map(({ message, extensions, path }) => ({ message, code: extensions?.code, path }))
  by = undefined
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

// Asks all questions; `ask({ query, variables })` resolves to a result.
export async function askAll(way, ask) {
  const bid = mutation()
  print(way, 'query', await ask(query))
  print(way, 'mutation', await ask(bid))
  print(way, 'refused', await ask({ ...bid, query: 'mutation Bid($input: BidInput!) { bid(input: $input) { id } }' }))
  print(way, 'invalid', await ask({ query: '{ nothing }' }))
}

// The one result that an answer is, or that comes of it in parts.
export async function oneOf(answer) {
  if (!answer[Symbol.asyncIterator]) return answer
  const results = []
  for await (const part of answer) results.push(part)
  if (results.length !== 1) throw new Error(`${results.length} results to one question`)
  return results[0]
}
