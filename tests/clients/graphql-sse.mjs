// npm `graphql-sse`, in either of its modes:
//     GRAPHQL_URL=http://HOST:PORT/graphql[/stream] MODE=distinct|single node graphql-sse.mjs
// On stdin one operation a line, {"query": .., "variables"?: ..}; they run side by side. On stdout, one JSON object a
// line: {"operation": N, "next": RESULT}, {"operation": N, "complete": true}, {"operation": N, "error": TEXT}; N counts
// from 0. When stdin closes, the script ends once its operations have.
import { createInterface } from 'node:readline'
import { createClient } from 'graphql-sse'

const client = createClient({
  url: process.env.GRAPHQL_URL,
  singleConnection: process.env.MODE === 'single',
  retryAttempts: 0,
  // One connection for all operations, also where one ends before the next is asked for.
  lazyCloseTimeout: 500,
})
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

let operation = -1
for await (const line of createInterface({ input: process.stdin })) {
  const n = (operation += 1)
  client.subscribe(JSON.parse(line), {
    next: (result) => print({ operation: n, next: result }),
    complete: () => print({ operation: n, complete: true }),
    error: (error) => print({ operation: n, error: String(error?.message ?? error) }),
  })
}
