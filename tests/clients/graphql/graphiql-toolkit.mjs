// The fetcher that stock GraphiQL is given, of npm `@graphiql/toolkit`. The contract is in contract.mjs; besides, the
// step `introspection` names the types that GraphiQL reads from the schema.
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { buildClientSchema, getIntrospectionQuery, isObjectType, parse } from 'graphql'
import { askAll, oneOf, print, url, watchedFetch } from './contract.mjs'

// The parts of a multipart answer come as lists.
const ask = async (fetcher, { query, variables }) =>
  [await oneOf(await fetcher({ query, variables }, { documentAST: parse(query) }))].flat()[0]

for (const [way, options] of [
  ['stock', {}],
  ['in one piece', { enableIncrementalDelivery: false }],
  ['multipart', { headers: { accept: 'multipart/mixed' } }],
]) {
  const fetcher = createGraphiQLFetcher({ url, fetch: watchedFetch, ...options })
  await askAll(way, (question) => ask(fetcher, question))
  const { data } = await ask(fetcher, { query: getIntrospectionQuery() })
  const types = Object.values(buildClientSchema(data).getTypeMap()).filter(isObjectType)
  print(way, 'introspection', { data: types.map(({ name }) => name).filter((name) => /^(Auction|Bid)$/.test(name)).sort() })
}
