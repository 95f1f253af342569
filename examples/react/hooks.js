// Two hooks over one connection. Copy this file, and name your server.
import { useEffect, useState } from 'react'
import { connect } from 'walcast'

export const server = new URLSearchParams(location.search).get('url') ?? 'http://localhost:4000'
const client = connect(server)

// The rows of a topic by their key, kept current: those that are there already if `snapshot` is set (for a topic of one
// table), and those that change from now on. `status` tells whether they are; `gaps` counts how often rows may have been
// missed, after which they begin anew.
export function useTopic(topic, { key = 'id', snapshot = false, profile } = {}) {
  const [shown, show] = useState({ rows: [], status: { state: 'waiting' }, gaps: 0 })
  useEffect(() => {
    const rows = new Map()
    let [gaps, due, status] = [0, false, { state: 'waiting' }]
    // Once for all that comes together.
    const paint = () => {
      if (due) return
      due = true
      setTimeout(() => {
        due = false
        show({ rows: [...rows.values()], status, gaps })
      })
    }
    const onStatus = (now) => {
      status = now
      paint()
    }
    const subscription = client.subscribe(topic, { snapshot, profile, onStatus }, (event) => {
      if (event.type === 'gap') gaps += 1
      apply(rows, event, key)
      paint()
    })
    return () => subscription.unsubscribe()
  }, [topic, key, snapshot, profile])
  return shown
}

function apply(rows, event, key) {
  const { type, record, old_record: old } = event
  if (type === 'gap' || type === 'TRUNCATE') rows.clear()
  if (type === 'snapshot') for (const row of event.records) rows.set(row[key], row)
  if (!record) return rows.delete(old?.[key])
  // Large values that did not change are absent from the record; the key may be another now.
  const before = rows.get(old?.[key] ?? record[key])
  if (old && old[key] !== record[key]) rows.delete(old[key])
  return rows.set(record[key], { ...before, ...record })
}

// The newest result of a live query.
export function useLive(query, variables) {
  const [shown, show] = useState({ result: undefined, status: { state: 'connecting' } })
  const given = JSON.stringify(variables)
  useEffect(() => {
    const onStatus = (status) => show(({ result }) => ({ result, status }))
    const live = client.live(query, given && JSON.parse(given), { onStatus }, (result) => show(({ status }) => ({ result, status })))
    return () => live.stop()
  }, [query, given])
  return shown
}
