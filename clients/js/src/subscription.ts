import type { Transport } from './link.ts'
import { shielded } from './pause.ts'
import { sortable, WalcastError, type Change, type Joined, type Row, type SnapshotEnd, type SnapshotPage, type StreamEvent } from './wire.ts'

export interface SubscribeOptions {
  /** `subscription.cursor` of an earlier time: everything behind it is told, or a `gap` that it cannot be. */
  since?: string | null
  /** The rows that are there already come first; `limit` cuts them. Only for topics of one table. */
  snapshot?: boolean | { limit?: number }
  /** How values are written, see docs/protocol.md. */
  profile?: 'default' | 'exact' | 'text'
  /**
   * For iteration: how many events may wait. Beyond it the channel is left, and resumed from where it was once half of
   * them are taken. A snapshot is never interrupted so: its rows all wait. 1000 by default.
   */
  buffer?: number
  onStatus?: (status: SubscriptionStatus) => void
}

export type SubscriptionStatus =
  /** There is no connection, or the server cannot serve the topic now and is asked again: then `error` tells why. */
  | { state: 'waiting'; error?: WalcastError }
  | { state: 'joining' }
  /** `warnings` are what this topic cannot tell. */
  | { state: 'live'; transport: Transport; position: string; epoch: string; resumed: boolean; warnings: string[] }
  /** For good: `error` tells why, unless it was `unsubscribe`. */
  | { state: 'ended'; error?: WalcastError }

/** `text` is the JSON that the event came in, for those who need digits that `JSON.parse` rounds. */
export type Callback<R = Row> = (event: StreamEvent<R>, text?: string) => void

/** What a subscription needs of its client. @internal */
export interface Owner {
  _join(subscription: Subscription<any>): void
  _leave(subscription: Subscription<any>): void
  _forget(subscription: Subscription<any>): void
}

/** A topic that is followed across connections: by a callback, or by `for await`. */
export class Subscription<R = Row> implements AsyncIterable<StreamEvent<R>> {
  readonly topic: string
  status: SubscriptionStatus = { state: 'waiting' }
  /**
   * Where to go on after the event that was handed over last: a token to store, and to give as `since`. Null until the
   * topic is joined, and while a snapshot is under way.
   */
  cursor: string | null

  /** @internal */ readonly _options: SubscribeOptions
  private readonly _owner: Owner
  private readonly _callback: Callback<R> | undefined
  /** As `cursor`, of what was received; ahead of it by what waits in the buffer. */
  private _token: string | null
  private _epoch = ''
  /** The last cursor, sortable: what is not behind it was told already. */
  private _last = ''
  private _begun = false
  /** A snapshot was asked for, and did not come to its end. */
  private _owed: boolean
  private _paused = false
  private _waiting: { event: StreamEvent<R>; token: string | null }[] = []
  private _wake: (() => void) | undefined

  /** @internal */
  constructor(owner: Owner, topic: string, options: SubscribeOptions, callback?: Callback<R>) {
    this.topic = topic
    this._owner = owner
    this._options = options
    this._callback = callback
    this.cursor = this._token = options.since ?? null
    this._owed = !!options.snapshot && this._token === null
    this._see(this._token)
  }

