// One change as elements. Whatever comes from the database is put in by textContent only.
import { fieldsOf } from './feed.js'
import { describe } from './topics.js'

const FIELDS_SHOWN = 12
const VALUE_SHOWN = 160
const RAW_SHOWN = 200_000
const LINE = 90

export function el(tag, className, text) {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text
  return element
}

// For those who hear the page: words that the eye reads from colour and strike-through.
export const spoken = (text) => el('span', 'spoken', text)

export function renderItem(item) {
  return item.kind === 'note' ? renderNote(item) : renderChange(item)
}

function renderNote(item) {
  const row = el('li', 'note', item.text)
  row.dataset.number = item.number
  return row
}

function renderChange(item) {
  const { type, schema, table, commit_timestamp: stamp, left } = item.payload
  const fields = fieldsOf(item)
  const row = el('li', `change ${kindOf(type)}`)
  row.dataset.number = item.number

  const gutter = el('div', 'gutter')
  gutter.append(el('span', 'kind', String(type ?? '?')), clock(stamp))
  const head = el('div', 'head')
  const name = el('span', 'table')
  name.append(el('span', 'schema', `${schema}.`), String(table))
  head.append(name)
  for (const field of fields.filter((f) => f.key && (f.sent || f.unchanged))) {
    const key = el('span', 'key')
    key.append(el('span', 'name', field.name), value(field.value))
    head.append(key)
  }
  if (left) head.append(el('span', 'left', left === 'filter' ? 'left the filter' : `left: ${left}`))

  const body = el('div', 'body')
  body.append(head, ...contents(type, fields))
  const raw = el('button', 'raw', 'JSON')
  raw.type = 'button'
  raw.setAttribute('aria-expanded', 'false')
  raw.append(spoken(` of ${type} on ${schema}.${table}`))
  raw.addEventListener('click', () => toggleRaw(row, raw, item))
  row.append(gutter, body, raw)
  return row
}

const KINDS = { INSERT: 'insert', UPDATE: 'update', DELETE: 'delete', TRUNCATE: 'truncate' }
const kindOf = (type) => KINDS[type] ?? 'other'

// The time of the commit on the reader's own clock; the whole stamp is in the title.
function clock(stamp) {
  const time = el('time')
  const date = new Date(stamp)
  if (Number.isNaN(date.getTime())) return time
  const two = (n) => String(n).padStart(2, '0')
  time.dateTime = stamp
  time.title = `committed at ${stamp}`
  time.append(
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
    el('span', 'millis', `.${String(date.getMilliseconds()).padStart(3, '0')}`),
  )
  return time
}

function contents(type, fields) {
  if (type === 'TRUNCATE') return [el('p', 'remark', 'Every row of the table was removed.')]
  const differing = fields.filter((field) => field.differs)
  const rest = fields.filter((field) => !field.differs && !field.key && (field.sent || field.unchanged))
  const parts = []
  if (differing.length > 0) {
    const list = el('dl', 'differences')
    differing.forEach((field) => list.append(difference(field)))
    parts.push(list)
  }
  if (rest.length > 0) {
    const list = el('dl', type === 'UPDATE' && differing.length > 0 ? 'fields same' : 'fields')
    rest.slice(0, FIELDS_SHOWN).forEach((field) => list.append(plain(field)))
    if (rest.length > FIELDS_SHOWN) list.append(el('div', 'more', `and ${rest.length - FIELDS_SHOWN} more columns`))
    parts.push(list)
  }
  if (type === 'UPDATE' && differing.length === 0) parts.push(el('p', 'remark', unmarked(fields)))
  return parts
}

function unmarked(fields) {
  if (fields.some((field) => !field.key && field.source !== '')) return 'No column differs from the row before.'
  return 'The row before is not known: this page has not seen it, and the table’s replica identity does not send it.'
}

function difference(field) {
  const pair = el('div')
  const now = el('dd')
  const before = el('del')
  before.append(value(field.old))
  before.title = field.source === 'seen' ? 'before: from the last change of this row seen here' : 'before: sent by the database'
  const after = el('ins')
  after.append(value(field.value))
  const arrow = el('span', 'arrow', '→')
  arrow.setAttribute('aria-hidden', 'true')
  now.append(spoken('was '), before, ' ', arrow, spoken(' is now '), ' ', after)
  pair.append(el('dt', '', field.name), now)
  return pair
}

