'use strict'
// npm `phoenix` 1.8, protocol 2.0.0. The contract is in contract.cjs.
const { Socket } = require('phoenix')
const WebSocket = require('ws')
const { leaveWhenStdinCloses, print, reportJoin, settings } = require('./contract.cjs')

const { url, topic, join, heartbeatIntervalMs } = settings
// Node had no WebSocket of its own before version 22.
const socket = new Socket(url, { transport: WebSocket, heartbeatIntervalMs })
const channel = socket.channel(topic, join)
let leaving = false
// This hook sees every event, whether or not somebody asked for it by name.
channel.onMessage = (event, payload) => {
  const answer = event === 'phx_reply' || event.startsWith('chan_reply_')
  if (!answer && !leaving) print({ event, payload: payload ?? null })
  return payload
}
socket.connect()
reportJoin(channel.join())
leaveWhenStdinCloses(
  () => {
    leaving = true
    return channel.leave()
  },
  () => socket.disconnect(),
)
