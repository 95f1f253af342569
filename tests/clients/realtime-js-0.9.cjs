'use strict'
// npm `@supabase/realtime-js` 0.9, protocol 1.0.0. The contract is in contract.cjs.
const { Socket } = require('realtime-js-0.9')
const { early } = require('./contract.cjs')

early(Socket)
