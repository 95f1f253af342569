// The console page: one connection, one feed, and what ties them to the elements of index.html.
import { Connection } from './socket.js'
import { Feed, KEEP } from './feed.js'
import { DEMO, everyList, LiveQuery, LiveView } from './live.js'
import { Sidebar } from './sidebar.js'
import { copyButton, drawSpark, el, renderItem } from './view.js'
import { describe, EVERYTHING, normalise } from './topics.js'

const PAGE = 60
// A picture of a full page costs tens of milliseconds on a weak machine. Slow changes appear at once;
// of fast ones nobody can read more than a few pictures a second.
const CALM_PAINT_MS = 50
const BUSY_PAINT_MS = 300
const BUSY_RATE = 100
const CALM_RATE = 8
const ASK_AGAIN_MS = 5_000

const $ = (id) => document.getElementById(id)
const number = (n) => n.toLocaleString('en')
const feed = new Feed()
let paused = false
let away = false
let limit = PAGE
let query = ''
let demo = false
let epoch = ''
let lostAt = 0

function say(words) {
  $('announce').textContent = words
}

// ---- the connection ---------------------------------------------------------------------------

const connection = new Connection(new URL('.', document.baseURI), {
  state: showConnection,
  channel: showChannel,
  change(topic, payload, text) {
    sidebar.count(topic)
    if (feed.add(topic, payload, text, Date.now())) requestPaint()
  },
  gap(topic, reason) {
    if (reason !== 'epoch') feed.note(`The server does not hold all that was committed meanwhile in ${describe(topic)}: changes are missing here.`)
    requestPaint()
  },
})

const sidebar = new Sidebar({
  join: watch,
  leave(topic) {
    connection.leave(topic)
    sidebar.forget(topic)
    remember()
    requestPaint()
  },
  rejoin: (topic) => connection.rejoin(topic),
  prefill(topic) {
    $('topic').value = topic
    $('topic').focus()
    $('topic').setSelectionRange(topic.length, topic.length)
  },
})

function watch(topic) {
  connection.join(topic)
  remember()
  requestPaint()
}

function showConnection({ state, why, retryAt, opened }) {
  $('link').dataset.state = state
  $('link-now').hidden = state !== 'waiting'
  if (state === 'open') {
    $('link-words').textContent = 'Connected'
    say('Connected')
    if (lostAt !== 0) {
      const seconds = Math.max(1, Math.round((Date.now() - lostAt) / 1000))
      feed.note(`Connected again after ${number(seconds)} s.`)
      lostAt = 0
      requestPaint()
    }
  } else if (state === 'waiting') {
    if (lostAt === 0 && opened > 0) {
      lostAt = Date.now()
      feed.note(`Connection lost. ${why}`)
      requestPaint()
    }
    say(`Not connected. ${why}`)
    countDown(retryAt)
  } else if (opened === 0) {
    $('link-words').textContent = 'Connecting'
  }
  askReady()
}

function countDown(retryAt) {
  if (connection.state !== 'waiting' || connection.retryAt !== retryAt) return
  const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000))
  $('link-words').textContent = `Not connected, again in ${seconds} s`
  setTimeout(() => countDown(retryAt), 500)
}

function showChannel(channel) {
  sidebar.show(channel)
  if (channel.state === 'joined') {
    say(`Watching ${describe(channel.topic)}`)
    newEpoch(channel.response.epoch)
    if (feed.cursor === '' && channel.response.position) showCursor(channel.response.position)
  }
  if (channel.state === 'refused') say(`${describe(channel.topic)} was refused. ${channel.words}`)
  if (channel.state === 'joined' || channel.state === 'retrying') askReady()
  requestPaint()
}

function newEpoch(seen) {
  if (!seen || seen === epoch) return
  if (epoch !== '') {
    feed.turnPage()
    feed.note('This is another database, or another history of it (a promoted standby, a restored backup): cursors from before mean nothing in it.')
  }
  epoch = seen
}

function showCursor(cursor) {
  if ($('cursor').dataset.cursor === cursor) return
  $('cursor').dataset.cursor = cursor
  $('cursor').firstChild.textContent = cursor
}

// ---- what the server says of itself -----------------------------------------------------------

async function ask(path) {
  const answer = await fetch(new URL(path, document.baseURI), { cache: 'no-store', credentials: 'same-origin' })
  const body = await answer.json().catch(() => ({}))
  return { ok: answer.ok, body }
}

let readyTimer = 0
async function askReady() {
  clearTimeout(readyTimer)
  if (connection.state !== 'open') {
    $('trouble').hidden = true
    return
  }
  const { ok, body } = await ask('ready').catch(() => ({ ok: true, body: {} }))
  clearTimeout(readyTimer)
  $('trouble').hidden = ok
  if (ok) return
  $('trouble').textContent = `The server is not ready: ${body.reason ?? body.status ?? 'it does not say why'}.`
  readyTimer = setTimeout(askReady, ASK_AGAIN_MS)
}

