'use strict'
// The package `ws` with permessage-deflate, below any client of Phoenix: prints what it hears, and how many bytes came.
const WebSocket = require('ws')

const { WALCAST_URL: url, TOPIC: topic } = process.env
const socket = new WebSocket(url, { perMessageDeflate: { threshold: 0 } })
let before = 0
const print = (line) => console.log(JSON.stringify(line))
socket.on('open', () => {
  before = socket._socket.bytesRead
  const options = { frames: 'type', padding: 'x'.repeat(2000) }
  socket.send(JSON.stringify(['1', '1', topic, 'phx_join', options]))
})
socket.on('message', (data) => {
  const { bytesRead } = socket._socket
  print({ extensions: socket.extensions, frame: JSON.parse(data), bytes: bytesRead - before })
  before = bytesRead
})
socket.on('close', (code) => print({ closed: code }))
process.stdin.resume().on('end', () => socket.close())
