// Prints every change the moment it is committed, with the early API of Supabase Realtime.
//     node subscribe.mjs [URL] [TOPIC]
import { RealtimeClient } from '@supabase/realtime-js'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'ws://localhost:4000'
const topic = process.argv[3] ?? process.env.TOPIC ?? 'realtime:*'

const socket = new RealtimeClient(`${url}/socket`)
socket.connect()

const channel = socket.channel(topic)
channel.on('*', (change) => {
  console.log(change.type, `${change.schema}.${change.table}`, JSON.stringify(change.record ?? change.old_record ?? {}))
})

channel.subscribe()
  .receive('ok', ({ position }) => console.log('joined', topic, 'at', position))
  .receive('error', ({ reason }) => {
    console.error('refused:', reason)
    process.exit(1)
  })
