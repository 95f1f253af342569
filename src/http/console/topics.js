// Topics: how they are spelled, what they mean in words, and why the server refused one.

// The characters that carry meaning in a topic; inside a name they travel percent-escaped.
const SPECIAL = /[:%*=]/g
const escapeName = (name) => name.replace(SPECIAL, (c) => '%' + c.charCodeAt(0).toString(16).toUpperCase())

function unescapeName(name) {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

export const EVERYTHING = 'realtime:*'
export const schemaTopic = (schema) => `realtime:${escapeName(schema)}`
export const tableTopic = (schema, table) => `${schemaTopic(schema)}:${escapeName(table)}`
export const filterTopic = (schema, table, column) => `${tableTopic(schema, table)}:${escapeName(column)}=eq.`

// What was typed, as a topic: people leave the prefix out, or write `schema.table` as SQL does.
export function normalise(typed) {
  const text = typed.trim()
  if (text === '' || text.startsWith('realtime:')) return text
  if (text === '*') return EVERYTHING
  const sql = /^([^.:]+)\.([^.:=]+)$/.exec(text)
  return sql ? tableTopic(sql[1], sql[2]) : `realtime:${text}`
}

// A short name for people: `public.users`, `all of public`, `public.users where id = 1`.
export function describe(topic) {
  if (topic === EVERYTHING) return 'everything'
  const [prefix, schema, table, ...rest] = topic.split(':')
  if (prefix !== 'realtime' || !schema) return topic
  if (table === undefined) return `all of ${unescapeName(schema)}`
  const name = `${unescapeName(schema)}.${unescapeName(table)}`
  if (rest.length === 0) return name
  const filter = /^([^=]+)=(\w+)\.(.*)$/s.exec(rest.join(':'))
  if (!filter) return topic
  const operator = filter[2] === 'eq' ? '=' : filter[2]
  return `${name} where ${unescapeName(filter[1])} ${operator} ${filter[3]}`
}

// Why the server refused, as a sentence.
export function explain(code, message) {
  if (code === 'unmatched topic') return 'No such topic. A topic begins with realtime: and then names a schema and a table.'
  return sentence(message)
}

function sentence(text) {
  const first = /^[a-z]+ /.test(text) ? text[0].toUpperCase() + text.slice(1) : text
  return /[.!?]$/.test(first) ? first : first + '.'
}

// RFC 6455 section 7.4.1 and the IANA registry of close codes, as sentences.
const CLOSED = {
  1000: 'The server ended the connection.',
  1001: 'The server is going away.',
  1002: 'The server saw a protocol error.',
  1006: 'The connection broke off, or was refused.',
  1008: 'The server refused this connection.',
  1009: 'A frame was too large for the server.',
  1012: 'The server is restarting.',
  1013: 'The server asked us to come back later.',
}
// A restart needs no further reason. The code 0 is none: nothing was heard.
export function explainClose(code, reason) {
  if (code === 0) return sentence(reason)
  const words = CLOSED[code] ?? `The connection was closed (code ${code}).`
  return reason && code !== 1012 ? `${words} It said: ${sentence(reason)}` : words
}
