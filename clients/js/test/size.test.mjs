import assert from 'node:assert/strict'
import fs from 'node:fs'
import test from 'node:test'
import { gzipSync } from 'node:zlib'

test('the client is smaller than 6 kB, minified and compressed', () => {
  const bytes = gzipSync(fs.readFileSync(new URL('../dist/index.js', import.meta.url)), { level: 9 }).length
  assert.ok(bytes < 6_000, `${bytes} bytes`)
})
