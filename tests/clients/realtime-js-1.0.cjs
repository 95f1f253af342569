'use strict'
// npm `@supabase/realtime-js` 1.0, protocol 1.0.0. The contract is in contract.cjs.
const { Socket } = require('realtime-js-1.0')
const { early } = require('./contract.cjs')

early(Socket)
