/** How long to wait before the next try, in milliseconds; `tries` counts from 0. */
export interface Pauses {
  /** The ceiling of the first wait; it doubles with each. */
  first: number
  /** No wait is longer. */
  cap: number
}

/** Full jitter: a restarted server is not met by all clients at once. @internal */
export const pause = ({ first, cap }: Pauses, tries: number) => Math.random() * Math.min(cap, first * 2 ** Math.min(tries, 30))

/** An error of the caller's own code must not break the connection, and must not be swallowed. @internal */
export function shielded<T>(act: ((argument: T, text?: string) => void) | undefined, argument: T, text?: string) {
  try {
    act?.(argument, text)
  } catch (error) {
    setTimeout(() => {
      throw error
    })
  }
}