function plain(field) {
  const pair = el('div')
  const content = el('dd')
  content.append(field.unchanged && !field.sent ? el('span', 'absent', 'unchanged, not sent') : value(field.value))
  pair.append(el('dt', '', field.name), content)
  if (field.type) pair.title = field.type
  return pair
}

function value(content) {
  if (content === undefined) return el('span', 'absent', 'not sent')
  if (content === null) return el('span', 'absent', 'null')
  if (content === '') return el('span', 'absent', 'empty text')
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  if (text.length <= VALUE_SHOWN) return el('span', 'value', text)
  return el('span', 'value', `${text.slice(0, VALUE_SHOWN)}… (${text.length.toLocaleString('en')} characters)`)
}

// ---- the frame as it came -----------------------------------------------------------------------

function toggleRaw(row, button, item) {
  const open = row.querySelector('.frame')
  button.setAttribute('aria-expanded', String(!open))
  if (open) {
    open.remove()
    return
  }
  const frame = el('div', 'frame')
  const about = el('p', 'about', `Frame as received, ${item.text.length.toLocaleString('en')} characters, through ${[...item.topics].map(describe).join(' and ')}.`)
  const text = el('pre', '', indent(item.text.slice(0, RAW_SHOWN)))
  text.tabIndex = 0
  text.setAttribute('aria-label', 'Frame as received')
  if (item.text.length > RAW_SHOWN) about.append(` The first ${RAW_SHOWN.toLocaleString('en')} are shown; Copy takes all.`)
  frame.append(about, text)
  // Browsers have a clipboard only where the page came over https or from this machine.
  if (navigator.clipboard) about.append(' ', copyButton('Copy', () => item.text))
  row.append(frame)
}

export function copyButton(label, text) {
  const button = el('button', 'quiet', label)
  button.type = 'button'
  button.addEventListener('click', async () => {
    const done = await navigator.clipboard.writeText(text()).then(() => 'Copied', () => 'Not allowed')
    button.textContent = done
    setTimeout(() => { button.textContent = label }, 1500)
  })
  return button
}

// Lays JSON out without parsing it: parsing would round long numbers and drop repeated keys.
export function indent(json) {
  const open = []
  let out = ''
  const newLine = (depth) => { out += `\n${'  '.repeat(depth)}` }
  for (let i = 0; i < json.length; i++) {
    const c = json[i]
    const short = open.at(-1) === 'short'
    if (c === '"') {
      const end = endOfText(json, i)
      out += json.slice(i, end)
      i = end - 1
    } else if (c === '{' || c === '[') {
      open.push(short || fitsLine(json, i) ? 'short' : 'long')
      out += c
      if (open.at(-1) === 'long') newLine(open.length)
    } else if (c === '}' || c === ']') {
      if (open.pop() === 'long') newLine(open.length)
      out += c
    } else if (c === ',') {
      out += short ? ', ' : ','
      if (!short) newLine(open.length)
    } else if (c === ':') {
      out += ': '
    } else if (c > ' ') {
      out += c
    }
  }
  return out
}

// One past the closing quote of the text that begins at `start`.
function endOfText(json, start) {
  let i = start + 1
  while (i < json.length && json[i] !== '"') i += json[i] === '\\' ? 2 : 1
  return Math.min(i + 1, json.length)
}

// Whether the object or array that begins at `start` is short enough to stand on one line.
function fitsLine(json, start) {
  let depth = 0
  for (let i = start; i < json.length && i < start + LINE; i++) {
    const c = json[i]
    if (c === '"') i = endOfText(json, i) - 1
    else if (c === '{' || c === '[') depth += 1
    else if ((c === '}' || c === ']') && --depth === 0) return true
  }
  return false
}

// ---- the last minute as bars --------------------------------------------------------------------

export function drawSpark(canvas, counts) {
  const scale = window.devicePixelRatio || 1
  const width = canvas.clientWidth * scale
  const height = canvas.clientHeight * scale
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height })
  const pen = canvas.getContext('2d')
  pen.clearRect(0, 0, width, height)
  pen.fillStyle = getComputedStyle(canvas).color
  const most = Math.max(...counts, 1)
  const step = width / counts.length
  counts.forEach((count, i) => {
    const bar = count === 0 ? scale : Math.max(2 * scale, (count / most) * height)
    pen.globalAlpha = count === 0 ? 0.25 : 1
    pen.fillRect(i * step, height - bar, Math.max(step - scale, scale), bar)
  })
}
