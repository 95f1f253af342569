import { FetchedLink } from './fetched.ts'
import type { Link, LinkOwner, LinkSettings, Loss, Transport } from './link.ts'
import { Live, type LiveCallback, type LiveOptions } from './live.ts'
import { pause, shielded, type Pauses } from './pause.ts'
import { Subscription, type Callback, type Owner, type SubscribeOptions } from './subscription.ts'
import { SocketLink } from './websocket.ts'
import type { Row } from './wire.ts'

export interface ConnectOptions {
  /** Where there is no global one: Node.js before 22, with the package `ws`. Without any, the other transports serve. */
  WebSocket?: unknown
  /** In place of the global one, for example to add headers. */
  fetch?: typeof fetch
  /** What may be tried, the best first: `['websocket', 'sse', 'poll']` by default. */
  transports?: Transport[]
  /** Milliseconds between heartbeats; 25000 by default. */
  heartbeat?: number
  /**
   * Milliseconds after which a server that does not answer is taken for gone; 20000 by default. A message shows itself
   * only when it is complete: raise it where rows of many megabytes come over slow lines.
   */
  timeout?: number
  /** Pauses between tries, in milliseconds: each a random one up to `first`, doubled each time up to `cap`; 1000 and 30000 by default. */
  pauses?: Partial<Pauses>
  onStatus?: (status: ClientStatus) => void
}

export type ClientStatus =
  | { state: 'connecting'; transport: Transport }
  | { state: 'open'; transport: Transport }
  /** `code` is the close code of the WebSocket, or 0; `retryAt` is in the milliseconds of `Date.now`. */
  | { state: 'waiting'; code: number; reason: string; retryAt: number }
  | { state: 'closed' }

/** How often a WebSocket that has worked before must fail until something less is tried. */
const STRIKES = 3
/** A WebSocket is tried again beside what is in use, after pauses that grow up to this. */
const BETTER: Pauses = { first: 5_000, cap: 60_000 }

/** A server, and what is followed there. */
export class Client implements LinkOwner, Owner {
  status: ClientStatus = { state: 'connecting', transport: 'websocket' }

  private readonly _url: string | URL
  private readonly _options: ConnectOptions
  /** The client whose second socket this is. */
  private readonly _first: Client | undefined
  private readonly _settings: LinkSettings
  private readonly _transports: Transport[]
  private readonly _subscriptions = new Set<Subscription<any>>()
  private readonly _lives = new Set<Live<any>>()
  private _link: Link | null = null
  /** A WebSocket that is tried beside. */
  private _better: Link | null = null
  private _betterTries = 0
  /** Which transport is tried, and with which this round began. */
  private _at = 0
  private _start = 0
  private _working = false
  private _socketWorked = false
  private _tries = 0
  private _timer: ReturnType<typeof setTimeout> | undefined
  private _betterTimer: ReturnType<typeof setTimeout> | undefined
  /** Whether topics may be joined. */
  private _isReady = false
  /** A socket has one channel for a topic; who follows it twice gets a second socket. */
  private _twin: Client | null = null

  /** @internal */
  constructor(url: string | URL, options: ConnectOptions, first?: Client) {
    this._url = url
    this._options = options
    this._first = first
    const { WebSocket = globalThis.WebSocket, transports = ['websocket', 'sse', 'poll'], heartbeat = 25_000, timeout = 20_000, pauses } = options
    const base = new URL(url, globalThis.document?.baseURI)
    base.protocol = base.protocol.replace('ws', 'http')
    base.hash = base.search = ''
    if (!base.pathname.endsWith('/')) base.pathname += '/'
    this._settings = {
      base,
      WebSocket: WebSocket as typeof globalThis.WebSocket,
      // Called as a function: browsers refuse theirs as a method of another object.
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      heartbeat,
      timeout,
      pauses: { first: 1_000, cap: 30_000, ...pauses },
    }
    this._transports = transports.filter((transport) => transport !== 'websocket' || WebSocket)
    if (this._transports.length === 0) throw new Error('there is no transport: give `WebSocket`, or name others')
    globalThis.document?.addEventListener('visibilitychange', this._seen)
    globalThis.addEventListener?.('online', this.wake)
    globalThis.addEventListener?.('pageshow', this._seen)
    // So that whoever connects has the client before it tells anything.
    queueMicrotask(() => this.status.state === 'connecting' && this._connect())
  }

  /**
   * Follows a topic (docs/protocol.md): each change is handed to the callback, or to `for await` if there is none.
   * What cannot be followed is told by `onStatus`, and thrown by the iteration.
   */
  subscribe<R = Row>(topic: string, callback?: Callback<R>): Subscription<R>
  subscribe<R = Row>(topic: string, options: SubscribeOptions, callback?: Callback<R>): Subscription<R>
  subscribe<R = Row>(topic: string, options?: SubscribeOptions | Callback<R>, callback?: Callback<R>): Subscription<R> {
    if (typeof options === 'function') return this.subscribe(topic, {}, options)
    this._refuseIfClosed()
    for (const other of this._subscriptions) {
      if (other.topic === topic) {
        this._twin ??= new Client(this._url, { ...this._options, onStatus: () => {} }, this)
        return this._twin.subscribe(topic, options ?? {}, callback)
      }
    }
    const subscription = new Subscription<R>(this, topic, options ?? {}, callback)
    this._subscriptions.add(subscription)
    if (this.status.state === 'waiting' && this._subscriptions.size === 1) this._connect()
    this._join(subscription)
    return subscription
  }

