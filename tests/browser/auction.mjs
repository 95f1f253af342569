// Serves the built page of examples/auction on a loopback port of its own, opens it in Chromium against WALCAST_URL
// (http://HOST:PORT), and prints the auction and its highest bid whenever the page shows another. A line `bid` on stdin
// presses the button. Ends with stdin; a fault of the page makes it fail.
//     node auction.mjs FOLDER
import assert from 'node:assert/strict'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { launch } from './chromium.mjs'

const folder = process.argv[2]
const FILES = { '/': ['index.html', 'text/html'], '/page.js': ['page.js', 'text/javascript'] }
const server = http.createServer((request, response) => {
  const [file, kind] = FILES[new URL(request.url, 'http://page').pathname] ?? []
  response.writeHead(file ? 200 : 404, { 'content-type': `${kind ?? 'text/plain'}; charset=utf-8` })
  response.end(file ? fs.readFileSync(path.join(folder, file)) : '')
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const browser = await launch()
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => browser.close().finally(() => process.exit(0)))

const page = await browser.newPage()
const faults = []
page.on('pageerror', (error) => faults.push(String(error)))
let last
await page.exposeFunction('tell', (line) => {
  if (line !== last) process.stdout.write(`${line}\n`)
  last = line
})
await page.addInitScript(() => {
  new MutationObserver(() => {
    const [title, highest] = ['h1', 'output'].map((name) => document.querySelector(name)?.textContent)
    if (highest) window.tell(`${title} ${highest}`)
  }).observe(document, { childList: true, subtree: true, characterData: true })
})
const address = new URLSearchParams({ url: process.env.WALCAST_URL, auction: '1' })
await page.goto(`http://127.0.0.1:${server.address().port}/?${address}`)

for await (const line of createInterface({ input: process.stdin })) {
  assert.equal(line, 'bid')
  await page.getByRole('button', { name: /^Bid/ }).click()
}
await browser.close()
server.close()
assert.deepEqual(faults, [])
