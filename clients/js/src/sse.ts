/** Server-sent events as they are read from a response: WHATWG HTML, 9.2.6 "Interpreting an event stream". */

/** @internal */
export interface ServerEvent {
  name: string
  data: string
  id: string
}

/** `heard` is called for all bytes, comments too. @internal */
export async function* serverEvents(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<ServerEvent> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ''
  let event: ServerEvent = { name: '', data: '', id: '' }
  try {
    for (;;) {
      const { done, value: bytes } = await reader.read()
      if (done) return
      heard()
      const text = decoder.decode(bytes, { stream: true })
      rest += text
      // A row of many megabytes comes in many pieces, and is looked through once.
      if (!/[\r\n]/.test(text)) continue
      // A carriage return at the very end may be half of a line end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (line === '') {
          // An id alone, which EventSource only remembers, tells how far a quiet stream is.
          if (event.data !== '' || event.id !== '') yield { ...event, data: event.data.slice(0, -1) }
          event = { name: '', data: '', id: '' }
          continue
        }
        const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
        if (field === 'data') event.data += value + '\n'
        if (field === 'event') event.name = value
        if (field === 'id') event.id = value
      }
    }
  } finally {
    // Not waited for: a reader that is stuck would keep us.
    reader.cancel().catch(() => {})
  }
}