  /** Follows a query with `@live` (docs/live-queries.md): each result replaces the one before. */
  live<D = unknown>(query: string, callback?: LiveCallback<D>): Live<D>
  live<D = unknown>(query: string, variables: object | undefined, callback?: LiveCallback<D>): Live<D>
  live<D = unknown>(query: string, variables: object | undefined, options: LiveOptions, callback?: LiveCallback<D>): Live<D>
  live<D = unknown>(query: string, ...rest: (object | LiveCallback<D> | undefined)[]): Live<D> {
    this._refuseIfClosed()
    const callback = rest.find((argument) => typeof argument === 'function') as LiveCallback<D> | undefined
    const [variables, options] = rest.filter((argument) => typeof argument !== 'function') as [object?, LiveOptions?]
    const live = new Live<D>(this._settings, { query, variables }, options ?? {}, () => this._lives.delete(live), callback)
    this._lives.add(live)
    return live
  }

  /** Connects at once if it waits for its next try, else makes sure that the connection lives. Bound: it may be handed over as it is. */
  readonly wake = (): void => {
    if (this.status.state === 'waiting') this._connect()
    else this._link?._check()
    for (const live of this._lives) live._wake()
    this._twin?.wake()
  }

  /** Ends everything. */
  close(): void {
    if (this.status.state === 'closed') return
    globalThis.document?.removeEventListener('visibilitychange', this._seen)
    globalThis.removeEventListener?.('online', this.wake)
    globalThis.removeEventListener?.('pageshow', this._seen)
    for (const subscription of this._subscriptions) subscription._end()
    for (const live of this._lives) live.stop()
    this._twin?.close()
    this._drop()
    this._become({ state: 'closed' })
  }

  private readonly _seen = (): void => {
    if (!globalThis.document?.hidden) this.wake()
  }

  private _refuseIfClosed(): void {
    if (this.status.state === 'closed') throw new Error('the client is closed')
  }

  private _become(status: ClientStatus): void {
    this.status = status
    shielded(this._options.onStatus, status)
  }

  // ---- links -----------------------------------------------------------------------------------------------------

  private _make(transport: Transport): Link {
    return transport === 'websocket' ? new SocketLink(this, this._settings) : new FetchedLink(this, this._settings, transport)
  }

  private _drop(): void {
    clearTimeout(this._timer)
    clearTimeout(this._betterTimer)
    const links = [this._link, this._better]
    this._link = this._better = null
    for (const link of links) link?._close()
  }

  private _connect(): void {
    this._drop()
    this._working = this._isReady = false
    const transport = this._transports[this._at]!
    this._become({ state: 'connecting', transport })
    this._link = this._make(transport)
  }

  private _joinAll(): void {
    for (const subscription of this._subscriptions) this._join(subscription)
  }

  /** @internal */
  _ready(link: Link): void {
    if (link !== this._link) return
    this._isReady = true
    this._joinAll()
  }

  /** @internal */
  _works(link: Link): void {
    if (link === this._better) {
      this._link?._close()
      this._link = link
      this._better = null
      this._at = 0
      this._working = false
      this._isReady = true
      this._joinAll()
    }
    if (link !== this._link || this._working) return
    const transport = this._transports[this._at]!
    this._working = true
    this._tries = 0
    this._start = this._at
    if (transport === 'websocket') {
      this._socketWorked = true
      this._betterTries = 0
    } else this._tryBetter()
    this._become({ state: 'open', transport })
  }

  private _tryBetter(): void {
    if (this._transports[0] !== 'websocket') return
    clearTimeout(this._betterTimer)
    this._betterTimer = setTimeout(() => (this._better = this._make('websocket')), pause(BETTER, this._betterTries++))
  }

  /** @internal */
  _lost(link: Link, loss: Loss): void {
    if (link === this._better) {
      this._better = null
      this._tryBetter()
    }
    if (link !== this._link) return
    this._drop()
    for (const subscription of this._subscriptions) subscription._become({ state: 'waiting' })
    if (!this._working && this._mayFallBack()) {
      this._at = (this._at + 1) % this._transports.length
      if (this._at !== this._start) return this._connect()
    }
    const wait = pause(this._settings.pauses, this._tries++)
    this._timer = setTimeout(() => this._connect(), wait)
    this._become({ state: 'waiting', ...loss, retryAt: Date.now() + wait })
  }

  /** Without a topic there is nothing to ask for; and a server that restarts is no reason for less. */
  private _mayFallBack(): boolean {
    const spared = this._transports[this._at] === 'websocket' && this._socketWorked && this._tries < STRIKES
    return this._subscriptions.size > 0 && !spared
  }

  // ---- subscriptions ---------------------------------------------------------------------------------------------

  /** @internal */
  _join(subscription: Subscription<any>): void {
    if (subscription._wanted && this._isReady) this._link?._join(subscription)
  }

  /** @internal */
  _leave(subscription: Subscription<any>): void {
    this._link?._leave(subscription)
  }

  /** @internal */
  _forget(subscription: Subscription<any>): void {
    this._subscriptions.delete(subscription)
    this._leave(subscription)
    if (this._first && this._subscriptions.size === 0 && !this._twin) {
      this.close()
      this._first._twin = null
    }
  }
}

/**
 * A client of the server at this URL: `http:`, `https:`, `ws:` or `wss:`, the part of the path before `/socket` if it has
 * one. It connects at once, and goes on until `close`.
 */
export const connect = (url: string | URL, options: ConnectOptions = {}): Client => new Client(url, options)
