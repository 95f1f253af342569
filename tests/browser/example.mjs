// Serves a folder on a loopback port of its own, opens its index.html in Chromium against
// WALCAST_URL (ws://HOST:PORT) and TOPIC, and prints what the page says: its state, then its list.
//     node example.mjs FOLDER
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { launch } from './chromium.mjs'

const folder = process.argv[2]
const page = fs.readFileSync(path.join(folder, 'index.html'))
const server = http.createServer((request, response) => {
  const known = new URL(request.url, 'http://page').pathname === '/'
  response.writeHead(known ? 200 : 404, { 'content-type': 'text/html; charset=utf-8' })
  response.end(known ? page : '')
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const browser = await launch()
// Whoever started us ends us; the browser must not stay behind.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => browser.close().finally(() => process.exit(0)))

const tab = await browser.newPage()
await tab.exposeFunction('tell', (line) => process.stdout.write(`${line}\n`))
await tab.addInitScript(() => {
  const watch = () => {
    const state = document.getElementById('state')
    new MutationObserver(() => window.tell(state.textContent)).observe(state, { childList: true })
    new MutationObserver((records) => {
      for (const record of records) for (const row of record.addedNodes) window.tell(row.textContent)
    }).observe(document.getElementById('changes'), { childList: true })
  }
  // Before the page's own script, which stands at its end.
  new MutationObserver((_, observer) => {
    if (!document.getElementById('changes')) return
    observer.disconnect()
    watch()
  }).observe(document, { childList: true, subtree: true })
})
tab.on('pageerror', (error) => process.stderr.write(`${error}\n`))
const query = new URLSearchParams({ url: process.env.WALCAST_URL, topic: process.env.TOPIC ?? 'realtime:*' })
await tab.goto(`http://127.0.0.1:${server.address().port}/?${query}`)
