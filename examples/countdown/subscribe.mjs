// Prints a countdown until it is over.
//     node subscribe.mjs [URL]
import { createClient } from 'graphql-sse'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const client = createClient({
  url: `${url}/graphql`,
  retryAttempts: Infinity,
  on: { connected: () => console.log('listening') },
})

const query = 'subscription { listen(topic: "countdown") { event payload } }'
for await (const { data, errors } of client.iterate({ query })) {
  if (errors) throw new Error(errors[0].message)
  const { event, payload } = data.listen
  if (event === 'over') break
  console.log(payload.left)
}
console.log('over')
