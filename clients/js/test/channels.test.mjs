// Topics over a WebSocket.
import assert from 'node:assert/strict'
import test from 'node:test'
import { change, cursor, EPOCH, serve, several, told, token, TOPIC, until } from './server.mjs'

test('a join asks for one frame a change, and for the profile', async (t) => {
  const fake = await serve(t)
  told(fake.connect(), { profile: 'exact' })
  assert.deepEqual((await fake.joins.next()).payload, { frames: 'type', profile: 'exact' })
})

test('a topic that was cut is joined again from the last cursor, and what comes twice is told once', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect())
  const first = await fake.joins.next()
  first.ok({ position: cursor(4) })
  first.changes(4, 5, 15)
  assert.deepEqual(await several(guests, 2), [5, 15])
  first.socket.terminate()
  const second = await fake.joins.next()
  assert.equal(second.payload.since, token(15))
  second.ok({ position: cursor(40), resumed: true })
  second.changes(5, 15, 16, 40, 41)
  assert.deepEqual(await several(guests, 3), [16, 40, 41])
  assert.equal(guests.subscription.cursor, token(41))
})

test('a gap is told in its place, and the cursor goes on from the new position', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect(), { since: 'other-1.1-1-0' })
  const first = await fake.joins.next()
  assert.equal(first.payload.since, 'other-1.1-1-0')
  first.ok({ position: cursor(7), resumed: false, reason: 'epoch' })
  assert.equal(await guests.next(), 'gap epoch')
  assert.equal(guests.subscription.cursor, token(7))
  first.changes(7, 8)
  assert.equal(await guests.next(), 8)
  first.socket.terminate()
  const second = await fake.joins.next()
  second.ok({ position: cursor(90), resumed: false, reason: 'window', oldest: cursor(50) })
  second.changes(91)
  assert.deepEqual(await several(guests, 2), ['gap window', 91])
})

test('a position is a cursor before the first change', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect())
  ;(await fake.joins.next()).ok({ position: cursor(3) })
  await until(guests.statuses, ({ state }) => state === 'live')
  assert.equal(guests.subscription.cursor, token(3))
})

test('a snapshot has a cursor only at its end, and what it cannot see may lie before the join', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect(), { snapshot: { limit: 5 } })
  const join = await fake.joins.next()
  assert.deepEqual(join.payload, { frames: 'type', snapshot: { limit: 5 } })
  join.ok({ position: cursor(20) })
  join.send('snapshot', { schema: 'public', table: 'guests', columns: [], records: [{ id: 1 }] })
  join.changes(19, 21)
  assert.deepEqual(await several(guests, 3), ['snapshot', 19, 21])
  assert.equal(guests.subscription.cursor, null)
  join.send('snapshot_end', { position: cursor(22), epoch: EPOCH, rows: 1, complete: true })
  assert.equal(await guests.next(), 'snapshot_end')
  assert.equal(guests.subscription.cursor, token(22))
})

test('a snapshot that was cut begins again, and says so', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect(), { snapshot: true })
  const first = await fake.joins.next()
  first.ok()
  first.send('snapshot', { records: [] })
  assert.equal(await guests.next(), 'snapshot')
  first.socket.terminate()
  const second = await fake.joins.next()
  assert.deepEqual(second.payload, { frames: 'type', snapshot: {} })
  second.ok()
  second.send('snapshot', { records: [] })
  second.send('snapshot_error', { reason: 'Unavailable: the database went away' })
  assert.deepEqual(await several(guests, 2), ['gap snapshot', 'snapshot'])
  const { error } = await until(guests.statuses, ({ state, error }) => state === 'waiting' && error)
  assert.equal(error.code, 'Unavailable')
  second.send('phx_error', {}, second.joinRef)
  const third = await fake.joins.next()
  assert.deepEqual(third.payload, { frames: 'type', snapshot: {} })
  third.ok()
  third.send('snapshot_error', { reason: 'SnapshotDenied: the server may not read the table' })
  assert.equal((await until(guests.statuses, ({ state }) => state === 'ended')).error.code, 'SnapshotDenied')
})

