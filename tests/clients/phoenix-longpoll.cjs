'use strict'
// npm `phoenix` 1.8 on its own long polling. The contract is in contract.cjs.
const { LongPoll, Socket } = require('phoenix')
const { leaveWhenStdinCloses, print, reportJoin, settings } = require('./contract.cjs')

const { url, topic, join } = settings
const socket = new Socket(url, { transport: LongPoll })
const channel = socket.channel(topic, join)
let leaving = false
// This hook sees every event, whether or not somebody asked for it by name.
channel.onMessage = (event, payload) => {
  const answer = event === 'phx_reply' || event.startsWith('chan_reply_')
  if (!answer && !leaving) print({ event, payload: payload ?? null })
  return payload
}
socket.onOpen(() => {
  // This transport needs no heartbeat; one that is sent has to be answered all the same.
  socket.ping((milliseconds) => print({ pong: milliseconds >= 0 }))
})
socket.connect()
reportJoin(channel.join())
leaveWhenStdinCloses(
  () => {
    leaving = true
    return channel.leave()
  },
  () => socket.disconnect(),
)
