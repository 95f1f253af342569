// A server that says what a test wants it to, for the edges of the protocol that a real one seldom shows.
import http from 'node:http'
import WebSocket, { WebSocketServer } from 'ws'
import { connect } from '../dist/index.js'

export const TOPIC = 'realtime:public:guests'
export const EPOCH = 'e-1'
export const token = (n) => `${EPOCH}.${cursor(n)}`
/** Past 15, its text is longer than that of those before. */
export const cursor = (n) => `${(0xf0 + n).toString(16).toUpperCase()}-${n.toString(16).toUpperCase()}-0`
export const change = (n) => ({ type: 'INSERT', schema: 'public', table: 'guests', columns: [], errors: null, cursor: cursor(n), record: { id: n } })

// Things that happen, to be awaited in their order.
export class Queue {
  #items = []
  #waiting = []

  push(item) {
    const waiting = this.#waiting.shift()
    if (waiting) waiting(item)
    else this.#items.push(item)
  }

  next() {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift())
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  get empty() {
    return this.#items.length === 0
  }
}

// A socket's joined topic, as the server sees it.
class Joined {
  constructor(socket, [joinRef, ref, topic, , payload]) {
    Object.assign(this, { socket, joinRef, ref, topic, payload })
  }

  send(event, payload, joinRef = null, ref = null) {
    this.socket.send(JSON.stringify([joinRef, ref, this.topic, event, payload]))
  }

  ok(response) {
    this.send('phx_reply', { status: 'ok', response: { position: cursor(0), epoch: EPOCH, ...response } }, this.joinRef, this.ref)
  }

  refuse(reason) {
    this.send('phx_reply', { status: 'error', response: { reason } }, this.joinRef, this.ref)
  }

  changes(...numbers) {
    for (const n of numbers) this.send('INSERT', change(n))
  }
}

// `joins` and `leaves` come by the socket, `requests` by HTTP as {url, request, response}. `upgrade`, `mute` and `reached` may be set.
export async function serve(t) {
  const late = setTimeout(() => { throw new Error(`${t.name}: something never came`) }, 60_000)
  t.after(() => clearTimeout(late))
  const fake = { upgrade: true, mute: false, joins: new Queue(), leaves: new Queue(), requests: new Queue(), sockets: new Queue() }
  const server = http.createServer((request, response) => {
    fake.requests.push({ url: new URL(request.url, 'http://fake'), request, response })
  })
  const sockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    if (!fake.upgrade) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      fake.sockets.push(accepted)
      accepted.on('message', (text) => {
        const frame = JSON.parse(text)
        const [joinRef, ref, topic, event] = frame
        if (fake.mute) return
        if (event === 'phx_join') fake.joins.push(new Joined(accepted, frame))
        else if (event === 'phx_leave') fake.leaves.push(frame)
        else accepted.send(JSON.stringify([joinRef, ref, topic, 'phx_reply', { status: 'ok', response: fake.reached ?? {} }]))
      })
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  fake.connect = (options) => {
    const client = connect(`http://127.0.0.1:${server.address().port}`, { WebSocket, pauses: { first: 10, cap: 50 }, ...options })
    t.after(() => client.close())
    return client
  }
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    server.closeAllConnections()
  })
  return fake
}

// What a subscription hands over, in a form to compare: ids of changes, and the types of all else.
export function told(client, options = {}, topic = TOPIC) {
  const events = new Queue()
  const subscription = client.subscribe(topic, { onStatus: (status) => events.statuses.push(status), ...options }, (event) => {
    events.push(event.type === 'INSERT' ? event.record.id : event.type === 'gap' ? `gap ${event.reason}` : event.type)
  })
  return Object.assign(events, { subscription, statuses: new Queue() })
}

export async function several(queue, count) {
  const items = []
  while (items.length < count) items.push(await queue.next())
  return items
}

// Passes over what is not wanted.
export async function until(queue, wanted) {
  for (;;) {
    const item = await queue.next()
    if (wanted(item)) return item
  }
}
