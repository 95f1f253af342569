// Prints every change the moment it is committed.
//     node subscribe.mjs [URL] [TOPIC]
import { Socket } from 'phoenix'
import WebSocket from 'ws'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'ws://localhost:4000'
const topic = process.argv[3] ?? process.env.TOPIC ?? 'realtime:*'

const socket = new Socket(`${url}/socket`, { transport: WebSocket })
socket.connect()

// Early Supabase clients listen to `*`, so by default every change comes twice, once under that
// name; `frames: 'type'` asks for one.
const channel = socket.channel(topic, { frames: 'type' })
for (const kind of ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) {
  channel.on(kind, (change) => {
    console.log(kind, `${change.schema}.${change.table}`, JSON.stringify(change.record ?? change.old_record ?? {}))
  })
}

channel.join()
  .receive('ok', ({ position }) => console.log('joined', topic, 'at', position))
  .receive('error', ({ reason }) => {
    console.error('refused:', reason)
    process.exit(1)
  })
