// The client of clients/js, built, behind a proxy of its own that can be told to misbehave.
//
// Environment: WALCAST_URL (http://HOST:PORT); TOPIC with OPTIONS (of `subscribe`, JSON), or QUERY with VARIABLES; CONNECT
// (of `connect`, JSON); REFUSE, what the proxy refuses at first: `upgrade`, or the beginning of a path, separated by commas.
// On stdout one JSON object a line: {"event": ..}, {"status": ..}, {"client": ..} (status of the client), {"result": ..}
// of a live query, {"live": ..} (its status), {"said": ..} in answer to `cursor`.
// On stdin one command a line:
//     cut              breaks all connections through the proxy, and refuses new ones until `mend`
//     mend [PORT]      passes connections on, to another port of 127.0.0.1 if one is named
//     refuse [WHAT]    as REFUSE, from now on
//     cursor           prints the cursor
//     take N           with OPTIONS.iterate: takes N events by iteration, and prints them
// At its end everything is closed, and the script must end by itself.
import http from 'node:http'
import net from 'node:net'
import { createInterface } from 'node:readline'
import WebSocket from 'ws'
import { connect } from '../../src/http/console/walcast.js'

const { WALCAST_URL, TOPIC, OPTIONS = '{}', QUERY, VARIABLES = '{}', CONNECT = '{}', REFUSE = '' } = process.env
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

let upstream = Number(new URL(WALCAST_URL).port)
let refused = REFUSE.split(',').filter(Boolean)
let cut = false
const sockets = new Set()
const isRefused = (path) => refused.some((prefix) => path.startsWith(prefix))

const proxy = http.createServer((request, response) => {
  if (isRefused(request.url)) {
    response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>')
    return
  }
  const { method, url, headers } = request
  const onward = http.request({ host: '127.0.0.1', port: upstream, method, path: url, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers)
    response.flushHeaders()
    answer.pipe(response)
    answer.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
  })
  onward.on('error', () => response.destroy())
  request.pipe(onward)
})
proxy.on('connection', (socket) => {
  if (cut) {
    socket.destroy()
    return
  }
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket))
})
proxy.on('upgrade', (request, socket, head) => {
  socket.on('error', () => {})
  if (refused.includes('upgrade')) {
    socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    return
  }
  const onward = net.connect(upstream, '127.0.0.1', () => {
    const headers = request.rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    onward.write(`GET ${request.url} HTTP/1.1\r\n${headers}\r\n`)
    onward.write(head)
    onward.pipe(socket)
    socket.pipe(onward)
  })
  onward.on('error', () => socket.destroy())
  onward.on('close', () => socket.destroy())
  socket.on('close', () => onward.destroy())
})
await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))

const client = connect(`http://127.0.0.1:${proxy.address().port}`, {
  WebSocket,
  pauses: { first: 50, cap: 500 },
  onStatus: (status) => print({ client: status }),
  ...JSON.parse(CONNECT),
})
const told = ({ error, ...status }) => ({ ...status, ...(error ? { code: error.code, message: error.message } : {}) })
const onStatus = (status) => print({ status: told(status) })
const { iterate, ...options } = JSON.parse(OPTIONS)
const subscription = TOPIC && client.subscribe(TOPIC, { ...options, onStatus }, iterate ? undefined : (event) => print({ event }))
const iterator = iterate && subscription[Symbol.asyncIterator]()
if (QUERY) client.live(QUERY, JSON.parse(VARIABLES), { onStatus: (status) => print({ live: told(status) }) }, (result) => print({ result }))

for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(' ')
  if (command === 'cut') {
    cut = true
    for (const socket of sockets) socket.destroy()
  } else if (command === 'mend') {
    if (argument) upstream = Number(argument)
    cut = false
  } else if (command === 'refuse') refused = (argument ?? '').split(',').filter(Boolean)
  else if (command === 'cursor') print({ said: subscription.cursor })
  else if (command === 'take') for (let n = 0; n < Number(argument); n++) print({ event: (await iterator.next()).value })
  else throw new Error(`there is no command ${line}`)
}
client.close()
proxy.close()
proxy.closeAllConnections()
for (const socket of sockets) socket.destroy()
