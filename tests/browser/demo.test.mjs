// The console page of `walcast demo`: it watches everything from the start, its buttons write, and
// a live query is at hand.
// Environment: WALCAST_URL (http://127.0.0.1:PORT), SCREENSHOTS (a folder) when pictures are wanted.
import fs from 'node:fs'
import path from 'node:path'
import assert from 'node:assert/strict'
import { launch, watchFaults } from './chromium.mjs'

const origin = process.env.WALCAST_URL
const shots = process.env.SCREENSHOTS

async function picture(page, name) {
  if (!shots) return
  fs.mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: path.join(shots, `${name}.png`) })
}

async function press(page, button, kind, table) {
  await page.getByRole('button', { name: button, exact: true }).click()
  const newest = page.locator('#feed > .change').first()
  await newest.filter({ hasText: kind }).filter({ hasText: table }).waitFor()
  return newest
}

// The demo offers a live query, which needs no more than a press of its button.
async function watchesAnAuction(page) {
  await page.getByRole('button', { name: 'Live query' }).click()
  await page.waitForFunction(() => document.getElementById('live-query').value.includes('GetCurrentAuctionBids @live'))
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.locator('#live-state[data-state="live"]').waitFor()
  await page.getByRole('button', { name: 'Bid on auction 1', exact: true }).click()
  await page.locator('#live-result ins').first().waitFor()
  assert.ok((await page.locator('#live-keys li').allInnerTexts()).includes('Auction:1'))
  assert.match(await page.locator('#live-reruns li').first().innerText(), /Auction:1/)
}

async function main() {
  assert.ok(origin, 'WALCAST_URL is not set')
  const browser = await launch()
  try {
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme })
      const faults = watchFaults(page, origin)
      await page.goto(origin)
      await page.locator('#joined > li[data-topic="realtime:*"][data-state="joined"]').waitFor()
      await press(page, 'Add a user', 'INSERT', 'users')
      await press(page, 'Message room 1', 'INSERT', 'messages')
      const update = await press(page, 'Change the newest', 'UPDATE', 'users')
      // The table has REPLICA IDENTITY FULL, which flags every column as part of the key.
      assert.deepEqual(await update.locator('.key .name').allInnerTexts(), ['id'])
      assert.ok((await update.locator('ins').count()) > 0, 'the update of a row that was seen must mark what differs')
      await press(page, 'Bid on auction 1', 'INSERT', 'bids')
      await press(page, 'Delete the newest', 'DELETE', 'users')
      assert.equal(await page.locator('#demo-words').innerText(), '')
      await picture(page, `demo-${colorScheme}`)
      await watchesAnAuction(page)
      await picture(page, `demo-live-${colorScheme}`)
      assert.deepEqual(faults, [])
      await page.close()
    }
  } finally {
    await browser.close()
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack ?? error}\n`)
    process.exit(1)
  },
)
