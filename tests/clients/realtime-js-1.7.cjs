'use strict'
// npm `@supabase/realtime-js` 1.7, protocol 1.0.0. The contract is in contract.cjs.
const { RealtimeClient } = require('realtime-js-1.7')
const { early } = require('./contract.cjs')

early(RealtimeClient)
