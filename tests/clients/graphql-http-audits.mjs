// The audits of npm `graphql-http` against a GraphQL endpoint:
//     GRAPHQL_URL=http://HOST:PORT/graphql node graphql-http-audits.mjs
// On stdout, one JSON object a line: {"name": AUDIT, "status": "ok" | "notice" | "warn" | "error", "reason"?}
import { serverAudits } from 'graphql-http'

for (const audit of serverAudits({ url: process.env.GRAPHQL_URL, fetchFn: fetch })) {
  const { name, status, reason } = await audit.fn()
  process.stdout.write(`${JSON.stringify({ id: audit.id, name, status, reason })}\n`)
}
