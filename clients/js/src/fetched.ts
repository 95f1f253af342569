import type { Link, LinkOwner, LinkSettings } from './link.ts'
import { pause } from './pause.ts'
import { serverEvents } from './sse.ts'
import type { Subscription } from './subscription.ts'
import { passing, WalcastError, type Change, type Joined } from './wire.ts'

/** The server comments every 15 s on a stream, and answers a poll after 25 s. */
const SILENCE_MS = 40_000
/** Whoever looks at the page does not wait for the usual time. */
const CHECK_MS = 20_000
const POLL_SECONDS = 25

interface Poll {
  events: Change[]
  position: string
  resumed: boolean
  reason?: string
  oldest?: string
}

interface Request {
  abort: AbortController
  heard: number
  deadline?: ReturnType<typeof setTimeout>
}

/** A request of its own for each topic, where no WebSocket goes through. @internal */
export class FetchedLink implements Link {
  private readonly _owner: LinkOwner
  private readonly _settings: LinkSettings
  private readonly _transport: 'sse' | 'poll'
  private readonly _requests = new Map<Subscription<any>, Request>()
  private _works = false
  private _over = false
  /** Those that wait until the first has shown whether this is a way. */
  private _later = new Set<Subscription<any>>()

  constructor(owner: LinkOwner, settings: LinkSettings, transport: 'sse' | 'poll') {
    this._owner = owner
    this._settings = settings
    this._transport = transport
    // The owner has to know us first.
    queueMicrotask(() => this._over || owner._ready(this))
  }

  _join(subscription: Subscription<any>): void {
    if (this._works || this._requests.size === 0) void this._follow(subscription)
    else this._later.add(subscription)
  }

  _leave(subscription: Subscription<any>): void {
    this._later.delete(subscription)
    const request = this._requests.get(subscription)
    this._requests.delete(subscription)
    if (request) this._stop(request)
    this._others()
  }

  _check(): void {
    for (const { heard } of this._requests.values()) if (Date.now() - heard > CHECK_MS) this._lose('the server fell silent')
  }

  _close(): void {
    this._over = true
    for (const request of this._requests.values()) this._stop(request)
    this._requests.clear()
  }

  private _stop({ abort, deadline }: Request): void {
    clearTimeout(deadline)
    abort.abort()
  }

  private _lose(reason: string): void {
    if (this._over) return
    this._close()
    this._owner._lost(this, { code: 0, reason })
  }

  /** The next of those that wait: all of them once this is known to be a way. */
  private _others(): void {
    for (const subscription of this._later) {
      if (!this._works && this._requests.size > 0) return
      this._later.delete(subscription)
      void this._follow(subscription)
    }
  }

  private async _follow(subscription: Subscription<any>): Promise<void> {
    const request: Request = { abort: new AbortController(), heard: Date.now() }
    this._requests.set(subscription, request)
    const current = () => this._requests.get(subscription) === request
    try {
      for (let tries = 0; current(); ) {
        subscription._become({ state: 'joining' })
        const before = Date.now()
        const error = await (this._transport === 'sse' ? this._stream(subscription, request) : this._poll(subscription, request))
        if (!current()) return
        clearTimeout(request.deadline)
        if (error && !passing(error.code)) {
          subscription._end(error)
          return
        }
        if (Date.now() - before > SILENCE_MS) tries = 0
        subscription._become({ state: 'waiting', ...(error ? { error } : {}) })
        await new Promise((resolve) => setTimeout(resolve, pause(this._settings.pauses, tries++)))
      }
    } catch (error) {
      if (current()) this._lose(error instanceof Error ? error.message : String(error))
    }
  }

  private _hear(request: Request): void {
    request.heard = Date.now()
    this._await(request, SILENCE_MS)
  }

  private _await(request: Request, ms: number): void {
    clearTimeout(request.deadline)
    request.deadline = setTimeout(() => this._lose('the server fell silent'), ms)
  }

  private _worked(): void {
    if (!this._works) this._owner._works(this)
    this._works = true
    this._others()
  }

  /** The response, or the refusal of it. Throws what says nothing of the topic. */
  private async _get(subscription: Subscription<any>, request: Request, path: string, kind: string, timeout: number): Promise<Response | WalcastError> {
    const url = new URL(path, this._settings.base)
    const since = subscription._since(false)
    const { profile } = subscription._options
    url.searchParams.set('topic', subscription.topic)
    if (profile) url.searchParams.set('profile', profile)
    if (since !== null) url.searchParams.set('since', since)
    this._await(request, timeout)
    const response = await this._settings.fetch(url, { headers: { accept: kind }, cache: 'no-store', signal: request.abort.signal })
    if (response.ok && response.headers.get('content-type')?.startsWith(kind)) return response
    const error = await response.json().then((body) => body.error, () => undefined)
    // Not of walcast, or of one that does not serve this way.
    if (typeof error?.code !== 'string' || /^(NotFound|WindowOff)$/.test(error.code)) throw new Error(`HTTP ${response.status}`)
    this._worked()
    return new WalcastError(error.code, error.message)
  }

  private async _stream(subscription: Subscription<any>, request: Request): Promise<WalcastError | undefined> {
    const response = await this._get(subscription, request, 'events', 'text/event-stream', this._settings.timeout)
    if (response instanceof WalcastError) return response
    for await (const { name, data, id } of serverEvents(response.body!, () => this._hear(request))) {
      if (this._requests.get(subscription) !== request) return
      if (name === 'joined') {
        this._worked()
        subscription._joined(JSON.parse(data) as Joined, 'sse', false)
      } else if (name === 'refused') {
        this._worked()
        const { code, message } = JSON.parse(data).error
        return new WalcastError(code, message)
      } else if (name === 'interrupted') return
      else if (data !== '') subscription._change(JSON.parse(data) as Change, data)
      else if (id !== '') subscription._reach(id)
    }
    throw new Error('the stream ended')
  }

  private async _poll(subscription: Subscription<any>, request: Request): Promise<WalcastError | undefined> {
    for (;;) {
      const path = `poll?wait=${POLL_SECONDS}`
      const response = await this._get(subscription, request, path, 'application/json', POLL_SECONDS * 1000 + this._settings.timeout)
      if (response instanceof WalcastError) return response
      const { events, position: token, ...answer } = (await response.json()) as Poll
      if (this._requests.get(subscription) !== request) return
      this._hear(request)
      this._worked()
      if (subscription.status.state !== 'live' || !answer.resumed) {
        const [epoch = '', position = ''] = token.split('.')
        subscription._joined({ ...answer, position, epoch }, 'poll', false)
      }
      for (const change of events) subscription._change(change)
      subscription._reach(token)
    }
  }
}
