// Live queries.
import assert from 'node:assert/strict'
import test from 'node:test'
import { Queue, serve, until } from './server.mjs'

const QUERY = 'query ($id: ID!) @live { auction(id: $id) { title } }'
const next = (response, id, data) => response.write(`id: ${id}\nevent: next\ndata: ${JSON.stringify({ data, isLive: true })}\n\n`)
const open = (response) => response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })

async function body(request) {
  let text = ''
  for await (const part of request) text += part
  return JSON.parse(text)
}

test('it is asked again with the identifier of the last result, and ends when the server has ended it', async (t) => {
  const fake = await serve(t)
  const results = new Queue()
  const states = new Queue()
  fake.connect().live(QUERY, { id: '1' }, { onStatus: (status) => states.push(status) }, ({ data }, text) => results.push([data, JSON.parse(text).isLive]))
  const first = await fake.requests.next()
  assert.deepEqual([first.request.method, first.url.pathname, first.request.headers.accept], ['POST', '/graphql', 'text/event-stream'])
  assert.deepEqual(await body(first.request), { query: QUERY, variables: { id: '1' } })
  open(first.response).write(':\n\n')
  next(first.response, 'a.1', 1)
  assert.deepEqual(await results.next(), [1, true])
  first.response.destroy()
  const { reason, retryAt } = await until(states, ({ state }) => state === 'waiting')
  assert.ok(reason !== '' && retryAt > 0)
  const second = await fake.requests.next()
  assert.equal(second.request.headers['last-event-id'], 'a.1')
  next(open(second.response), 'a.2', 2)
  assert.deepEqual(await results.next(), [2, true])
  second.response.write('event: complete\ndata:\n\n')
  assert.deepEqual(await until(states, ({ state }) => state === 'ended'), { state: 'ended' })
})

test('lines may come in pieces, and with any line end', async (t) => {
  const fake = await serve(t)
  const results = new Queue()
  fake.connect().live(QUERY, undefined, ({ data }) => results.push(data))
  const { response } = await fake.requests.next()
  open(response)
  const whole = Buffer.from('event:next\r\ndata: {"data":\r\ndata: "\u00fc:\u{1F600}"}\r\n\r\n: a comment\rid\revent: next\rdata: {"data": 2}\r\r')
  for (const byte of whole) {
    response.write(Buffer.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(await results.next(), '\u00fc:\u{1F600}')
  response.write(':\n\n')
  assert.equal(await results.next(), 2)
})

test('what another try does not mend ends it with a code, all else is tried again', async (t) => {
  const fake = await serve(t)
  const live = fake.connect().live(QUERY)
  const refuse = async (status, headers, text) => (await fake.requests.next()).response.writeHead(status, headers).end(text)
  const error = (code) => JSON.stringify({ errors: [{ message: 'words', extensions: { code } }] })
  await refuse(502, { 'content-type': 'text/html' }, '<h1>Bad gateway</h1>')
  await refuse(503, { 'retry-after': '1' }, error('Unavailable'))
  await refuse(503, {}, error('GraphqlOff'))
  await assert.rejects(async () => { for await (const _ of live); }, { code: 'GraphqlOff', message: 'words' })
  const other = fake.connect().live(QUERY)
  await refuse(403, {}, JSON.stringify({ error: { code: 'OriginRefused', message: 'not from here' } }))
  await assert.rejects(async () => { for await (const _ of other); }, { code: 'OriginRefused', message: 'not from here' })
})

test('iteration gives the newest result only', async (t) => {
  const fake = await serve(t)
  const live = fake.connect().live(QUERY)
  const { response } = await fake.requests.next()
  open(response)
  const results = live[Symbol.asyncIterator]()
  next(response, 1, 1)
  assert.equal((await results.next()).value.data, 1)
  for (const n of [2, 3, 4]) next(response, n, n)
  // In one piece with the last result, so that all have come when it ends.
  response.write('event: complete\ndata:\n\n')
  while (live.status.state !== 'ended') await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await results.next()).value.data, 4)
  assert.equal((await results.next()).done, true)
})

test('whoever comes back to the page does not wait, and leaving the loop ends it', async (t) => {
  const fake = await serve(t)
  const states = new Queue()
  const client = fake.connect({ pauses: { first: 1e6, cap: 1e6 } })
  const live = client.live(QUERY, {}, { onStatus: (status) => states.push(status) })
  ;(await fake.requests.next()).response.destroy()
  await until(states, ({ state }) => state === 'waiting')
  client.wake()
  const { response } = await fake.requests.next()
  const closed = new Promise((resolve) => response.on('close', resolve))
  next(open(response), 1, 1)
  for await (const { data } of live) {
    assert.equal(data, 1)
    break
  }
  await closed
  assert.equal(live.status.state, 'ended')
})
