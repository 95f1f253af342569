// The console's live query in a real browser, on the demo's schema and data. Environment: WALCAST_URL
// (http://127.0.0.1:PORT), and SCREENSHOTS (a folder) when pictures are wanted.
//
// The side that starts this script serves the database with graphql.live_extensions on. It acts on each line of our
// stdout, answering `wrote` on our stdin once it has committed:
//     bid      insert into bids (auction_id, amount) values (1, 20)
//     title    update auctions set title = 'A <b>table</b>' where id = 1
//     other    insert into bids (auction_id, amount) values (2, 500)
//     delete   delete from bids where auction_id = 1 and amount = 20
// The last line is `done`; any failure is told on stderr and exits with 1.
import fs from 'node:fs'
import path from 'node:path'
import assert from 'node:assert/strict'
import { launch, stdinLines, watchFaults } from './chromium.mjs'

const origin = process.env.WALCAST_URL
const shots = process.env.SCREENSHOTS
const QUERY = 'query GetCurrentAuctionBids @live { auction(id: "1") { bids { amount } highestBid { amount } id title } }'

const expectLine = stdinLines()
const tell = (line) => process.stdout.write(`${line}\n`)

async function picture(page, name) {
  if (!shots) return
  fs.mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: path.join(shots, `${name}.png`), fullPage: true })
}

async function ask(word) {
  tell(word)
  await expectLine('wrote')
}

const results = (page, count) => page.waitForFunction((text) => document.getElementById('live-results').textContent === text, String(count))
const texts = (page, selector) => page.locator(`#live-view ${selector}`).allInnerTexts()
// Without the words for those who hear the page.
const marks = async (page, element) => (await texts(page, `#live-result ${element}`)).map((text) => text.replace(/^(new|gone):\s*/, ''))

async function opens(page) {
  await page.goto(`${origin}/#none`)
  await page.getByRole('button', { name: 'Live query' }).click()
  await page.locator('#changes-view').waitFor({ state: 'hidden' })
  // Every list of the schema is offered.
  await page.getByRole('combobox', { name: 'Choose an operation' }).selectOption('auctions')
  assert.match(await page.locator('#live-query').inputValue(), /^query @live \{\n {2}auctions\(limit: 20\) \{\n {4}id\n {4}title\n {2}\}\n\}$/)
}

async function starts(page) {
  await page.getByRole('textbox', { name: 'Operation' }).fill(QUERY)
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.locator('#live-state[data-state="live"]').waitFor()
  await results(page, 1)
  const shown = JSON.parse(await page.locator('#live-result pre').innerText())
  assert.deepEqual(shown.auction.highestBid, { amount: 15 })
  assert.deepEqual([await marks(page, 'ins'), await marks(page, 'del')], [[], []], 'nothing differs from nothing')
  assert.deepEqual((await texts(page, '#live-keys li')).slice(0, 3), ['Query.auction', 'Query.auction(id:"1")', 'Auction:1'])
}

async function marksWhatABidChanged(page) {
  await ask('bid')
  await results(page, 2)
  assert.deepEqual(await marks(page, 'ins'), ['{ "amount": 20 }', '"amount": 20'])
  assert.deepEqual(await marks(page, 'del'), ['"amount": 15'])
  const [newest] = await texts(page, '#live-reruns li')
  assert.match(newest, /2 changes, [\d.]+ ms/)
  assert.match(newest, /Auction:1/, 'what made it run is told')
  assert.match(await page.locator('#live-took').innerText(), /^[\d.]+ ms$/)
  assert.ok(Number(await page.locator('#live-runs').innerText()) >= 2)
  await picture(page, 'live-bid')
}

async function replacesAndNeverBecomesMarkup(page) {
  await ask('title')
  await results(page, 3)
  assert.deepEqual(await marks(page, 'ins'), ['"title": "A <b>table</b>"'])
  assert.equal(await page.locator('#live-result b').count(), 0)
  assert.equal(await page.locator('#live-result pre').count(), 1, 'the result before is gone')
}

