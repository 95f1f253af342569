'use strict'
// npm `eventsource`, which is what browsers have, on /events: it comes back by itself, with the id of its last event.
//
// Environment: EVENTS_URL. On stdout one JSON object a line, {"event": NAME, "data": ..}; ends when stdin closes.
const { EventSource } = require('eventsource')

const source = new EventSource(process.env.EVENTS_URL)
for (const event of ['joined', 'message', 'interrupted', 'refused']) {
  source.addEventListener(event, ({ data }) => {
    process.stdout.write(`${JSON.stringify({ event, data: JSON.parse(data) })}\n`)
  })
}
process.stdin.resume()
process.stdin.on('end', () => source.close())
