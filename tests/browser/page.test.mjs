// The console page in a real browser. Environment: WALCAST_URL (http://127.0.0.1:PORT), and
// SCREENSHOTS (a folder) when pictures are wanted.
//
// The side that starts this script owns the database. It creates, before the start, a published
//     create table page_users (id bigint primary key, name text, email text, balance numeric)
// and acts on each line of our stdout, answering `wrote` on our stdin once it has committed:
//     joined   insert into page_users values (9007199254740993, 'Ada <b>', 'ada@example.org', 12.50)
//     update   update page_users set name = 'Ada Lovelace' where id = 9007199254740993
//     paused   insert three more rows, named 'Paused 1', 'Paused 2' and 'Paused 3'
//     delete   delete from page_users where id = 9007199254740993
//     away     insert into page_users values (77, 'While away')
//     flood    insert 6000 rows in transactions of 100, 50 ms apart: 2,000 changes a second, and in all
//              less than the server's default outbox, so that a slow machine does not lose the socket
// The last line is `done`; any failure is told on stderr and exits with 1.
import fs from 'node:fs'
import path from 'node:path'
import assert from 'node:assert/strict'
import { launch, stdinLines, watchFaults } from './chromium.mjs'

const origin = process.env.WALCAST_URL
const shots = process.env.SCREENSHOTS
const TABLE = 'realtime:public:page_users'
const ID = '9007199254740993'
const FLOOD = 6_000

const expectLine = stdinLines()
const tell = (line) => process.stdout.write(`${line}\n`)

// The page's changes as text, newest first.
const changes = (page) => page.locator('#feed > .change').allInnerTexts()
const newest = (page, text) => page.locator('#feed > .change').first().filter({ hasText: text }).waitFor()

async function picture(page, name) {
  if (!shots) return
  fs.mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: path.join(shots, `${name}.png`) })
}

async function ask(word) {
  tell(word)
  await expectLine('wrote')
}

async function noSidewaysScroll(page, where) {
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(excess <= 0, `${where}: the page is ${excess} px wider than the window`)
}

async function joinsThroughThePage(page) {
  // An address that names no topic keeps demo mode from choosing one.
  await page.goto(`${origin}/#none`)
  await page.locator('#link[data-state="open"]').waitFor()
  await page.getByRole('button', { name: 'page_users', exact: true }).click()
  await page.locator(`#joined > li[data-topic="${TABLE}"][data-state="joined"]`).waitFor()
  await page.getByText('Listening', { exact: true }).waitFor()
}

async function showsAnInsert(page) {
  await ask('joined')
  await newest(page, 'Ada <b>')
  const text = (await changes(page))[0]
  assert.match(text, /INSERT/)
  assert.match(text, /public\.page_users/)
  assert.ok(text.includes(ID), `the key must keep every digit: ${text}`)
  assert.match(text, /12\.50/, 'numeric must keep its scale')
  assert.equal(await page.locator('#feed b').count(), 0, 'values must never become markup')
  assert.match(await page.locator('#cursor').innerText(), /^[0-9A-F]+-[0-9A-F]+-[0-9A-F]+/)
}

async function marksTheDifference(page) {
  await ask('update')
  await newest(page, 'Ada Lovelace')
  const change = page.locator('#feed > .change').first()
  assert.equal(await change.locator('del').innerText(), 'Ada <b>')
  assert.equal(await change.locator('ins').innerText(), 'Ada Lovelace')
  assert.equal(await change.locator('.differences > div').count(), 1, 'only the changed column is marked')
}

async function showsTheFrame(page) {
  const change = page.locator('#feed > .change').first()
  await change.getByRole('button', { name: /^JSON/ }).click()
  const frame = JSON.parse(await change.locator('pre').innerText())
  assert.equal(frame[2], TABLE)
  assert.equal(frame[3], 'UPDATE')
  assert.equal(frame[4].record.name, 'Ada Lovelace')
  await picture(page, 'frame')
  await change.getByRole('button', { name: /^JSON/ }).click()
  assert.equal(await change.locator('pre').count(), 0)
}

