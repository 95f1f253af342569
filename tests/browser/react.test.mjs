// The page of examples/react in a real browser:  node react.test.mjs FOLDER
// FOLDER holds index.html and page.js. Environment: WALCAST_URL (http://127.0.0.1:PORT), with the demo's schema and data, and
// SCREENSHOTS (a folder) when pictures are wanted. On a line `bid` of our stdout the other side commits
//     insert into bids (auction_id, amount) values (1, 20)
// and answers `wrote` on our stdin. The last line is `done`.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { launch, stdinLines } from './chromium.mjs'

const folder = process.argv[2]
const FILES = { '/': ['index.html', 'text/html'], '/page.js': ['page.js', 'text/javascript'] }
const server = http.createServer((request, response) => {
  const [file, kind] = FILES[new URL(request.url, 'http://page').pathname] ?? []
  response.writeHead(file ? 200 : 404, { 'content-type': `${kind ?? 'text/plain'}; charset=utf-8` })
  response.end(file ? fs.readFileSync(path.join(folder, file)) : '')
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const expectLine = stdinLines()
const browser = await launch()
const page = await browser.newPage({ viewport: { width: 480, height: 640 } })
const faults = []
page.on('pageerror', (error) => faults.push(String(error)))
await page.goto(`http://127.0.0.1:${server.address().port}/?${new URLSearchParams({ url: process.env.WALCAST_URL, auction: '1' })}`)
const shows = (selector, text) => page.locator(selector).filter({ hasText: text }).waitFor()

await shows('h1', /^A wooden chair$/)
await shows('output', /^15$/)
await shows('#state', /^live$/)
process.stdout.write('bid\n')
await expectLine('wrote')
await shows('output', /^20$/)
await shows('#bids', /^10\s*15\s*20$/)
await page.getByRole('button', { name: 'Bid 25' }).click()
await shows('output', /^25$/)
await shows('#bids', /^10\s*15\s*20\s*25$/)
if (process.env.SCREENSHOTS) await page.screenshot({ path: path.join(process.env.SCREENSHOTS, 'react.png') })
await browser.close()
server.close()
assert.deepEqual(faults, [])
process.stdout.write('done\n')
process.exit(0)