test('with a snapshot, a resume that fails brings the rows anew', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect(), { snapshot: true, since: token(1) })
  const first = await fake.joins.next()
  assert.deepEqual(first.payload, { frames: 'type', snapshot: {}, since: token(1) })
  first.ok({ resumed: true })
  first.changes(2)
  assert.equal(await guests.next(), 2, 'what could be resumed needs no rows')
  first.socket.terminate()
  const second = await fake.joins.next()
  assert.equal(second.payload.since, token(2))
  second.ok({ resumed: false, reason: 'window', snapshot: true })
  second.send('snapshot', { records: [] })
  assert.deepEqual(await several(guests, 2), ['gap window', 'snapshot'])
  assert.equal(guests.subscription.cursor, null)
})

test('a channel that broke off is joined again by itself', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect())
  const first = await fake.joins.next()
  first.ok()
  first.changes(3)
  first.send('phx_error', {}, 'of another join')
  first.send('phx_error', {}, first.joinRef)
  first.changes(4)
  const second = await fake.joins.next()
  assert.equal(second.socket, first.socket)
  assert.equal(second.payload.since, token(3))
  second.ok({ resumed: true })
  second.changes(4)
  assert.deepEqual(await several(guests, 2), [3, 4])
})

test('what time mends is asked again, what it does not mend ends with its code', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect())
  ;(await fake.joins.next()).refuse('Unavailable: the stream of changes is not live')
  const waiting = await until(guests.statuses, ({ state }) => state === 'waiting')
  assert.deepEqual([waiting.error.code, waiting.error.message], ['Unavailable', 'the stream of changes is not live'])
  ;(await fake.joins.next()).refuse('SomethingNew: words: more words')
  const ended = await until(guests.statuses, ({ state }) => state === 'ended')
  assert.deepEqual([ended.error.code, ended.error.message], ['SomethingNew', 'words: more words'])

  const other = told(fake.connect())
  ;(await fake.joins.next()).refuse('unmatched topic')
  assert.equal((await until(other.statuses, ({ state }) => state === 'ended')).error.code, 'unmatched topic')
})

test('a channel that the server closed is not joined again', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect())
  const join = await fake.joins.next()
  join.ok()
  join.send('phx_close', {}, 'of another join')
  join.send('phx_close', {}, join.joinRef)
  await until(guests.statuses, ({ state }) => state === 'ended')
})

test('a socket on which nothing is answered is given up', async (t) => {
  const fake = await serve(t)
  const states = []
  const client = fake.connect({ heartbeat: 100, timeout: 1000, onStatus: (status) => states.push(status) })
  const guests = told(client)
  ;(await fake.joins.next()).ok()
  await until(guests.statuses, ({ state }) => state === 'live')
  fake.mute = true
  await until(guests.statuses, ({ state }) => state === 'waiting')
  fake.mute = false
  ;(await fake.joins.next()).ok({ resumed: true })
  await until(guests.statuses, ({ state }) => state === 'live')
  const { code, reason } = states.find(({ state }) => state === 'waiting')
  assert.deepEqual([code, reason], [0, 'the server does not answer'])
})

test('what changes seldom is resumed from where the socket has come', async (t) => {
  const fake = await serve(t)
  const client = fake.connect({ heartbeat: 20 })
  const guests = told(client)
  const join = await fake.joins.next()
  join.ok()
  join.changes(1)
  await guests.next()
  fake.reached = { position: cursor(9), epoch: EPOCH }
  while (guests.subscription.cursor !== token(9)) await new Promise((resolve) => setTimeout(resolve, 5))
  join.socket.terminate()
  assert.equal((await fake.joins.next()).payload.since, token(9))
})

test('whoever comes back to the page does not wait', async (t) => {
  const fake = await serve(t)
  const client = fake.connect({ pauses: { first: 1e6, cap: 1e6 }, heartbeat: 1e6, timeout: 500 })
  const guests = told(client)
  const first = await fake.joins.next()
  first.ok()
  first.changes(1)
  assert.equal(await guests.next(), 1)
  first.socket.terminate()
  await until(guests.statuses, ({ state }) => state === 'waiting')
  client.wake()
  const second = await fake.joins.next()
  second.ok({ resumed: true })
  await until(guests.statuses, ({ state }) => state === 'live')
  // A socket that died unseen is noticed, and not the next heartbeat awaited.
  fake.mute = true
  client.wake()
  await until(guests.statuses, ({ state }) => state === 'waiting')
})