async function holdsWhilePaused(page) {
  await page.locator('#pause').click()
  await ask('paused')
  await page.getByRole('button', { name: 'Resume (3)' }).waitFor()
  assert.match(await page.locator('#fresh').innerText(), /^3 changes since you paused/)
  assert.equal((await changes(page)).length, 2, 'nothing moves while paused')
  await picture(page, 'paused')
  await page.locator('#pause').click()
  await newest(page, 'Paused 3')
  assert.deepEqual((await changes(page)).slice(0, 3).map((text) => /Paused \d/.exec(text)?.[0]), ['Paused 3', 'Paused 2', 'Paused 1'])
}

async function filters(page) {
  await page.locator('#filter').fill('update lovelace')
  await page.waitForFunction(() => document.querySelectorAll('#feed > .change').length === 1)
  assert.match((await changes(page))[0], /Ada Lovelace/)
  await page.locator('#filter').fill('no such value')
  await page.getByText('No change matches the filter').waitFor()
  await page.locator('#filter').fill('')
  await newest(page, 'Paused 3')
}

async function showsADelete(page) {
  await ask('delete')
  await newest(page, 'DELETE')
  assert.ok((await changes(page))[0].includes(ID))
}

async function tellsARefusal(page) {
  await page.getByRole('combobox', { name: 'Topic' }).fill('public.no_such_table')
  await page.getByRole('button', { name: 'Join' }).click()
  const refused = page.locator('#joined > li[data-topic="realtime:public:no_such_table"]')
  await refused.and(page.locator('[data-state="refused"]')).waitFor()
  assert.match(await refused.innerText(), /no_such_table.*no_such_table/s, 'the refusal must name the table')
  await picture(page, 'refused')
  await refused.getByRole('button', { name: /^Stop watching/ }).click()
  await refused.waitFor({ state: 'detached' })
}

// The topics stand in the address.
async function keepsItsTopics(page) {
  await page.reload()
  await page.locator(`#joined > li[data-topic="${TABLE}"][data-state="joined"]`).waitFor()
}

async function staysSmallInAFlood(page) {
  await page.evaluate(() => {
    window.longest = 0
    let last = performance.now()
    const tick = (now) => {
      window.longest = Math.max(window.longest, now - last)
      last = now
      requestAnimationFrame(tick)
    }
    requestAnimationFrame(tick)
  })
  await ask('flood')
  const total = FLOOD.toLocaleString('en')
  await page.waitForFunction((text) => document.getElementById('total').textContent === text, total, { timeout: 60_000 })
  const rows = await page.locator('#feed > li').count()
  assert.ok(rows <= 60, `${rows} rows are in the document; only what can be seen belongs there`)
  const longest = await page.evaluate(() => window.longest)
  assert.ok(longest < 5_000, `the page stood still for ${Math.round(longest)} ms`)
  await picture(page, 'flood')
}

async function fitsAPhone(browser) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 })
  const page = await context.newPage()
  const faults = watchFaults(page, origin)
  await page.goto(`${origin}/#topic=${encodeURIComponent(TABLE)}&topic=${encodeURIComponent('realtime:public:no_such_table')}`)
  await page.locator('#joined > li[data-state="joined"]').waitFor({ state: 'attached' })
  await noSidewaysScroll(page, 'phone')
  await picture(page, 'phone')
  await page.locator('#side > summary').click()
  await page.locator('#joined > li[data-state="refused"]').waitFor()
  await noSidewaysScroll(page, 'phone with the drawer open')
  await picture(page, 'phone-drawer')
  await context.close()
  return faults
}

