'use strict'
// What every script in this folder has in common, so that one test can drive any of them.
//
// Environment: WALCAST_URL (ws://HOST:PORT/socket), TOPIC, and optionally JOIN (the join payload as
// JSON). On stdout, one JSON object a line:
//     {"joined": RESPONSE}                the join was accepted (again after every reconnect)
//     {"refused": RESPONSE}               it was not
//     {"event": NAME, "payload": ...}     what the client handed to its user
// When stdin closes, the script leaves the channel, waits for the answer and exits with 0.

function required(name) {
  const value = process.env[name]
  if (!value) {
    process.stderr.write(`${name} is not set\n`)
    process.exit(2)
  }
  return value
}

const settings = {
  url: required('WALCAST_URL'),
  topic: required('TOPIC'),
  join: JSON.parse(process.env.JOIN || '{}'),
  // Short, so that a test of a few seconds sees heartbeats answered.
  heartbeatIntervalMs: 1000,
}

const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)

// `push` is the Push that joining gives in all of these clients.
function reportJoin(push) {
  push
    .receive('ok', (response) => print({ joined: response }))
    .receive('error', (response) => print({ refused: response }))
    .receive('timeout', () => process.stderr.write('the join timed out\n'))
}

// `leave()` gives the Push of the leave; `disconnect()` ends the socket.
function leaveWhenStdinCloses(leave, disconnect) {
  process.stdin.resume()
  process.stdin.on('end', () => {
    const late = setTimeout(() => {
      process.stderr.write('the leave was not answered within 5 s\n')
      process.exit(1)
    }, 5000)
    leave().receive('ok', () => {
      clearTimeout(late)
      disconnect()
      process.exit(0)
    })
  })
}

// The early Supabase clients: they only hand over events that were asked for by name.
function early(Client) {
  const { url, topic, join, heartbeatIntervalMs } = settings
  const socket = new Client(url, { heartbeatIntervalMs, timeout: 10_000 })
  const channel = socket.channel(topic, join)
  let leaving = false
  for (const event of ['*', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) {
    channel.on(event, (payload) => print({ event, payload }))
  }
  channel.onClose((payload) => { if (!leaving) print({ event: 'phx_close', payload: payload ?? null }) })
  channel.onError((payload) => { if (!leaving) print({ event: 'phx_error', payload: payload ?? null }) })
  socket.connect()
  // `join` until 0.9, `subscribe` from 1.0 on.
  reportJoin(channel.subscribe ? channel.subscribe() : channel.join())
  leaveWhenStdinCloses(
    () => {
      leaving = true
      return channel.unsubscribe ? channel.unsubscribe() : channel.leave()
    },
    () => socket.disconnect(),
  )
}

module.exports = { early, leaveWhenStdinCloses, print, reportJoin, settings }
