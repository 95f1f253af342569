// The client of clients/js in a real browser, from the server's own origin. Environment: WALCAST_URL
// (http://127.0.0.1:PORT), with the demo's schema and data.
//
// On each line `insert N` of our stdout the other side commits
//     insert into messages (room_id, "from", body) values (1, 'test', 'N')
// and answers `wrote` on our stdin. The last line is `done`; any failure is told on stderr and exits with 1.
import assert from 'node:assert/strict'
import { launch, stdinLines } from './chromium.mjs'

const origin = process.env.WALCAST_URL
const expectLine = stdinLines()

async function insert(n) {
  process.stdout.write(`insert ${n}\n`)
  await expectLine('wrote')
}

// What was told, as an array of the page that only grows.
const told = (page, name, count) => page.waitForFunction(([of, n]) => window[of].length >= n && window[of], [name, count]).then((handle) => handle.jsonValue())

const browser = await launch()
try {
  const page = await browser.newPage()
  const faults = []
  page.on('pageerror', (error) => faults.push(String(error)))
  // A way that can be cut, and one on which nothing passes any more although nobody says so.
  const ways = []
  await page.routeWebSocket(/\/socket\/websocket/, (socket) => {
    const onward = socket.connectToServer()
    const way = { socket, dead: false }
    socket.onMessage((message) => way.dead || onward.send(message))
    onward.onMessage((message) => way.dead || socket.send(message))
    ways.push(way)
  })
  // Any page of the origin will do.
  await page.goto(`${origin}/health`)
  await page.evaluate(async () => {
    const { connect } = await import('/walcast.js')
    Object.assign(window, { bodies: [], states: [], results: [] })
    // It would wait for ever, if nobody woke it.
    const client = connect('/', { pauses: { first: 1e9, cap: 1e9 }, timeout: 5_000, onStatus: ({ state }) => states.push(state) })
    const onStatus = ({ state, resumed }) => state === 'live' && states.push(`resumed ${resumed}`)
    client.subscribe('realtime:public:messages', { onStatus }, (event) => bodies.push(event.type === 'gap' ? event : event.record.body))
    client.live('query @live { messages(filter: { from: { eq: "test" } }) { body } }', ({ data }) => results.push(data.messages.length))
  })
  assert.deepEqual(await told(page, 'states', 3), ['connecting', 'open', 'resumed false'])
  assert.deepEqual(await told(page, 'results', 1), [0])

  await insert(1)
  assert.deepEqual(await told(page, 'bodies', 1), ['1'])
  assert.deepEqual(await told(page, 'results', 2), [0, 1])

  await ways[0].socket.close({ code: 1012, reason: '' })
  assert.equal((await told(page, 'states', 4))[3], 'waiting')
  await insert(2)
  await page.evaluate(() => window.dispatchEvent(new Event('online')))
  assert.deepEqual(await told(page, 'bodies', 2), ['1', '2'])
  assert.deepEqual((await told(page, 'states', 7)).slice(4), ['connecting', 'open', 'resumed true'])

  ways[1].dead = true
  await insert(3)
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  assert.equal((await told(page, 'states', 8))[7], 'waiting')
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  assert.deepEqual(await told(page, 'bodies', 3), ['1', '2', '3'])
  assert.equal((await told(page, 'states', 11))[10], 'resumed true')
  assert.equal(ways.length, 3)
  assert.equal((await told(page, 'results', 4)).at(-1), 3)
  assert.deepEqual(faults, [])
} finally {
  await browser.close()
}
process.stdout.write('done\n')
process.exit(0)
