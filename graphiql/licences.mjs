// The licence texts of every package that has a byte in the bundle.
import fs from 'node:fs'
import path from 'node:path'

// Fit for a binary under MIT or Apache-2.0. Another one stops the build, so that someone reads it first.
const ALLOWED = new Set(['MIT', 'Apache-2.0', 'BSD-2-Clause', '0BSD'])

// Packages that are published without their text, and the one of the same authors that has it.
const TEXT_OF = {
  '@graphiql/plugin-doc-explorer': 'graphiql',
  '@graphiql/plugin-history': 'graphiql',
  'react-compiler-runtime': 'react',
  'react-remove-scroll-bar': 'react-remove-scroll',
}

const RULE = '-'.repeat(80)

// Monaco's notices name what it carries inside of its own package, but not its icons.
const CODICONS = `codicon.ttf: Visual Studio Code Icons, https://github.com/microsoft/vscode-codicons
Copyright (c) Microsoft Corporation, CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/
Unchanged from monaco-editor.`

const LICENCE_FILE = /^(licen[cs]e|copying|notice|third-?party-?notices)/i

function folders(metafile) {
  const inputs = Object.values(metafile.outputs).flatMap((output) =>
    Object.entries(output.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([name]) => name))
  const found = inputs.map((name) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(name)?.[1])
  return [...new Set(found.filter(Boolean))].sort()
}

function texts(folder, name) {
  const files = fs.readdirSync(folder).filter((file) => LICENCE_FILE.test(file)).sort()
  if (files.length > 0) return files.map((file) => fs.readFileSync(path.join(folder, file), 'utf8'))
  const other = TEXT_OF[name]
  if (!other) throw new Error(`${name} is published without a licence text: find it, and name its place in TEXT_OF`)
  return texts(path.join('node_modules', other), other)
}

// `comments` are the licence comments that esbuild has taken out of the sources.
export function licences(metafile, comments) {
  const packages = new Map()
  for (const folder of folders(metafile)) {
    const { name, version, license } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'))
    if (!ALLOWED.has(license)) throw new Error(`${name} ${version} is under ${license}, which is not among ${[...ALLOWED].join(', ')}`)
    for (const text of texts(folder, name)) {
      const key = text.replaceAll('\r\n', '\n').split('\n').map((line) => line.trimEnd()).join('\n').trim()
      packages.set(key, [...(packages.get(key) ?? []), `${name} ${version} (${license})`])
    }
  }
  const sections = [...packages].map(([text, names]) => `${[...new Set(names)].join('\n')}\n\n${text}`)
  return [
    'The GraphiQL page of walcast is made of the following packages, each under its own licence.',
    ...sections,
    CODICONS,
    ...comments.map((text) => text.trim()),
  ].join(`\n\n${RULE}\n`) + '\n'
}
