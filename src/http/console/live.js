// One live query at a time: its results replace each other, and what is told of them stands beside.
import { compare, flat, parse, render } from './result.js'
import { el } from './view.js'

const RETRY_MS = 2_000
const RERUNS_KEPT = 50
const number = (n) => n.toLocaleString('en')

// What the demo is asked at first.
export const DEMO = [
  ['Auction 1 with its bids', 'query GetCurrentAuctionBids @live {\n  auction(id: "1") {\n    bids { amount }\n    highestBid { amount }\n    id\n    title\n  }\n}'],
  ['The three highest bids', 'query @live {\n  bids(orderBy: [{ amount: DESC }], limit: 3) {\n    id\n    amount\n    auction { title }\n  }\n}'],
  ['Every auction, summed up', 'query @live {\n  auctions {\n    id\n    title\n    bidsAggregate { count max { amount } }\n  }\n}'],
  ['Messages of room 1', 'query @live {\n  messages(filter: { roomId: { eq: 1 } }) {\n    id\n    from\n    body\n  }\n}'],
]

const FIELDS = '{ __schema { queryType { fields { name args { type { kind } } type { kind ofType { kind ofType { kind ofType { kind name fields { name args { name } type { kind ofType { kind } } } } } } } } } } }'

// A live query for each list that can be asked for without more ado, of all that is no list and no other row.
export async function everyList(ask) {
  const { data } = await ask(FIELDS)
  const isLeaf = (type) => ['SCALAR', 'ENUM'].includes(type.kind) || (type.kind === 'NON_NULL' && isLeaf(type.ofType))
  return (data?.__schema.queryType.fields ?? []).flatMap(({ name, args, type }) => {
    const row = type.ofType?.kind === 'LIST' ? type.ofType.ofType?.ofType : undefined
    if (row?.kind !== 'OBJECT' || args.some((arg) => arg.type.kind === 'NON_NULL')) return []
    const fields = row.fields.filter((field) => field.args.length === 0 && isLeaf(field.type)).map((field) => field.name)
    return fields.length > 0 ? [[name, `query @live {\n  ${name}(limit: 20) {\n    ${fields.join('\n    ')}\n  }\n}`]] : []
  })
}

export class LiveQuery {
  // `show` is told whenever something of it is another.
  constructor(url, show) {
    this.url = url
    this.show = show
    this.state = 'idle'
    this.clear()
  }

  clear() {
    this.tree = null
    this.data = undefined
    this.errors = []
    this.keys = []
    this.told = null
    this.results = 0
    this.reruns = []
  }

  start(query, variables) {
    this.stop()
    this.clear()
    this.asked = new URLSearchParams({ query, ...(variables.trim() ? { variables } : {}) })
    this.connect()
  }

  stop() {
    clearTimeout(this.timer)
    this.source?.close()
    this.source = null
    this.become('idle')
  }

  become(state) {
    this.state = state
    this.show()
  }

  connect() {
    this.become('connecting')
    this.source = new EventSource(`${this.url}?${this.asked}`)
    this.source.addEventListener('next', ({ data }) => this.take(data))
    this.source.addEventListener('complete', () => {
      this.source.close()
      this.become('over')
    })
    // After most failures the browser connects again by itself, not after a status other than 200.
    this.source.addEventListener('error', () => {
      if (this.source.readyState === EventSource.CLOSED) this.timer = setTimeout(() => this.connect(), RETRY_MS)
      this.become('waiting')
    })
  }

  take(text) {
    const { data, errors, extensions, isLive } = parse(text)
    const tree = compare(this.data, data ?? null)
    const told = extensions?.live
    const rerun = {
      at: new Date(),
      causes: told?.causes ?? [],
      milliseconds: told && flat(told.milliseconds),
      differences: this.data === undefined ? 0 : tree.differences,
      first: this.data === undefined,
      failed: errors !== undefined,
    }
    this.tree = tree
    this.data = data ?? null
    this.errors = (errors ?? []).map(({ message, path }) => (path ? `${path.map((step) => (typeof step === 'string' ? step : flat(step))).join('.')}: ${message}` : message))
    this.keys = extensions?.liveResourceIdentifier ?? []
    this.told = told ?? null
    this.results += 1
    this.reruns = [rerun, ...this.reruns].slice(0, RERUNS_KEPT)
    this.isLive = isLive === true
    this.become('live')
  }
}

// ---- as elements --------------------------------------------------------------------------------------

const STATES = {
  idle: 'Stopped',
  connecting: 'Starting',
  waiting: 'Connection lost, trying again',
  live: 'Live',
  over: 'Ended by the server',
}

export class LiveView {
  constructor(query) {
    this.query = query
    this.on = (id) => document.getElementById(`live-${id}`)
  }

  paint() {
    const { query, on } = this
    on('state').dataset.state = query.state
    on('state-words').textContent = STATES[query.state]
    on('stop').disabled = query.state === 'idle' || query.state === 'over'
    on('results').textContent = number(query.results)
    on('runs').textContent = query.told ? flat(query.told.runs) : '–'
    on('took').textContent = query.told ? `${flat(query.told.milliseconds)} ms` : '–'
    on('errors').replaceChildren(...query.errors.map((words) => el('li', '', words)))
    on('keys').replaceChildren(...query.keys.map((key) => el('li', '', key)))
    on('keys-none').hidden = query.keys.length > 0
    on('keys-none').textContent = query.results > 0 && !query.told ? 'The server does not tell them: graphql.live_extensions is off.' : 'None yet.'
    on('reruns').replaceChildren(...query.reruns.map(rerun))
    if (this.painted === query.tree) return
    this.painted = query.tree
    on('result').replaceChildren(...(query.tree ? [render(query.tree)] : []))
  }
}

function rerun({ at, causes, milliseconds, differences, first, failed }) {
  const item = el('li')
  const time = el('time', '', at.toLocaleTimeString('en-GB'))
  const what = first ? 'first result' : failed ? 'an error' : differences === 1 ? '1 change' : `${number(differences)} changes`
  const why = el('span', 'causes')
  why.append(...causes.map((cause) => el('code', '', cause)))
  item.append(time, el('span', 'what', milliseconds ? `${what}, ${milliseconds} ms` : what), why)
  return item
}
