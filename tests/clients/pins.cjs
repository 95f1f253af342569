'use strict'
// Fails unless the versions that an example pins are the ones that the tests install:
//     node pins.cjs PACKAGE_JSON
const fs = require('node:fs')
const path = require('node:path')

const example = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const tested = JSON.parse(fs.readFileSync(path.join(__dirname, 'package.json'), 'utf8')).dependencies
const known = new Set(Object.entries(tested).map(([name, pin]) => (pin.startsWith('npm:') ? pin.slice(4) : `${name}@${pin}`)))

for (const [name, pin] of Object.entries(example.dependencies)) {
  // What lies in this repository is as it is.
  if (pin.startsWith('file:') || known.has(`${name}@${pin}`)) continue
  process.stderr.write(`${process.argv[2]} pins ${name}@${pin}, which tests/clients/package.json does not install\n`)
  process.exitCode = 1
}
