// What the page knows of the changes: the last few of them, what they are compared with, how fast
// they come. No DOM here, and everything has a bound: a page may stay open for weeks.

export const KEEP = 500
// Rows may be of many megabytes, so the number of changes alone would not bound the memory.
const KEEP_CHARS = 16_000_000
const SEEN_ROWS = 5_000
const SEEN_CHARS = 8_000_000
const BUCKET_MS = 100
const RATE_BUCKETS = 20
const SPARK_SECONDS = 60

export class Feed {
  constructor() {
    this.shown = new Shelf()
    this.waiting = new Shelf()
    this.keys = new Keys()
    this.seen = new SeenRows()
    this.total = 0
    this.serial = 0
    this.overflowed = 0
    this.cursor = ''
    this.held = false
    this.pace = new Pace()
  }

  // True if the change is new; the same change on a second topic only adds that topic to it.
  add(topic, payload, text, now) {
    const id = payload.cursor ? `${payload.cursor} ${payload.type}` : ''
    const known = id && (this.shown.find(id) ?? this.waiting.find(id))
    if (known) {
      known.topics.add(topic)
      return false
    }
    this.total += 1
    this.pace.count(now)
    if (payload.cursor) this.cursor = payload.cursor
    const keys = this.keys.of(payload)
    const before = this.seen.replace(payload, keys, text.length)
    this.keep({ kind: 'change', id, payload, keys, text, before, topics: new Set([topic]), words: null })
    return true
  }

  // Something that happened to the stream itself, told in its place among the changes.
  note(text) {
    this.keep({ kind: 'note', id: '', text, words: null })
  }

  keep(item) {
    item.number = this.serial++
    if (!this.held) this.shown.push(item)
    else this.overflowed += this.waiting.push(item)
  }

  // Another epoch: its cursors may repeat the old ones, and its rows are not the old ones.
  turnPage() {
    this.seen = new SeenRows()
    this.shown.byId.clear()
    this.waiting.byId.clear()
  }

  hold(held) {
    this.held = held
    if (held) return
    for (const item of this.waiting.items) this.shown.push(item)
    this.waiting = new Shelf()
    this.overflowed = 0
  }

  clear() {
    this.shown = new Shelf()
    this.waiting = new Shelf()
    this.overflowed = 0
    this.total = 0
  }

  // Newest first, at most `limit`, and how many there are in all.
  select(query, limit) {
    const wanted = query.toLowerCase().split(/\s+/).filter(Boolean)
    const found = []
    let count = 0
    for (let i = this.shown.items.length - 1; i >= 0; i--) {
      const item = this.shown.items[i]
      if (wanted.length > 0 && !wanted.every((word) => wordsOf(item).includes(word))) continue
      count += 1
      if (found.length < limit) found.push(item)
    }
    return { found, count }
  }
}

// What the filter box looks into. Column names are left out: they would match every change of a table.
function wordsOf(item) {
  if (item.words === null) {
    if (item.kind === 'note') return (item.words = item.text.toLowerCase())
    const { type, schema, table, cursor, record, old_record: old } = item.payload
    const values = [...Object.values(record ?? {}), ...Object.values(old ?? {})]
    const texts = values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value)))
    item.words = [type, `${schema}.${table}`, cursor, ...texts].join('\n').toLowerCase()
  }
  return item.words
}

// The newest items, bounded in number and in characters; the newest one always stays.
class Shelf {
  constructor() {
    this.items = []
    this.chars = 0
    this.byId = new Map()
  }

  find(id) {
    return this.byId.get(id)
  }

  // How many had to go.
  push(item) {
    this.items.push(item)
    this.chars += item.text.length
    if (item.id) this.byId.set(item.id, item)
    let gone = 0
    while (this.items.length > 1 && (this.items.length > KEEP || this.chars > KEEP_CHARS)) {
      const oldest = this.items.shift()
      this.chars -= oldest.text.length
      if (oldest.id) this.byId.delete(oldest.id)
      gone += 1
    }
    return gone
  }
}

// Which columns name a row. A change flags the columns of its replica identity, and under FULL these
// are all of them: the primary key then has to come from the list of tables.
class Keys {
  constructor() {
    this.primary = new Map()
  }

  learn(tables) {
    for (const { schema, table, columns } of tables) {
      this.primary.set(JSON.stringify([schema, table]), columns.filter((column) => column.key).map((column) => column.name))
    }
  }

