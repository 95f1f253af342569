// One WebSocket that speaks Phoenix channels, protocol 2.0.0: every frame is
// [join_ref, ref, topic, event, payload]. It reconnects and rejoins by itself.
import { explain, explainClose } from './topics.js'

const HEARTBEAT_MS = 15_000
// The server answers every join within 8 s, if only to say that it cannot.
const JOIN_TIMEOUT_MS = 12_000
const FIRST_RETRY_MS = 500
const LAST_RETRY_MS = 15_000
// JSON.parse would round int8 and numeric, so they are asked for as strings; and this page has no
// use for the `*` twin of every frame.
const JOIN = { profile: 'exact', frames: 'type' }
const CHANGES = new Set(['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])

// Half of the wait is fixed and half is drawn, so that a restarted server is not met by all pages at once.
function backOff(tries) {
  const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10))
  return ceiling / 2 + Math.random() * ceiling / 2
}

// `listener` has: state(connection), channel(channel), change(topic, payload, text).
export class Connection {
  constructor(url, listener) {
    this.url = url
    this.listener = listener
    this.channels = new Map()
    this.state = 'idle'
    this.why = ''
    this.retryAt = 0
    this.tries = 0
    this.opened = 0
    this.refs = 0
    this.socket = null
    this.retryTimer = 0
    this.beat = 0
    this.awaited = false
    this.heard = false
  }

  connect() {
    clearTimeout(this.retryTimer)
    this.abandon()
    const socket = new WebSocket(this.url)
    this.socket = socket
    // A socket that was abandoned may still call back; it must not disturb its successor.
    const current = (act) => (event) => { if (this.socket === socket) act(event) }
    socket.onopen = current(() => this.whenOpen())
    socket.onmessage = current((event) => this.whenFrame(event.data))
    socket.onclose = current((event) => this.whenLost(explainClose(event.code, event.reason)))
    this.move('connecting')
  }

  // Back from sleep or offline: waiting out the timer would only annoy.
  wake() {
    if (this.state === 'waiting') this.connect()
  }

  join(topic) {
    if (this.channels.has(topic)) return
    const channel = { topic, state: 'waiting', code: '', words: '', response: null, ref: null, timer: 0, tries: 0 }
    this.channels.set(topic, channel)
    this.tryJoin(channel)
  }

  rejoin(topic) {
    const channel = this.channels.get(topic)
    if (channel?.state === 'refused') this.tryJoin(channel)
  }

  leave(topic) {
    const channel = this.channels.get(topic)
    if (!channel) return
    this.channels.delete(topic)
    clearTimeout(channel.timer)
    if (channel.ref !== null) this.send(channel.ref, topic, 'phx_leave', {})
  }

  // ---- the socket's life -------------------------------------------------------------------

  whenOpen() {
    this.tries = 0
    this.opened += 1
    this.awaited = false
    this.beat = setInterval(() => this.heartbeat(), HEARTBEAT_MS)
    this.move('open')
    for (const channel of this.channels.values()) this.tryJoin(channel)
  }

  whenLost(why) {
    this.abandon()
    this.why = why
    const wait = backOff(this.tries++)
    this.retryAt = Date.now() + wait
    this.retryTimer = setTimeout(() => this.connect(), wait)
    for (const channel of this.channels.values()) {
      clearTimeout(channel.timer)
      channel.ref = null
      this.settle(channel, 'waiting')
    }
    this.move('waiting')
  }

  abandon() {
    clearInterval(this.beat)
    const socket = this.socket
    this.socket = null
    if (socket) socket.close()
  }

  move(state) {
    this.state = state
    this.listener.state(this)
  }

  // Any frame shows that the server lives: behind many changes an answer may be long in coming.
  heartbeat() {
    if (this.awaited && !this.heard) {
      this.whenLost('The server stopped answering.')
      return
    }
    this.awaited = true
    this.heard = false
    this.send(null, 'phoenix', 'heartbeat', {})
  }

  send(joinRef, topic, event, payload) {
    if (this.socket?.readyState !== WebSocket.OPEN) return null
    const ref = String(++this.refs)
    this.socket.send(JSON.stringify([joinRef ?? (event === 'phx_join' ? ref : null), ref, topic, event, payload]))
    return ref
  }

  // ---- channels ----------------------------------------------------------------------------

  tryJoin(channel) {
    clearTimeout(channel.timer)
    channel.ref = this.send(null, channel.topic, 'phx_join', JOIN)
    if (channel.ref === null) {
      this.settle(channel, 'waiting')
      return
    }
    channel.timer = setTimeout(() => this.retryJoin(channel, '', 'The server did not answer.'), JOIN_TIMEOUT_MS)
    this.settle(channel, 'joining', channel.code, channel.words)
  }

  retryJoin(channel, code, words) {
    clearTimeout(channel.timer)
    channel.ref = null
    channel.timer = setTimeout(() => this.tryJoin(channel), backOff(channel.tries++))
    this.settle(channel, 'retrying', code, words)
  }

  settle(channel, state, code = '', words = '') {
    Object.assign(channel, { state, code, words })
    this.listener.channel(channel)
  }

  whenFrame(text) {
    this.heard = true
    if (typeof text !== 'string') return
    let frame
    try {
      frame = JSON.parse(text)
    } catch {
      return
    }
    if (!Array.isArray(frame) || frame.length !== 5) return
    const [joinRef, ref, topic, event, payload] = frame
    const channel = this.channels.get(topic)
    if (!channel || payload === null || typeof payload !== 'object') return
    if (CHANGES.has(event)) {
      if (channel.state === 'joined') this.listener.change(topic, payload, text)
    } else if (event === 'phx_reply') {
      if (ref === channel.ref && channel.state === 'joining') this.whenReply(channel, payload)
    } else if (joinRef === null || joinRef === channel.ref) {
      if (event === 'phx_error') this.retryJoin(channel, '', 'The channel broke off.')
      if (event === 'phx_close') this.close(channel)
    }
  }

  whenReply(channel, payload) {
    clearTimeout(channel.timer)
    const response = payload.response ?? {}
    if (payload.status === 'ok') {
      channel.tries = 0
      channel.response = response
      const warnings = Array.isArray(response.warnings) ? response.warnings.join(' ') : ''
      this.settle(channel, 'joined', '', warnings)
      return
    }
    const { code, words } = explain(response.reason)
    channel.ref = null
    if (code === 'Unavailable') this.retryJoin(channel, code, words)
    else this.settle(channel, 'refused', code, words)
  }

  close(channel) {
    clearTimeout(channel.timer)
    channel.ref = null
    this.settle(channel, 'refused', '', 'The server closed this channel.')
  }
}
