// Ways without a WebSocket.
import assert from 'node:assert/strict'
import test from 'node:test'
import { change, cursor, EPOCH, Queue, serve, several, told, token, TOPIC, until } from './server.mjs'

const events = (response) => response.writeHead(200, { 'content-type': 'text/event-stream' })
const joined = (response, fields) => response.write(`event: joined\nid: x\ndata: ${JSON.stringify({ position: cursor(0), epoch: EPOCH, ...fields })}\n\n`)
const sent = (response, n) => response.write(`id: ${token(n)}\ndata: ${JSON.stringify(change(n))}\n\n`)
const json = (response, body, status = 200) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

test('without upgrades changes come by events, and the WebSocket resumes once it can', async (t) => {
  const fake = await serve(t)
  fake.upgrade = false
  const guests = told(fake.connect(), { profile: 'exact' })
  const { url, request, response } = await fake.requests.next()
  assert.equal(url.pathname, '/events')
  assert.deepEqual([...url.searchParams], [['topic', TOPIC], ['profile', 'exact']])
  assert.equal(request.headers.accept, 'text/event-stream')
  joined(events(response), { position: cursor(3) })
  sent(response, 4)
  assert.equal(await guests.next(), 4)
  assert.equal(guests.subscription.cursor, token(4))
  assert.equal(guests.subscription.status.transport, 'sse')
  const over = new Promise((resolve) => response.on('close', resolve))
  fake.upgrade = true
  const join = await fake.joins.next()
  assert.equal(join.payload.since, token(4))
  await over
  join.ok({ resumed: true })
  join.changes(4, 5)
  assert.equal(await guests.next(), 5)
})

test('a stream that was interrupted, or ended, goes on from its cursor', async (t) => {
  const fake = await serve(t)
  const guests = told(fake.connect({ transports: ['sse'] }), { since: token(1) })
  const first = await fake.requests.next()
  assert.equal(first.url.searchParams.get('since'), token(1))
  joined(events(first.response), { resumed: true })
  sent(first.response, 2)
  first.response.write(`:\nid: ${token(5)}\n\nevent: interrupted\ndata: {}\n\n`)
  const second = await fake.requests.next()
  assert.equal(second.url.searchParams.get('since'), token(5), 'nothing was left to tell up to there')
  joined(events(second.response), { resumed: false, reason: 'window', position: cursor(9) })
  sent(second.response, 10)
  second.response.end()
  const third = await fake.requests.next()
  assert.equal(third.url.searchParams.get('since'), token(10))
  assert.deepEqual(await several(guests, 3), [2, 'gap window', 10])
})

test('topics after the first wait until a way is known', async (t) => {
  const fake = await serve(t)
  const client = fake.connect({ transports: ['sse'] })
  const topics = ['realtime:a', 'realtime:b', 'realtime:c']
  for (const topic of topics) told(client, {}, topic)
  const first = await fake.requests.next()
  assert.equal(first.url.searchParams.get('topic'), 'realtime:a')
  assert.ok(fake.requests.empty)
  joined(events(first.response))
  const others = await several(fake.requests, 2)
  assert.deepEqual(others.map(({ url }) => url.searchParams.get('topic')), ['realtime:b', 'realtime:c'])
})

test('where streams do not pass either, changes are polled for', async (t) => {
  const fake = await serve(t)
  fake.upgrade = false
  const guests = told(fake.connect())
  const stream = await fake.requests.next()
  stream.response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>')
  const asked = async (since) => {
    const { url, response } = await fake.requests.next()
    assert.equal(url.pathname, '/poll')
    assert.deepEqual([...url.searchParams], [['wait', '25'], ['topic', TOPIC], ...(since ? [['since', since]] : [])])
    return response
  }
  json(await asked(), { events: [], position: token(1), resumed: false, reason: 'since' })
  json(await asked(token(1)), { events: [change(2), change(3)], position: token(5), resumed: true })
  json(await asked(token(5)), { events: [], position: token(8), resumed: false, reason: 'window', oldest: cursor(7) })
  json(await asked(token(8)), { events: [change(8), change(9)], position: token(9), resumed: true })
  await asked(token(9))
  assert.deepEqual(await several(guests, 4), [2, 3, 'gap window', 9])
  assert.equal(guests.subscription.cursor, token(9))
})

test('a stream that is held back somewhere is no way', async (t) => {
  const fake = await serve(t)
  told(fake.connect({ transports: ['sse', 'poll'], timeout: 100 }))
  const stream = await fake.requests.next()
  events(stream.response).flushHeaders()
  assert.equal((await fake.requests.next()).url.pathname, '/poll')
})

test('a refusal by HTTP ends one topic with its code, and what time mends is asked again', async (t) => {
  const fake = await serve(t)
  const client = fake.connect({ transports: ['sse'] })
  const guests = told(client)
  const refuse = async (status, code) => json((await fake.requests.next()).response, { error: { code, message: 'words' } }, status)
  await refuse(503, 'Unavailable')
  const { error } = await until(guests.statuses, ({ state, error }) => state === 'waiting' && error)
  assert.equal(error.code, 'Unavailable')
  events((await fake.requests.next()).response).end('retry: 1\nevent: refused\ndata: {"error":{"code":"Unavailable","message":"again"}}\n\n')
  assert.equal((await until(guests.statuses, ({ state, error }) => state === 'waiting' && error)).error.message, 'again')
  await refuse(404, 'TableNotFound')
  const ended = await until(guests.statuses, ({ state }) => state === 'ended')
  assert.deepEqual([ended.error.code, ended.error.message], ['TableNotFound', 'words'])
  assert.equal(client.status.state, 'open')
})

test('rows that only a WebSocket brings are owed, and come with it', async (t) => {
  const fake = await serve(t)
  fake.upgrade = false
  const guests = told(fake.connect(), { snapshot: true })
  const { response } = await fake.requests.next()
  joined(events(response), { position: cursor(3) })
  sent(response, 4)
  assert.deepEqual(await several(guests, 2), ['gap transport', 4])
  fake.upgrade = true
  const join = await fake.joins.next()
  assert.deepEqual(join.payload, { frames: 'type', snapshot: {} })
  join.ok()
  join.send('snapshot', { records: [] })
  join.send('snapshot_end', { position: cursor(5), epoch: EPOCH, rows: 0, complete: true })
  assert.deepEqual(await several(guests, 3), ['gap snapshot', 'snapshot', 'snapshot_end'])
  join.socket.terminate()
  assert.equal((await fake.joins.next()).payload.since, token(5))
})

test('a server that restarts is no reason for less than a WebSocket', async (t) => {
  const fake = await serve(t)
  const states = new Queue()
  const guests = told(fake.connect({ onStatus: (status) => states.push(status) }))
  ;(await fake.joins.next()).ok()
  await until(guests.statuses, ({ state }) => state === 'live')
  fake.upgrade = false
  ;(await fake.sockets.next()).close(1012)
  await until(states, ({ state }) => state === 'waiting')
  for (const _ of [1, 2]) {
    assert.deepEqual(await states.next(), { state: 'connecting', transport: 'websocket' })
    assert.equal((await states.next()).state, 'waiting')
  }
  assert.ok(fake.requests.empty)
  await until(states, ({ transport }) => transport === 'sse')
})
