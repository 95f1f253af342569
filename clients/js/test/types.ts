// What TypeScript says of programs that use the client; it is compiled and never run.
import { connect, WalcastError, type Gap, type StreamEvent } from '../src/index.ts'

interface Guest {
  id: number
  name: string | null
}

const client = connect('http://localhost:4000', { onStatus: (status) => status.state === 'waiting' && status.retryAt.toFixed() })

client.subscribe<Guest>('realtime:public:guests', { snapshot: { limit: 10 }, since: null }, (event, text) => {
  if (event.type === 'INSERT') event.record?.name?.trim()
  if (event.type === 'snapshot') for (const { id } of event.records) id.toFixed()
  if (event.type === 'gap') ((gap: Gap) => gap.reason.trim())(event)
  // @ts-expect-error: a gap has no record
  if (event.type === 'gap') event.record
  text?.trim()
})

export async function iterated(): Promise<StreamEvent<Guest> | undefined> {
  const guests = client.subscribe<Guest>('realtime:public:guests', { buffer: 10 })
  try {
    for await (const event of guests) return event
  } catch (error) {
    if (error instanceof WalcastError) error.code.trim()
  }
  const token: string | null = guests.cursor
  if (guests.status.state === 'live') guests.status.warnings.join(token ?? '')
  // @ts-expect-error: only while it is live
  return guests.status.warnings
}

client.live<{ auction: { title: string } }>('query @live { auction(id: "1") { title } }', { id: '1' }, ({ data, errors }) => {
  data?.auction.title.trim()
  errors?.[0]?.extensions?.code?.trim()
})
for await (const { data } of client.live<{ count: number }>('query @live { count }')) data?.count.toFixed()
