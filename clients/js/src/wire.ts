/** What travels: the shapes of docs/protocol.md, and what the client adds to them in their place in the stream. */

export interface Column {
  name: string
  /** The type's name in the catalog: `int4`, `_text` for an array of text. */
  type: string
  type_modifier: number
  /** `["key"]` for columns of the replica identity. */
  flags: string[]
}

export type Row = Record<string, unknown>

/** One committed change of one row, or a truncate. */
export interface Change<R = Row> {
  type: 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE'
  schema: string
  table: string
  columns: Column[]
  /** ISO 8601, UTC, six digits of a second. */
  commit_timestamp: string
  /** Names this change for ever, within its epoch. */
  cursor: string
  errors: null
  /** The new row; INSERT and UPDATE. */
  record?: R
  /** What the log tells of the old row; DELETE, and UPDATE where it is known. */
  old_record?: Partial<R>
  /** Columns that are absent from `record` because their large value did not change. */
  unchanged?: string[]
  /** On a DELETE: the row still exists, but not for this topic any more. */
  left?: string
}

/** A page of the rows that were there when the subscription began. */
export interface SnapshotPage<R = Row> {
  type: 'snapshot'
  schema: string
  table: string
  columns: Column[]
  records: R[]
}

/** All rows were told. From here on there is a cursor. */
export interface SnapshotEnd {
  type: 'snapshot_end'
  position: string
  epoch: string
  rows: number
  /** False if the limit of the snapshot cut it. */
  complete: boolean
}

/**
 * What was told before does not go on here: changes may be missing in between. Whoever holds rows reads them anew; if a
 * snapshot was asked for, it follows.
 *
 * `reason` is `window` (the server does not hold the cursor any more), `epoch` (another database, or another history of
 * it), `snapshot` (a snapshot begins again, or begins late), `transport` (there is no WebSocket, and so no snapshot until there
 * is one), or another word of a newer server.
 */
export interface Gap {
  type: 'gap'
  reason: string
  /** The oldest cursor from which the server could have resumed. */
  oldest?: string
}

export type StreamEvent<R = Row> = Change<R> | SnapshotPage<R> | SnapshotEnd | Gap

/** The server's answer to a join. @internal */
export interface Joined {
  position: string
  epoch: string
  resumed?: boolean
  reason?: string
  oldest?: string
  warnings?: string[]
}

/** A refusal of the server, with its code of docs/errors.md. */
export class WalcastError extends Error {
  /** A code of docs/errors.md; `''` if the server gave none. */
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'WalcastError'
    this.code = code
  }
}

/** The server says `Code: words`, Phoenix itself just `unmatched topic`. @internal */
export function refusal(reason: unknown): WalcastError {
  const text = typeof reason === 'string' ? reason : ''
  const [, code = text === 'unmatched topic' ? text : '', words = text] = /^(\w+): (.+)$/s.exec(text) ?? []
  return new WalcastError(code, words || 'the server gave no reason')
}

/** Codes of refusals that time mends. @internal */
export const passing = (code: string) => /^(Unavailable|TooManyJoins|TooManyMembers|TooManySockets)$/.test(code)

/** Cursors as texts that sort: three hexadecimal numbers without leading zeros, joined by `-`. @internal */
export const sortable = (cursor: string) => cursor.split('-').map((part) => part.padStart(16, '0')).join('-')
