// The left side: what is being watched, and what could be.
import { el } from './view.js'
import { describe, EVERYTHING, filterTopic, schemaTopic, tableTopic } from './topics.js'

const FIND_FROM = 9
const IDEAS = 400
const STATES = {
  waiting: 'waiting for the connection',
  joining: 'joining',
  retrying: 'trying again',
  joined: 'live',
  refused: 'refused',
}

// `act` has: join(topic), leave(topic), rejoin(topic), prefill(topic).
export class Sidebar {
  constructor(act) {
    this.act = act
    this.joined = document.getElementById('joined')
    this.none = document.getElementById('joined-none')
    this.words = document.getElementById('side-words')
    this.tables = document.getElementById('tables')
    this.find = document.getElementById('find')
    this.rows = new Map()
    this.picks = new Map()
    this.find.addEventListener('input', () => this.narrow())
  }

  // ---- what is watched ---------------------------------------------------------------------

  show(channel) {
    let row = this.rows.get(channel.topic)
    if (!row) {
      row = this.addRow(channel.topic)
      this.rows.set(channel.topic, row)
      this.joined.append(row.item)
    }
    row.item.dataset.state = channel.state
    row.state.textContent = STATES[channel.state] ?? channel.state
    row.words.textContent = channel.words
    row.words.hidden = channel.words === ''
    row.code.textContent = channel.code
    row.code.hidden = channel.code === ''
    row.again.hidden = channel.state !== 'refused'
    this.summarise()
  }

  addRow(topic) {
    const item = el('li')
    item.dataset.topic = topic
    const dot = el('span', 'dot')
    dot.setAttribute('aria-hidden', 'true')
    const name = el('span', 'name', describe(topic))
    name.title = topic
    const state = el('span', 'state')
    const count = el('span', 'count')
    const again = el('button', 'quiet again', 'Try again')
    again.type = 'button'
    again.addEventListener('click', () => this.act.rejoin(topic))
    const leave = el('button', 'quiet leave')
    leave.type = 'button'
    leave.setAttribute('aria-label', `Stop watching ${describe(topic)}`)
    leave.addEventListener('click', () => this.act.leave(topic))
    const words = el('p', 'words')
    const code = el('span', 'code')
    item.append(dot, name, count, leave, state, code, words, again)
    return { item, state, count, words, code, again, changes: 0, shown: 0 }
  }

  forget(topic) {
    const row = this.rows.get(topic)
    if (!row) return
    this.rows.delete(topic)
    row.item.remove()
    this.summarise()
  }

  summarise() {
    this.none.hidden = this.rows.size > 0
    const topics = [...this.rows.keys()]
    const refused = topics.filter((topic) => this.rows.get(topic).item.dataset.state === 'refused').length
    const names = topics.filter((topic) => this.rows.get(topic).item.dataset.state !== 'refused').map(describe)
    const parts = []
    if (names.length > 0) parts.push(`Watching ${names.slice(0, 2).join(', ')}${names.length > 2 ? ` and ${names.length - 2} more` : ''}`)
    if (refused > 0) parts.push(`${refused} refused`)
    this.words.textContent = parts.join('; ') || 'Choose what to watch'
    for (const [topic, pick] of this.picks) {
      pick.setAttribute('aria-pressed', String(this.rows.has(topic)))
    }
  }

  count(topic) {
    const row = this.rows.get(topic)
    if (row) row.changes += 1
  }

  zero() {
    for (const row of this.rows.values()) row.changes = 0
  }

  paint() {
    for (const row of this.rows.values()) {
      if (row.shown === row.changes) continue
      row.shown = row.changes
      row.count.textContent = row.changes === 0 ? '' : row.changes.toLocaleString('en')
    }
  }

  // ---- what could be watched ---------------------------------------------------------------

  // `tables` is what /console.json lists.
  offer(tables) {
    this.tables.textContent = ''
    this.picks.clear()
    this.tables.append(this.group('', [this.pick(EVERYTHING, 'Everything')]))
    const schemas = grouped(tables)
    for (const [schema, members] of schemas) {
      const items = members.map((t) => this.pick(tableTopic(t.schema, t.table), t.table, t))
      if (members.length > 1) items.unshift(this.pick(schemaTopic(schema), `all of ${schema}`))
      this.tables.append(this.group(schema, items))
    }
    this.find.hidden = tables.length < FIND_FROM
    this.ideas(tables)
    this.narrow()
    this.summarise()
  }

  group(schema, items) {
    const group = el('div', 'group')
    if (schema) group.append(el('h3', '', schema))
    const list = el('ul')
    list.append(...items)
    group.append(list)
    return group
  }

  pick(topic, label, table) {
    const item = el('li')
    item.dataset.words = label.toLowerCase()
    const button = el('button', 'pick', label)
    button.type = 'button'
    button.dataset.topic = topic
    button.setAttribute('aria-pressed', 'false')
    button.addEventListener('click', () => (this.rows.has(topic) ? this.act.leave(topic) : this.act.join(topic)))
    item.append(button)
    this.picks.set(topic, button)
    if (table) {
      const key = table.columns.find((column) => column.key) ?? table.columns[0]
      if (key) {
        const where = el('button', 'quiet where', 'where')
        where.type = 'button'
        where.setAttribute('aria-label', `Only some rows of ${label}`)
        where.addEventListener('click', () => this.act.prefill(filterTopic(table.schema, table.table, key.name)))
        item.append(where)
      }
    }
    return item
  }

  ideas(tables) {
    const list = document.getElementById('topic-ideas')
    list.textContent = ''
    const topics = tables.flatMap((t) => [tableTopic(t.schema, t.table), ...t.columns.map((c) => filterTopic(t.schema, t.table, c.name))])
    for (const topic of topics.slice(0, IDEAS)) {
      const option = el('option')
      option.value = topic
      list.append(option)
    }
  }

  narrow() {
    const wanted = this.find.hidden ? '' : this.find.value.trim().toLowerCase()
    for (const item of this.tables.querySelectorAll('li')) item.hidden = !item.dataset.words.includes(wanted)
    for (const group of this.tables.children) group.hidden = !group.querySelector('li:not([hidden])')
  }
}

// Not Map.groupBy: browsers from before 2024 do not have it.
function grouped(tables) {
  const map = new Map()
  for (const table of tables) map.set(table.schema, [...(map.get(table.schema) ?? []), table])
  return map
}
