// An installed Chromium under playwright-core, and what every browser test here shares.
import fs from 'node:fs'
import path from 'node:path'
import { chromium } from 'playwright-core'

// The names that scripts/setup.sh looks for, and in its order.
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const MAC = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
// No sandbox, since tests may run as root; the rest keeps the browser from calling home.
const QUIET = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
]

export async function launch() {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  const places = [...NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name))), MAC]
  const executablePath = process.env.CHROMIUM || places.find((place) => fs.existsSync(place))
  if (!executablePath) throw new Error('no Chromium was found: apt-get install chromium, or name one in CHROMIUM')
  return chromium.launch({ executablePath, args: QUIET })
}

// Collects what must never happen on a page: errors on its console, thrown errors, and requests
// to anywhere but `origin`.
export function watchFaults(page, origin) {
  const faults = []
  const host = new URL(origin).host
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`console ${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', (error) => faults.push(`thrown: ${error.stack ?? error}`))
  const foreign = (url) => { if (new URL(url).host !== host) faults.push(`request to another origin: ${url}`) }
  page.on('request', (request) => foreign(request.url()))
  page.on('websocket', (socket) => foreign(socket.url()))
  return faults
}

// The lines that the other side writes to our stdin, one at a time.
export function stdinLines() {
  const lines = []
  const waiting = []
  let ended = false
  let rest = ''
  process.stdin.setEncoding('utf8')
  process.stdin.on('data', (text) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop()
    lines.push(...parts.map((line) => line.trim()))
    while (waiting.length > 0 && lines.length > 0) waiting.shift().resolve(lines.shift())
  })
  process.stdin.on('end', () => {
    ended = true
    for (const { reject, word } of waiting.splice(0)) reject(new Error(`stdin ended before the line '${word}'`))
  })
  return async function expect(word) {
    const line = lines.length > 0 ? lines.shift()
      : ended ? (() => { throw new Error(`stdin ended before the line '${word}'`) })()
      : await new Promise((resolve, reject) => waiting.push({ resolve, reject, word }))
    if (line !== word) throw new Error(`expected the line '${word}' on stdin, got '${line}'`)
  }
}
