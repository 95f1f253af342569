// Writes the files of the page at /graphiql into a folder:  cd graphiql && node build.mjs FOLDER
// scripts/bundle_graphiql.sh runs it. Equal inputs give equal bytes on every platform: esbuild is deterministic, and
// fflate, unlike the zlib of whichever Node.js this is, has the version of the lock file.
import fs from 'node:fs'
import path from 'node:path'
import { build } from 'esbuild'
import { gzipSync } from 'fflate'
import { licences } from './licences.mjs'

const target = process.argv[2]
if (!target) throw new Error('usage: node build.mjs FOLDER')

const { metafile, outputFiles } = await build({
  entryPoints: {
    page: './page.jsx',
    editor: 'monaco-editor/esm/vs/editor/editor.worker.js',
    graphql: 'monaco-graphql/esm/graphql.worker.js',
    json: 'monaco-editor/esm/vs/language/json/json.worker.js',
  },
  bundle: true,
  minify: true,
  format: 'iife',
  // The browsers that have module workers, private fields and `Array.at`: from 2022 on.
  target: 'es2022',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'file' },
  assetNames: '[name]',
  legalComments: 'external',
  metafile: true,
  outdir: 'out',
  write: false,
})

const files = new Map()
const comments = []
for (const { path: name, contents, text } of outputFiles) {
  if (name.endsWith('.LEGAL.txt')) comments.push(text)
  else files.set(path.basename(name), contents)
}
files.set('licenses.txt', new TextEncoder().encode(licences(metafile, comments)))

for (const [name, contents] of files) {
  const packed = gzipSync(contents, { level: 9, mtime: 0 })
  fs.writeFileSync(path.join(target, `${name}.gz`), packed)
  process.stdout.write(`${name.padEnd(13)} ${String(contents.length).padStart(9)} bytes, ${String(packed.length).padStart(9)} packed\n`)
}