async function staysWhereNothingIsDifferent(page) {
  await ask('other')
  await ask('delete')
  await results(page, 4)
  assert.deepEqual(await marks(page, 'del'), ['{ "amount": 20 }', '"amount": 20'])
  assert.equal((await texts(page, '#live-reruns li')).length, 4)
}

async function startsFromTheAddress(page) {
  await page.reload()
  await results(page, 1)
  assert.equal(await page.locator('#live-query').inputValue(), QUERY)
  await page.getByRole('button', { name: 'Stop' }).click()
  await page.locator('#live-state[data-state="idle"]').waitFor()
  await page.getByRole('button', { name: 'Changes', exact: true }).click()
  await page.locator('#feed').waitFor({ state: 'attached' })
  assert.equal(await page.locator('#live-view').isVisible(), false)
}

async function tellsARefusal(page) {
  await page.getByRole('button', { name: 'Live query' }).click()
  await page.getByRole('textbox', { name: 'Operation' }).fill('query @live { nothing }')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.locator('#live-state[data-state="over"]').waitFor()
  assert.match((await texts(page, '#live-errors li'))[0], /does not have a field `nothing`/)
  await picture(page, 'live-refused')
}

// The module behind the page, asked directly for what cannot be seen on it.
async function comparesExactly(page) {
  const found = await page.evaluate(async () => {
    const { compare, flat, parse, render } = await import('/result.js')
    const diff = (before, now) => compare(parse(before), parse(now))
    const shown = (before, now) => {
      const pre = render(diff(before, now))
      for (const words of pre.querySelectorAll('.spoken')) words.remove()
      return { text: pre.textContent, ins: [...pre.querySelectorAll('ins')].map((i) => i.textContent), del: [...pre.querySelectorAll('del')].map((d) => d.textContent) }
    }
    const rows = (from, to) => JSON.stringify(Array.from({ length: to - from }, (_, i) => ({ id: from + i, n: 1 })))
    return {
      digits: flat(parse('{"a": 12345678901234567890, "b": 1.10, "c": [], "d": {}}')),
      moved: shown('[{"id":1},{"id":2},{"id":3}]', '[{"id":3},{"id":1},{"id":2}]'),
      inner: shown('[{"id":1,"n":1},{"id":2,"n":2}]', '[{"id":1,"n":1},{"id":2,"n":5}]').ins,
      kinds: shown('{"a":null}', '{"a":[1]}').ins,
      same: compare(parse('{"a":[1,{"b":2}]}'), parse('{"a":[1,{"b":2}]}')).differences,
      windows: diff(rows(0, 300), rows(1, 301)).differences,
      long: shown(rows(0, 100), rows(0, 101)),
    }
  })
  assert.equal(found.digits, '{ "a": 12345678901234567890, "b": 1.10, "c": [], "d": {} }')
  assert.deepEqual([found.moved.ins, found.moved.del], [['{ "id": 3 }'], ['{ "id": 3 }']])
  assert.deepEqual(found.inner, ['"n": 5'])
  assert.deepEqual(found.kinds, ['"a": [1]'])
  assert.equal(found.same, 0)
  assert.equal(found.windows, 2)
  assert.match(found.long.text, /94 more/)
  assert.deepEqual(found.long.ins, ['{ "id": 100, "n": 1 }'])
}

async function fitsAPhone(browser) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 })
  const page = await context.newPage()
  await page.goto(`${origin}/#view=live&${new URLSearchParams({ query: QUERY })}`)
  await results(page, 1)
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(excess <= 0, `the page is ${excess} px wider than the phone`)
  await picture(page, 'live-phone')
  await context.close()
}

async function main() {
  assert.ok(origin, 'WALCAST_URL is not set')
  const browser = await launch()
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 860 } })
    const faults = watchFaults(page, origin)
    await opens(page)
    await starts(page)
    await marksWhatABidChanged(page)
    await replacesAndNeverBecomesMarkup(page)
    await staysWhereNothingIsDifferent(page)
    await startsFromTheAddress(page)
    await tellsARefusal(page)
    await comparesExactly(page)
    await fitsAPhone(browser)
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
