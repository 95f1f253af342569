// What npm `graphql` makes of a schema and of the answers by it:
//     GRAPHQL_URL=http://HOST:PORT/graphql SDL=FILE node conformity.mjs
// It prints {"differs": [LINE, ..]}: where the file and the introspection of the endpoint say different things. Then,
// for each line {"query", "variables"?} of stdin, {"data": .., "faults": [TEXT, ..]}: the answer, and what is wrong
// with the question or with the answer.
//
// A valid answer to a document is what comes of executing that document with the answer itself as the data: the
// executor demands lists and non-null values, serialises leaves by their types, leaves out what was not selected, and
// keeps the order of the selection.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  buildClientSchema, buildSchema, execute, getIntrospectionQuery, lexicographicSortSchema, parse, printSchema, validate,
} from 'graphql'

async function ask(question) {
  const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }
  const response = await fetch(process.env.GRAPHQL_URL, { method: 'POST', headers, body: JSON.stringify(question) })
  return response.json()
}
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

const everything = { specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true }
const { data: introspected } = await ask({ query: getIntrospectionQuery(everything) })
const schema = buildClientSchema(introspected)
const lines = (schema) => printSchema(lexicographicSortSchema(schema)).split('\n')
const written = lines(buildSchema(readFileSync(process.env.SDL, 'utf8')))
const told = lines(schema)
print({ differs: written.length === told.length ? written.filter((line, n) => line !== told[n]) : [written.length, told.length] })

// The formats that documentation promises of scalars which are strings.
const text = (format) => (value) => {
  if (typeof value === 'string' && format.test(value)) return value
  throw new Error(`${JSON.stringify(value)} does not look like ${format}`)
}
for (const [name, format] of Object.entries({
  BigInt: /^-?\d+$/,
  BigDecimal: /^(-?\d+(\.\d+)?|NaN|-?Infinity)$/,
  DateTime: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/,
})) {
  const type = schema.getType(name)
  if (type) type.serialize = text(format)
}

for await (const line of createInterface({ input: process.stdin })) {
  const { query, variables } = JSON.parse(line)
  const document = parse(query)
  const faults = validate(schema, document).map(({ message }) => message)
  const { data, errors } = await ask({ query, variables })
  faults.push(...(errors ?? []).map(({ message }) => message))
  const again = await execute({
    schema,
    document,
    rootValue: data,
    variableValues: variables,
    fieldResolver: (source, _arguments, _context, { path }) => source[path.key],
  })
  faults.push(...(again.errors ?? []).map(({ message, path }) => `${path?.join('.')}: ${message}`))
  if (JSON.stringify(again.data) !== JSON.stringify(data)) faults.push(`it should be ${JSON.stringify(again.data)}`)
  print({ data, faults })
}