async function askTables() {
  const { ok, body } = await ask('console.json').catch(() => ({ ok: false, body: {} }))
  if (!ok || !Array.isArray(body.tables)) {
    $('tables-words').textContent = `The list of tables cannot be had now${body.error ? `: ${body.error.message}` : ''}. A topic can be typed below.`
    $('tables-words').hidden = false
    setTimeout(askTables, ASK_AGAIN_MS)
    return
  }
  $('tables-words').hidden = body.tables.length > 0
  $('tables-words').textContent = 'The publication has no tables.'
  $('version').textContent = body.version ? ` ${body.version}` : ''
  demo = body.demo === true
  $('demo').hidden = !demo
  $('graphiql').hidden = body.graphiql !== true
  feed.keys.learn(body.tables)
  sidebar.offer(body.tables)
  // Whoever tries the demo should see the first change without having to choose anything.
  if (demo && connection.channels.size === 0 && location.hash === '') {
    watch(EVERYTHING)
    drawer()
  }
  listed = true
  offerLive()
  requestPaint()
}

// ---- the live query -----------------------------------------------------------------------------

const live = new LiveQuery(new URL('graphql', document.baseURI).href, () => liveView.paint())
const liveView = new LiveView(live)
let samples = []
let listed = false

async function askGraphql(query) {
  const answer = await fetch(`${live.url}?${new URLSearchParams({ query })}`, { headers: { accept: 'application/json' } })
  return answer.json()
}

// Once it is known whether this is the demo, and somebody wants to see it.
async function offerLive() {
  if (!listed || samples.length > 0 || document.body.dataset.view !== 'live') return
  samples = demo ? DEMO : await everyList(askGraphql).catch(() => [])
  $('live-samples').replaceChildren(el('option', '', 'Choose one'), ...samples.map(([name]) => el('option', '', name)))
  if ($('live-query').value === '' && samples.length > 0) chooseLive(1)
}

function chooseLive(index) {
  $('live-samples').selectedIndex = index
  $('live-query').value = samples[index - 1]?.[1] ?? ''
}

function startLive() {
  const [query, variables] = [$('live-query').value, $('live-variables').value]
  live.start(query, variables)
  remember()
}

function look(view) {
  document.body.dataset.view = view
  const isLive = view === 'live'
  $('live-view').hidden = !isLive
  $('changes-view').hidden = isLive
  $('changes-side').hidden = isLive
  for (const button of document.querySelectorAll('nav [data-view]')) button.setAttribute('aria-current', String(button.dataset.view === view))
  noticeScroll()
  offerLive()
}

// ---- painting ---------------------------------------------------------------------------------

let painted = 0
let paintAsked = false
let paintedQuery = ''

// Never in a hidden tab: there the browser calls no animation frame, and the feed keeps itself small.
function requestPaint() {
  if (paintAsked) return
  paintAsked = true
  const pause = feed.pace.perSecond(Date.now()) > BUSY_RATE ? BUSY_PAINT_MS : CALM_PAINT_MS
  const wait = painted + pause - performance.now()
  if (wait > 0) setTimeout(() => requestAnimationFrame(paint), wait)
  else requestAnimationFrame(paint)
}

function paint() {
  paintAsked = false
  painted = performance.now()
  const { found, count } = feed.select(query, limit)
  paintRows(found)
  sidebar.paint()
  $('total').textContent = number(feed.total)
  if (feed.cursor) showCursor(feed.cursor)
  const kept = feed.shown.items.length
  $('shown').textContent = query.trim() !== '' ? `${number(count)} of ${number(kept)}` : kept >= KEEP ? `newest ${KEEP} kept` : ''
  paintWaiting()
  paintEmpty(count)
  paintPace()
}

// Rows that stay are left alone: only what is new is built, and what is too many is removed.
function paintRows(found) {
  const list = $('feed')
  const wanted = new Set(found.map((item) => String(item.number)))
  for (const row of [...list.children]) if (!wanted.has(row.dataset.number)) row.remove()
  const calm = feed.pace.perSecond(Date.now()) < CALM_RATE && paintedQuery === query
  paintedQuery = query
  let next = list.firstElementChild
  for (const item of found) {
    if (next?.dataset.number === String(item.number)) {
      next = next.nextElementSibling
      continue
    }
    const row = renderItem(item)
    if (calm) row.classList.add('new')
    list.insertBefore(row, next)
  }
}

function paintWaiting() {
  const waiting = feed.waiting.items.length + feed.overflowed
  const words = waiting === 1 ? '1 change' : `${number(waiting)} changes`
  const kept = feed.overflowed > 0 ? `, of which the newest ${number(feed.waiting.items.length)} are kept` : ''
  $('pause').textContent = paused ? (waiting > 0 ? `Resume (${number(waiting)})` : 'Resume') : 'Pause'
  $('pause').setAttribute('aria-pressed', String(paused))
  $('fresh').hidden = !feed.held || waiting === 0
  const act = paused ? `${words} since you paused${kept}. Show` : `${words} above${kept}. Show`
  if ($('fresh').textContent !== act) $('fresh').textContent = act
}