// The modules behind the page, asked directly for what cannot be seen on it.
async function keepsItsBounds(page) {
  const found = await page.evaluate(async () => {
    const { Feed } = await import('/feed.js')
    const change = (id) => ({ type: 'INSERT', schema: 's', table: 't', cursor: `C-${id}`, columns: [{ name: 'id', flags: ['key'] }], record: { id } })
    const fill = (feed, count, size) => { for (let i = 0; i < count; i++) feed.add('realtime:*', change(i), 'x'.repeat(size), 0) }
    const many = new Feed()
    fill(many, 3000, 10)
    fill(many, 3000, 10)
    many.add('realtime:s', change(2999), '', 0)
    const known = many.total
    many.turnPage()
    const again = many.add('realtime:*', change(2999), '', 0)
    const large = new Feed()
    fill(large, 40, 1_000_000)
    const held = new Feed()
    held.hold(true)
    fill(held, 3000, 10)
    const waiting = [held.waiting.items.length, held.overflowed]
    held.hold(false)
    return {
      kept: many.shown.items.length,
      once: known,
      again,
      newest: many.select('', 1).found[0].payload.cursor,
      large: large.shown.chars,
      waiting,
      released: held.shown.items.length,
      seen: held.seen.rows.size,
    }
  })
  assert.deepEqual(found, { kept: 500, once: 6000, again: true, newest: 'C-2999', large: 16_000_000, waiting: [500, 2500], released: 500, seen: 3000 })
}

async function losesNoDigitAndNoName(page) {
  const [laid, topic, name] = await page.evaluate(async () => {
    const { indent } = await import('/view.js')
    const { describe, tableTopic } = await import('/topics.js')
    const odd = tableTopic('a:b', 'c=d%*')
    return [indent('{"a":1.10,"a":12345678901234567890,"b":["\\"{,:}\\\\",{}],"c":{"long":"' + 'x'.repeat(100) + '"}}'), odd, describe(odd)]
  })
  const { c, ...rest } = JSON.parse(laid)
  assert.equal(c.long.length, 100)
  assert.deepEqual(rest.b, ['"{,:}\\', {}])
  assert.match(laid, /"a": 1\.10,\s+"a": 12345678901234567890,/)
  assert.equal(topic, 'realtime:a%3Ab:c%3Dd%25%2A')
  assert.equal(name, 'a:b.c=d%*')
}

// A proxy inside the browser cuts the connection as a restarting server does.
async function comesBack(browser) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
  const faults = watchFaults(page, origin)
  const sockets = []
  await page.routeWebSocket(/\/socket\/websocket/, (socket) => {
    socket.connectToServer()
    sockets.push(socket)
  })
  await page.goto(`${origin}/#topic=${encodeURIComponent(TABLE)}`)
  const joined = page.locator(`#joined > li[data-topic="${TABLE}"][data-state="joined"]`)
  await joined.waitFor()
  await sockets[0].close({ code: 1012, reason: '' })
  await page.getByText('Connection lost. The server is restarting.').waitFor()
  await picture(page, 'lost')
  await ask('away')
  await page.getByText(/^Connected again after/).waitFor()
  await joined.waitFor()
  await newest(page, 'While away')
  assert.equal((await changes(page)).length, 1)
  assert.equal(sockets.length, 2, 'one new connection, not a storm of them')
  await page.close()
  return faults
}

async function takesDarkPictures(browser) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: 'dark' })
  const page = await context.newPage()
  await page.goto(`${origin}/#topic=${encodeURIComponent(TABLE)}`)
  await page.locator('#joined > li[data-state="joined"]').waitFor()
  await picture(page, 'dark')
  await context.close()
}

async function main() {
  assert.ok(origin, 'WALCAST_URL is not set')
  const browser = await launch()
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' })
    const faults = watchFaults(page, origin)
    await joinsThroughThePage(page)
    await showsAnInsert(page)
    await marksTheDifference(page)
    await showsTheFrame(page)
    await holdsWhilePaused(page)
    await filters(page)
    await showsADelete(page)
    await picture(page, 'desktop')
    await tellsARefusal(page)
    await keepsItsTopics(page)
    await keepsItsBounds(page)
    await losesNoDigitAndNoName(page)
    await staysSmallInAFlood(page)
    await noSidewaysScroll(page, 'desktop')
    faults.push(...(await comesBack(browser)), ...(await fitsAPhone(browser)))
    if (shots) await takesDarkPictures(browser)
    assert.deepEqual(faults, [])
  } finally {
    await browser.close()
  }
  tell('done')
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack ?? error}\n`)
    process.exit(1)
  },
)
