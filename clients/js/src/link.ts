import type { Subscription } from './subscription.ts'

export type Transport = 'websocket' | 'sse' | 'poll'

/** Why a connection ended. */
export interface Loss {
  /** The close code of the WebSocket, or 0. */
  code: number
  reason: string
}

/** One way to the server, from its beginning to its loss; a new one is made for each try. @internal */
export interface Link {
  _join(subscription: Subscription<any>): void
  _leave(subscription: Subscription<any>): void
  /** Makes sure that it still lives. */
  _check(): void
  _close(): void
}

/** What a link tells, to whoever made it. @internal */
export interface LinkOwner {
  /** It may be used. */
  _ready(link: Link): void
  /** Something came: the way is a way. */
  _works(link: Link): void
  /** It is of no more use. */
  _lost(link: Link, loss: Loss): void
}

/** What links need to know. @internal */
export interface LinkSettings {
  base: URL
  WebSocket?: typeof WebSocket
  fetch: typeof fetch
  heartbeat: number
  timeout: number
  pauses: { first: number; cap: number }
}
