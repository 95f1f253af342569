// Writes the client into a folder: index.js, one minified module, and with --types what TypeScript needs.
//     node build.mjs FOLDER [--types]
// Equal sources give equal bytes: esbuild has the version of the lock file.
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const here = path.dirname(fileURLToPath(import.meta.url))
const [folder, types] = process.argv.slice(2)
if (!folder) throw new Error('usage: node build.mjs FOLDER [--types]')

await build({
  absWorkingDir: here,
  entryPoints: ['src/index.ts'],
  outdir: path.resolve(folder),
  bundle: true,
  minify: true,
  format: 'esm',
  // Class fields, `??=`: browsers from 2021 on, and every supported Node.js.
  target: 'es2022',
  // Members that begin with _ are nobody else's.
  mangleProps: /^_/,
  banner: { js: '// walcast, MIT or Apache-2.0: made of clients/js by scripts/bundle_client.sh' },
  logLevel: 'error',
})
if (types === '--types') {
  const tsc = path.join(here, 'node_modules/typescript/bin/tsc')
  execFileSync(process.execPath, [tsc, '-p', here, '--outDir', path.resolve(folder)], { stdio: 'inherit' })
}