function paintEmpty(count) {
  $('empty').hidden = count > 0
  if (count > 0) return
  const channels = [...connection.channels.values()]
  const live = channels.some((channel) => channel.state === 'joined')
  const [title, words] =
    feed.shown.items.length > 0 ? ['No change matches the filter', 'It looks into values, table names, kinds and cursors.']
    : channels.length === 0 ? ['Choose a table', 'Its changes appear here the moment they are committed.']
    : !live ? ['Not listening yet', 'The channel’s state is told beside its name.']
    : ['Listening', demo ? 'Write with the buttons above, or with psql: it appears here once it is committed.' : 'The next committed change appears here.']
  $('empty-title').textContent = title
  $('empty-words').textContent = words
}

function paintPace() {
  const now = Date.now()
  const pace = feed.pace.perSecond(now)
  $('rate').textContent = pace > 0 && pace < 10 ? pace.toFixed(1) : number(Math.round(pace))
  drawSpark($('spark'), feed.pace.lastMinute(now))
}

// ---- what people do ---------------------------------------------------------------------------

function holdOrRelease() {
  const held = paused || away
  if (held === feed.held) return
  feed.hold(held)
  requestPaint()
}

function setPaused(on) {
  paused = on
  say(on ? 'Paused' : 'Going on')
  holdOrRelease()
  requestPaint()
}

// Whoever has scrolled down is reading: rows must not move away under the eyes.
function noticeScroll() {
  const top = $('feed').getBoundingClientRect().top
  away = top < $('tools').getBoundingClientRect().bottom - 40
  holdOrRelease()
  const nearEnd = window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 600
  if (nearEnd && $('feed').childElementCount >= limit) {
    limit += PAGE
    requestPaint()
  } else if (!away && !feed.held && limit > PAGE) {
    limit = PAGE
  }
}

async function write(button) {
  const words = $('demo-words')
  button.disabled = true
  const answer = await fetch(new URL('demo/write', document.baseURI), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ action: button.dataset.action }),
  }).then(async (got) => ({ ok: got.ok, body: await got.json().catch(() => ({})) }), () => ({ ok: false, body: {} }))
  button.disabled = false
  words.textContent = answer.ok ? '' : (answer.body.error?.message ?? 'The server did not take the write.')
}

// Topics and live query stand in the address, so that a reload or a sent link watches the same.
function remember() {
  const address = new URLSearchParams([...connection.channels.keys()].map((topic) => ['topic', topic]))
  if (live.state !== 'idle') for (const [name, value] of live.asked) address.set(name, value)
  if (document.body.dataset.view === 'live') address.set('view', 'live')
  history.replaceState(null, '', `#${address}`)
}

$('cursor').replaceChildren(document.createTextNode('none yet'))
if (navigator.clipboard) $('cursor').append(' ', copyButton('Copy', () => $('cursor').dataset.cursor ?? ''))
$('link-now').addEventListener('click', () => connection.connect())
$('pause').addEventListener('click', () => setPaused(!paused))
$('clear').addEventListener('click', () => {
  feed.clear()
  sidebar.zero()
  limit = PAGE
  requestPaint()
})
$('fresh').addEventListener('click', () => {
  away = false
  window.scrollTo({ top: 0 })
  setPaused(false)
})
$('filter').addEventListener('input', () => {
  query = $('filter').value
  requestPaint()
})
$('topic-form').addEventListener('submit', (event) => {
  event.preventDefault()
  const topic = normalise($('topic').value)
  if (topic === '') return
  if (connection.channels.has(topic)) connection.rejoin(topic)
  else watch(topic)
  $('topic').value = ''
})
$('live-form').addEventListener('submit', (event) => {
  event.preventDefault()
  startLive()
})
$('live-stop').addEventListener('click', () => {
  live.stop()
  remember()
})
$('live-samples').addEventListener('change', () => chooseLive($('live-samples').selectedIndex))
for (const button of document.querySelectorAll('nav [data-view]')) {
  button.addEventListener('click', () => {
    look(button.dataset.view)
    remember()
  })
}
for (const button of document.querySelectorAll('[data-action]')) button.addEventListener('click', () => write(button))
window.addEventListener('scroll', noticeScroll, { passive: true })

// On a wide window the side is always open; on a narrow one it is a drawer.
const wide = window.matchMedia('(min-width: 56rem)')
const drawer = () => { $('side').open = wide.matches || connection.channels.size === 0 }
wide.addEventListener('change', drawer)

connection.connect()
const address = new URLSearchParams(location.hash.slice(1))
for (const topic of address.getAll('topic')) connection.join(topic)
look(address.get('view') === 'live' ? 'live' : 'changes')
if (address.has('query')) {
  $('live-query').value = address.get('query')
  $('live-variables').value = address.get('variables') ?? ''
  startLive()
}
drawer()
askTables()
setInterval(paintPace, 1000)
requestPaint()
