import type { Link, LinkOwner, LinkSettings, Loss } from './link.ts'
import { pause } from './pause.ts'
import type { Subscription } from './subscription.ts'
import { passing, refusal, WalcastError, type Change, type Joined, type SnapshotEnd, type SnapshotPage } from './wire.ts'

/** The server answers every join within 8 s, if only to say that it cannot. */
const JOIN_MS = 12_000
/** Whoever looks at the page does not wait for the usual time. */
const CHECK_MS = 5_000

interface Channel {
  subscription: Subscription<any>
  /** The reference of its join; null before the next try. */
  ref: string | null
  live: boolean
  tries: number
  timer?: ReturnType<typeof setTimeout>
}

/** All channels on one socket: Phoenix channels, protocol 2.0.0. @internal */
export class SocketLink implements Link {
  private readonly _owner: LinkOwner
  private readonly _settings: LinkSettings
  private readonly _socket: WebSocket
  private readonly _channels = new Map<string, Channel>()
  private _refs = 0
  private _deadline: ReturnType<typeof setTimeout> | undefined
  private _due = Infinity
  private readonly _pulse: ReturnType<typeof setInterval>
  private _over = false

  constructor(owner: LinkOwner, settings: LinkSettings) {
    this._owner = owner
    this._settings = settings
    const url = new URL('socket/websocket?vsn=2.0.0', settings.base)
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = (this._socket = new settings.WebSocket!(url))
    this._await(settings.timeout)
    this._pulse = setInterval(() => this._beat(settings.timeout), settings.heartbeat)
    socket.onopen = () => {
      // Its answer is the first frame; a way that lets none through is none.
      this._beat(settings.timeout)
      owner._ready(this)
    }
    socket.onmessage = ({ data }) => this._hear(data)
    socket.onclose = ({ code, reason }) => this._lose({ code, reason })
    socket.onerror = () => {} // the close says why
  }

  _join(subscription: Subscription<any>): void {
    const channel: Channel = { subscription, ref: null, live: false, tries: 0 }
    this._channels.set(subscription.topic, channel)
    this._ask(channel)
  }

  _leave(subscription: Subscription<any>): void {
    const channel = this._channels.get(subscription.topic)
    if (channel?.subscription !== subscription) return
    clearTimeout(channel.timer)
    this._channels.delete(subscription.topic)
    if (channel.ref !== null) this._send(channel.ref, subscription.topic, 'phx_leave', {})
  }

  _check(): void {
    if (this._socket.readyState === 1) this._beat(Math.min(CHECK_MS, this._settings.timeout))
  }

  _close(): void {
    this._over = true
    clearInterval(this._pulse)
    clearTimeout(this._deadline)
    for (const { timer } of this._channels.values()) clearTimeout(timer)
    this._socket.close()
  }

  // ---- the socket ------------------------------------------------------------------------------------------------

  private _lose(loss: Loss): void {
    if (this._over) return
    this._close()
    this._owner._lost(this, loss)
  }

  /** Anything that is heard will do: behind many changes an answer is long in coming. An earlier deadline stands. */
  private _await(ms: number): void {
    const due = Date.now() + ms
    if (due >= this._due) return
    this._due = due
    clearTimeout(this._deadline)
    this._deadline = setTimeout(() => this._lose({ code: 0, reason: 'the server does not answer' }), ms)
  }

  private _beat(timeout: number): void {
    if (this._socket.readyState !== 1) return
    this._await(timeout)
    this._send(null, 'phoenix', 'heartbeat', {})
  }

  private _send(joinRef: string | null, topic: string, event: string, payload: object): string {
    const ref = String(++this._refs)
    this._socket.send(JSON.stringify([event === 'phx_join' ? ref : joinRef, ref, topic, event, payload]))
    return ref
  }

  private _hear(text: unknown): void {
    if (this._over) return
    clearTimeout(this._deadline)
    this._due = Infinity
    this._owner._works(this)
    let frame: [string | null, string | null, string, string, any]
    try {
      frame = JSON.parse(text as string)
    } catch {
      return
    }
    const [joinRef, ref, topic, event, payload] = frame
    const channel = this._channels.get(topic)
    if (!channel) {
      // How far this socket has come: what changes seldom can be resumed all the same.
      const { position, epoch } = payload?.response ?? {}
      if (topic === 'phoenix' && position) {
        for (const { live, subscription } of this._channels.values()) if (live) subscription._passed(epoch, position)
      }
      return
    }
    if (event === 'phx_reply') {
      if (ref === channel.ref && !channel.live) this._answered(channel, payload)
    } else if (event === 'phx_error') {
      if (joinRef === null || joinRef === channel.ref) this._again(channel)
    } else if (event === 'phx_close') {
      if (joinRef === channel.ref) channel.subscription._end(new WalcastError('', 'the server closed the channel'))
    } else if (channel.live) {
      this._tell(channel, event, payload, text as string)
    }
  }

  // ---- channels --------------------------------------------------------------------------------------------------

  private _ask(channel: Channel): void {
    const { subscription } = channel
    const { profile, snapshot } = subscription._options
    const since = subscription._since(true)
    channel.live = false
    subscription._become({ state: 'joining' })
    channel.timer = setTimeout(() => this._again(channel, new WalcastError('', 'the server does not answer')), JOIN_MS)
    channel.ref = this._send(null, subscription.topic, 'phx_join', {
      frames: 'type',
      ...(profile ? { profile } : {}),
      ...(since !== null ? { since } : {}),
      ...(snapshot ? { snapshot: snapshot === true ? {} : snapshot } : {}),
    })
  }

  /** After a while, since what broke off for one broke off for all. */
  private _again(channel: Channel, error?: WalcastError): void {
    clearTimeout(channel.timer)
    channel.ref = null
    channel.live = false
    channel.timer = setTimeout(() => this._ask(channel), pause(this._settings.pauses, channel.tries++))
    channel.subscription._become({ state: 'waiting', ...(error ? { error } : {}) })
  }

  private _answered(channel: Channel, { status, response }: { status: string; response: Joined & { reason?: string } }): void {
    clearTimeout(channel.timer)
    if (status === 'ok') {
      channel.live = true
      channel.subscription._joined(response, 'websocket', true)
      // A snapshot has yet to come to its end.
      if (channel.subscription._since(true) !== null) channel.tries = 0
      return
    }
    this._refused(channel, response?.reason)
  }

  private _refused(channel: Channel, reason: unknown): void {
    const error = refusal(reason)
    if (passing(error.code)) this._again(channel, error)
    else channel.subscription._end(error)
  }

  private _tell(channel: Channel, event: string, payload: object, text: string): void {
    const { subscription } = channel
    if (event === 'snapshot') subscription._page(payload as SnapshotPage, text)
    else if (event === 'snapshot_end') {
      channel.tries = 0
      subscription._snapshotEnd(payload as SnapshotEnd, text)
    } else if (event === 'snapshot_error') this._refused(channel, (payload as { reason?: unknown }).reason)
    else if ('cursor' in payload) subscription._change(payload as Change, text)
  }
}