test('close codes are told', async (t) => {
  const fake = await serve(t)
  const { promise, resolve } = Promise.withResolvers?.() ?? later()
  fake.connect({ onStatus: (status) => status.state === 'waiting' && resolve(status) })
  ;(await fake.sockets.next()).close(1013, 'reads too slowly')
  const { code, reason, retryAt } = await promise
  assert.deepEqual([code, reason], [1013, 'reads too slowly'])
  assert.ok(retryAt <= Date.now() + 50)
})

const later = () => {
  let resolve
  const promise = new Promise((act) => (resolve = act))
  return { promise, resolve }
}

test('a topic that is followed twice has a socket for each', async (t) => {
  const fake = await serve(t)
  const client = fake.connect()
  const one = told(client)
  const two = told(client, { profile: 'text' })
  const joins = await several(fake.joins, 2)
  assert.notEqual(joins[0].socket, joins[1].socket)
  for (const join of joins) {
    join.ok()
    join.changes(1)
  }
  assert.deepEqual([await one.next(), await two.next()], [1, 1])
  const closed = new Promise((resolve) => joins[1].socket.on('close', resolve))
  two.subscription.unsubscribe()
  await closed
  joins[0].changes(2)
  assert.equal(await one.next(), 2)
})

test('iteration gives every event, and ends with the subscription', async (t) => {
  const fake = await serve(t)
  const guests = fake.connect().subscribe(TOPIC)
  const join = await fake.joins.next()
  join.ok()
  join.changes(1, 2, 3)
  const seen = []
  for await (const event of guests) {
    seen.push([event.record.id, guests.cursor])
    if (seen.length === 3) break
  }
  assert.deepEqual(seen, [1, 2, 3].map((n) => [n, token(n)]))
  assert.equal(guests.status.state, 'ended')
  assert.equal((await fake.leaves.next())[2], TOPIC)
})

test('iteration throws a refusal', async (t) => {
  const fake = await serve(t)
  const guests = fake.connect().subscribe(TOPIC)
  ;(await fake.joins.next()).refuse('TableNotFound: there is none')
  await assert.rejects(async () => { for await (const _ of guests); }, { name: 'WalcastError', code: 'TableNotFound' })
})

test('a full buffer leaves the channel, and resumes it once half is taken', async (t) => {
  const fake = await serve(t)
  const guests = fake.connect().subscribe(TOPIC, { buffer: 4 })
  const first = await fake.joins.next()
  first.ok()
  first.changes(1, 2, 3, 4, 5, 6)
  await fake.leaves.next()
  const events = guests[Symbol.asyncIterator]()
  const take = async () => (await events.next()).value.record.id
  assert.deepEqual([await take(), await take()], [1, 2])
  assert.ok(fake.joins.empty, 'more than half waits')
  assert.equal(await take(), 3)
  const second = await fake.joins.next()
  assert.equal(second.payload.since, token(5))
  assert.equal(guests.cursor, token(3), 'only what was taken counts')
  second.ok({ resumed: true })
  second.changes(6)
  assert.deepEqual([await take(), await take(), await take()], [4, 5, 6])
})

test('a buffer waits for the end of a snapshot', async (t) => {
  const fake = await serve(t)
  const guests = fake.connect().subscribe(TOPIC, { buffer: 1, snapshot: true })
  const join = await fake.joins.next()
  join.ok()
  for (const n of [1, 2, 3]) join.send('snapshot', { records: [{ id: n }] })
  join.send('INSERT', change(1))
  join.send('snapshot_end', { position: cursor(2), epoch: EPOCH, rows: 3, complete: true })
  await fake.leaves.next()
  const types = []
  for await (const { type } of guests) {
    types.push(type)
    if (type === 'snapshot_end') break
  }
  assert.deepEqual(types, ['snapshot', 'snapshot', 'snapshot', 'INSERT', 'snapshot_end'])
})

test('nothing is told after the end', async (t) => {
  const fake = await serve(t)
  const client = fake.connect()
  const guests = told(client)
  const join = await fake.joins.next()
  join.ok()
  join.changes(1)
  assert.equal(await guests.next(), 1)
  guests.subscription.unsubscribe()
  join.changes(2)
  client.close()
  assert.throws(() => client.subscribe(TOPIC), /closed/)
  assert.ok(guests.empty)
})