  /** Leaves the topic. Nothing is told any more, and iterations end. */
  unsubscribe(): void {
    this._end()
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamEvent<R>, undefined> {
    if (this._callback) throw new Error('a subscription with a callback cannot be iterated')
    return {
      next: async () => {
        for (;;) {
          const next = this._waiting.shift()
          if (next) {
            this.cursor = next.token
            this._resume()
            return { done: false, value: next.event }
          }
          if (this.status.state === 'ended') {
            if (this.status.error) throw this.status.error
            return { done: true, value: undefined }
          }
          await new Promise<void>((resolve) => {
            const earlier = this._wake
            this._wake = () => {
              earlier?.()
              resolve()
            }
          })
        }
      },
      return: async () => {
        this.unsubscribe()
        return { done: true, value: undefined }
      },
    }
  }

  // ---- what links tell -------------------------------------------------------------------------------------------

  /** What to send as `since`, on a way that brings snapshots or on one that does not. @internal */
  _since(snapshots: boolean): string | null {
    return snapshots && this._owed ? null : this._token
  }

  /** @internal */
  get _wanted(): boolean {
    return this.status.state !== 'ended' && !this._paused
  }

  /** @internal */
  _become(status: SubscriptionStatus): void {
    if (this.status.state === 'ended') return
    this.status = status
    shielded(this._options.onStatus, status)
    if (status.state === 'ended') this._wake?.()
  }

  /** `snapshots`: this way brings the rows that are there already, if they were asked for. @internal */
  _joined(joined: Joined, transport: Transport, snapshots: boolean): void {
    const { position, epoch, oldest } = joined
    const asked = this._since(snapshots) !== null
    const resumed = asked && joined.resumed === true
    let reason = asked ? joined.reason ?? 'window' : this._begun ? 'snapshot' : ''
    this._begun = true
    this._epoch = epoch
    this._become({ state: 'live', transport, position, epoch, resumed, warnings: joined.warnings ?? [] })
    if (resumed) return
    this._owed = !!this._options.snapshot
    if (this._owed && !snapshots && !asked) reason = 'transport'
    this._token = this._owed && snapshots ? null : `${epoch}.${position}`
    // Also what was committed before the join, where the snapshot cannot see it.
    this._see(this._token)
    if (reason) this._hand({ type: 'gap', reason, ...(oldest ? { oldest } : {}) })
    else this._reached()
  }

  /** @internal */
  _change(change: Change<R>, text?: string): void {
    const place = sortable(change.cursor)
    if (place <= this._last) return
    this._last = place
    if (this._token !== null) this._token = `${this._epoch}.${change.cursor}`
    this._hand(change, text)
  }

  /** Nothing is left to tell up to there. @internal */
  _reach(token: string): void {
    this._token = token
    this._see(token)
    this._reached()
  }

  /** All up to this position was told, unless the rows are still coming. @internal */
  _passed(epoch: string, position: string): void {
    if (this._token !== null && epoch === this._epoch && sortable(position) > this._last) this._reach(`${epoch}.${position}`)
  }

  /** @internal */
  _page(page: SnapshotPage<R>, text?: string): void {
    this._hand({ ...page, type: 'snapshot' }, text)
  }

  /** @internal */
  _snapshotEnd(end: SnapshotEnd, text?: string): void {
    this._token = `${end.epoch}.${end.position}`
    this._see(this._token)
    this._owed = false
    this._hand({ ...end, type: 'snapshot_end' }, text)
  }

  /** @internal */
  _end(error?: WalcastError): void {
    if (this.status.state === 'ended') return
    this._owner._forget(this)
    if (!error) this._waiting = []
    this._become({ state: 'ended', ...(error ? { error } : {}) })
  }

  // ---- to whom it is told ----------------------------------------------------------------------------------------

  private _see(token: string | null): void {
    this._last = token === null ? '' : sortable(token.slice(token.indexOf('.') + 1))
  }

  private _reached(): void {
    if (this._waiting.length === 0) this.cursor = this._token
  }

  private _hand(event: StreamEvent<R>, text?: string): void {
    if (this._callback) {
      this.cursor = this._token
      shielded<StreamEvent<R>>(this._callback, event, text)
      return
    }
    this._waiting.push({ event, token: this._token })
    this._wake?.()
    this._wake = undefined
    if (this._token !== null && !this._paused && this._waiting.length > this._bound) {
      this._paused = true
      this._owner._leave(this)
    }
  }

  private get _bound(): number {
    return this._options.buffer ?? 1000
  }

  private _resume(): void {
    if (!this._paused || this._waiting.length > this._bound / 2) return
    this._paused = false
    this._owner._join(this)
  }
}
