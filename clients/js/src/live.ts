import type { LinkSettings } from './link.ts'
import { pause, shielded } from './pause.ts'
import { serverEvents } from './sse.ts'
import { WalcastError } from './wire.ts'

/** One result: it replaces the one before. */
export interface LiveResult<D = unknown> {
  data?: D | null
  /** Also the error of a result is replaced by the next one. */
  errors?: { message: string; path?: (string | number)[]; extensions?: { code?: string } }[]
  extensions?: Record<string, unknown>
  isLive?: boolean
}

export interface LiveOptions {
  onStatus?: (status: LiveStatus) => void
}

export type LiveStatus =
  | { state: 'connecting' }
  | { state: 'live' }
  /** `retryAt` is in the milliseconds of `Date.now`. */
  | { state: 'waiting'; reason: string; retryAt: number }
  /** For good: by `stop`, by the server after its last result, or with `error`, which tells why it was refused. */
  | { state: 'ended'; error?: WalcastError }

/** `text` is the JSON that the result came in, for those who need digits that `JSON.parse` rounds. */
export type LiveCallback<D = unknown> = (result: LiveResult<D>, text?: string) => void

/** The server comments every 12 s. */
const SILENCE_MS = 30_000
const CHECK_MS = 15_000

/** A live query that is followed across connections: by a callback, or by `for await`, which gets the newest result only. */
export class Live<D = unknown> implements AsyncIterable<LiveResult<D>> {
  status: LiveStatus = { state: 'connecting' }

  private readonly _settings: LinkSettings
  private readonly _body: string
  private readonly _onStatus: LiveOptions['onStatus']
  private readonly _forget: () => void
  private readonly _callback: LiveCallback<D> | undefined
  private _abort = new AbortController()
  private _id = ''
  private _tries = 0
  private _heard = 0
  private _deadline: ReturnType<typeof setTimeout> | undefined
  private _newest: LiveResult<D> | undefined
  /** Ends what is waited for: the pause before the next try, and the iterations' turn. */
  private _hurry: (() => void) | undefined
  private _turns: (() => void)[] = []

  /** @internal */
  constructor(settings: LinkSettings, body: object, options: LiveOptions, forget: () => void, callback?: LiveCallback<D>) {
    this._settings = settings
    this._body = JSON.stringify(body)
    this._onStatus = options.onStatus
    this._forget = forget
    this._callback = callback
    queueMicrotask(() => void this._follow())
  }

  /** Ends it, and iterations. */
  stop(): void {
    this._newest = undefined
    this._end()
  }

  [Symbol.asyncIterator](): AsyncIterator<LiveResult<D>, undefined> {
    if (this._callback) throw new Error('a live query with a callback cannot be iterated')
    return {
      next: async () => {
        for (;;) {
          const value = this._newest
          this._newest = undefined
          if (value) return { done: false, value }
          if (this.status.state === 'ended') {
            if (this.status.error) throw this.status.error
            return { done: true, value: undefined }
          }
          await new Promise<void>((resolve) => this._turns.push(resolve))
        }
      },
      return: async () => {
        this.stop()
        return { done: true, value: undefined }
      },
    }
  }

  /** @internal */
  _wake(): void {
    if (this.status.state === 'waiting') this._hurry?.()
    else if (this.status.state === 'live' && Date.now() - this._heard > CHECK_MS) this._abort.abort()
  }

  private _become(status: LiveStatus): void {
    if (this.status.state === 'ended') return
    this.status = status
    shielded(this._onStatus, status)
  }

  private _end(error?: WalcastError): void {
    this._become({ state: 'ended', ...(error ? { error } : {}) })
    clearTimeout(this._deadline)
    this._abort.abort()
    this._hurry?.()
    this._turn()
    this._forget()
  }

  private _turn(): void {
    for (const turn of this._turns.splice(0)) turn()
  }

  private get _ended(): boolean {
    return this.status.state === 'ended'
  }

  private async _follow(): Promise<void> {
    while (!this._ended) {
      this._become({ state: 'connecting' })
      this._abort = new AbortController()
      const reason = await this._stream().catch((error) => String(error?.message ?? error))
      clearTimeout(this._deadline)
      this._abort.abort()
      if (this._ended) return
      const wait = pause(this._settings.pauses, this._tries++)
      this._become({ state: 'waiting', reason, retryAt: Date.now() + wait })
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, wait)
        this._hurry = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  private _await(ms: number): void {
    clearTimeout(this._deadline)
    this._deadline = setTimeout(() => this._abort.abort(new Error('the server does not answer')), ms)
  }

  /** One response, until it breaks off; tells why. */
  private async _stream(): Promise<string> {
    this._await(this._settings.timeout)
    const response = await this._settings.fetch(new URL('graphql', this._settings.base), {
      method: 'POST',
      headers: { accept: 'text/event-stream', 'content-type': 'application/json', ...(this._id ? { 'last-event-id': this._id } : {}) },
      body: this._body,
      cache: 'no-store',
      signal: this._abort.signal,
    })
    if (!response.ok || !response.headers.get('content-type')?.startsWith('text/event-stream')) return this._refused(response)
    this._become({ state: 'live' })
    const events = serverEvents(response.body!, () => {
      this._heard = Date.now()
      this._await(SILENCE_MS)
    })
    for await (const { name, data, id } of events) {
      if (this._ended) return ''
      this._tries = 0
      if (name === 'next') this._tell(data, id)
      if (name === 'complete') this._end()
    }
    return 'the stream ended'
  }

  private _tell(text: string, id: string): void {
    this._id = id || this._id
    const result = JSON.parse(text) as LiveResult<D>
    if (this._callback) return shielded<LiveResult<D>>(this._callback, result, text)
    this._newest = result
    this._turn()
  }

  /** What another try would not mend ends it (docs/graphql-http.md, "Status codes"). */
  private async _refused(response: Response): Promise<string> {
    const body = await response.json().catch(() => ({}))
    const error = body.errors?.[0] ?? body.error
    const mends = response.status === 408 || response.status === 429 || (response.status >= 500 && (!error || response.headers.has('retry-after')))
    if (error && !mends) this._end(new WalcastError(error.extensions?.code ?? error.code ?? '', error.message))
    return error?.message ?? `HTTP ${response.status}`
  }
}
