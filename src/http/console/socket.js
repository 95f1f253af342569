// What the page watches, by the client of clients/js: the states that the page shows, and one subscription for each topic.
import { explain, explainClose } from './topics.js'
import { connect } from './walcast.js'

const STATES = { waiting: 'waiting', joining: 'joining', live: 'joined', ended: 'refused' }
// JSON.parse would round int8 and numeric, so they are asked for as strings.
const PROFILE = 'exact'
const HEARTBEAT_MS = 15_000
const PAUSES = { first: 1_000, cap: 15_000 }

// `listener` has: state(connection), channel(channel), change(topic, payload, text), gap(topic, reason).
export class Connection {
  constructor(url, listener) {
    this.url = url
    this.listener = listener
    this.channels = new Map()
    this.state = 'idle'
    this.why = ''
    this.retryAt = 0
    this.opened = 0
    this.client = null
  }

  connect() {
    if (this.client) this.client.wake()
    else this.client = connect(this.url, { heartbeat: HEARTBEAT_MS, pauses: PAUSES, onStatus: (status) => this.whenStatus(status) })
  }

  join(topic) {
    if (this.channels.has(topic)) return
    this.channels.set(topic, { topic, state: 'waiting', code: '', words: '', response: null, subscription: null })
    this.subscribe(this.channels.get(topic))
  }

  rejoin(topic) {
    const channel = this.channels.get(topic)
    if (channel?.state === 'refused') this.subscribe(channel)
  }

  leave(topic) {
    const channel = this.channels.get(topic)
    this.channels.delete(topic)
    channel?.subscription.unsubscribe()
  }

  subscribe(channel) {
    const { topic } = channel
    const since = channel.subscription?.cursor ?? null
    const onStatus = (status) => this.settle(channel, status)
    this.settle(channel, { state: 'waiting' })
    channel.subscription = this.client.subscribe(topic, { since, profile: PROFILE, onStatus }, (event, text) => {
      if (event.type === 'gap') this.listener.gap(topic, event.reason)
      else this.listener.change(topic, event, text ?? JSON.stringify(event))
    })
  }

  whenStatus({ state, code, reason, retryAt }) {
    this.state = state
    if (state === 'open') this.opened += 1
    if (state === 'waiting') {
      this.why = explainClose(code, reason)
      this.retryAt = retryAt
    }
    this.listener.state(this)
  }

  settle(channel, status) {
    if (this.channels.get(channel.topic) !== channel) return
    const { code, message } = status.error ?? {}
    channel.state = status.error && status.state === 'waiting' ? 'retrying' : STATES[status.state]
    channel.code = code === 'unmatched topic' ? '' : (code ?? '')
    channel.words = message === undefined ? (status.warnings ?? []).join(' ') : explain(code, message)
    if (status.state === 'live') channel.response = status
    this.listener.channel(channel)
  }
}