  of({ schema, table, columns }) {
    const names = (list) => list.map((column) => column.name)
    if (!Array.isArray(columns)) return []
    const flagged = columns.filter((column) => column.flags?.includes('key'))
    if (flagged.length < columns.length) return names(flagged)
    const primary = this.primary.get(JSON.stringify([schema, table])) ?? []
    if (primary.length > 0) return primary
    return columns.length === 1 ? names(flagged) : []
  }
}

// The last row seen of every key, to compare an UPDATE with when the server knows no old row.
class SeenRows {
  constructor() {
    this.rows = new Map()
    this.chars = 0
  }

  // Takes the change in; gives what its row looked like before, if that was seen.
  replace(payload, keys, size) {
    const { type, schema, table } = payload
    const prefix = JSON.stringify([schema, table])
    if (type === 'TRUNCATE') {
      for (const key of this.rows.keys()) if (key.startsWith(prefix)) this.drop(key)
      return null
    }
    const keyOf = (row) =>
      row && keys.length > 0 && keys.every((name) => name in row) ? prefix + JSON.stringify(keys.map((name) => row[name])) : null
    const newKey = keyOf(payload.record)
    const oldKey = keyOf(payload.old_record) ?? newKey
    const before = oldKey === null ? null : (this.rows.get(oldKey)?.row ?? null)
    if (oldKey !== null) this.drop(oldKey)
    if (newKey !== null && payload.record) {
      const row = { ...payload.record }
      for (const name of payload.unchanged ?? []) if (before && name in before) row[name] = before[name]
      this.put(newKey, { row, size })
    }
    return before
  }

  put(key, entry) {
    this.drop(key)
    this.rows.set(key, entry)
    this.chars += entry.size
    for (const oldest of this.rows.keys()) {
      if (this.rows.size <= SEEN_ROWS && this.chars <= SEEN_CHARS) break
      this.drop(oldest)
    }
  }

  drop(key) {
    const entry = this.rows.get(key)
    if (!entry) return
    this.chars -= entry.size
    this.rows.delete(key)
  }
}

// Changes per second over the last two seconds, and a count for each of the last sixty.
class Pace {
  constructor() {
    this.buckets = new Ring(RATE_BUCKETS, BUCKET_MS)
    this.seconds = new Ring(SPARK_SECONDS, 1000)
  }

  count(now) {
    this.buckets.add(now)
    this.seconds.add(now)
  }

  perSecond(now) {
    return this.buckets.values(now).reduce((sum, n) => sum + n, 0) * 1000 / (RATE_BUCKETS * BUCKET_MS)
  }

  lastMinute(now) {
    return this.seconds.values(now)
  }
}

class Ring {
  constructor(size, width) {
    this.counts = new Array(size).fill(0)
    this.width = width
    this.at = 0
  }

  turn(now) {
    const at = Math.floor(now / this.width)
    const steps = Math.min(Math.max(at - this.at, 0), this.counts.length)
    for (let i = 1; i <= steps; i++) this.counts[(at - steps + i) % this.counts.length] = 0
    this.at = Math.max(at, this.at)
  }

  add(now) {
    this.turn(now)
    this.counts[this.at % this.counts.length] += 1
  }

  // Oldest first.
  values(now) {
    this.turn(now)
    return this.counts.map((_, i) => this.counts[(this.at + 1 + i) % this.counts.length])
  }
}

// The columns of a change, each with its new value, its old one where known, and whether they differ.
export function fieldsOf(item) {
  const { type, columns, record, old_record: old, unchanged } = item.payload
  const row = record ?? old ?? {}
  const known = Array.isArray(columns) ? columns : Object.keys(row).map((name) => ({ name, flags: [] }))
  return known.map((column) => {
    const { name } = column
    const field = { name, type: column.type ?? '', key: item.keys.includes(name), value: row[name], sent: name in row }
    field.unchanged = unchanged?.includes(name) ?? false
    field.source = ''
    if (type !== 'UPDATE' || !field.sent) return field
    if (old && name in old) Object.assign(field, { old: old[name], source: 'old_record' })
    else if (item.before && name in item.before) Object.assign(field, { old: item.before[name], source: 'seen' })
    field.differs = field.source !== '' && JSON.stringify(field.old) !== JSON.stringify(field.value)
    return field
  })
}
