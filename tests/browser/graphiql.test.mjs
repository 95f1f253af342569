// GraphiQL in a real browser. Environment: WALCAST_URL (http://127.0.0.1:PORT), and SCREENSHOTS (a folder)
// when pictures are wanted.
//
// The server's database is the caller's, and is expected to hold
//     create table graphiql_books (id bigint primary key, title text not null)
// with one row, (9007199254740993, 'Ada <b>'). The caller acts on each line of our stdout, answering `wrote` on our
// stdin once it has committed:
//     rename   update graphiql_books set title = 'Live <i>'
//     restore  update graphiql_books set title = 'Ada <b>'
// Any failure is told on stderr and exits with 1.
import fs from 'node:fs'
import path from 'node:path'
import assert from 'node:assert/strict'
import { launch, stdinLines, watchFaults } from './chromium.mjs'

const origin = process.env.WALCAST_URL
const shots = process.env.SCREENSHOTS

const expectLine = stdinLines()

async function ask(word) {
  process.stdout.write(`${word}\n`)
  await expectLine('wrote')
}

async function picture(page, name) {
  if (!shots) return
  fs.mkdirSync(shots, { recursive: true })
  await page.screenshot({ path: path.join(shots, `${name}.png`) })
}

// Monaco draws the lines that can be seen, with no-break spaces.
async function shows(page, editor, text) {
  const lines = page.locator(`.graphiql-container ${editor} .view-lines`)
  await page.waitForFunction(
    ([element, wanted]) => element.innerText.replaceAll('\u00a0', ' ').includes(wanted),
    [await lines.elementHandle(), text],
  )
}

const QUERY_EDITOR = '.graphiql-query-editor'
const RESPONSE = '.graphiql-response'

async function opensFromTheConsole(page) {
  await page.goto(`${origin}/#none`)
  await page.getByRole('link', { name: 'GraphiQL' }).click()
  await page.waitForURL(`${origin}/graphiql`)
  await shows(page, QUERY_EDITOR, '__typename')
}

async function write(page, text) {
  await page.locator(`${QUERY_EDITOR} .monaco-editor`).first().click()
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.press('Delete')
  // As if pasted: the editor closes brackets that are typed.
  await page.keyboard.insertText(text)
}

async function run(page, answer) {
  await page.keyboard.press('ControlOrMeta+Enter')
  await shows(page, RESPONSE, answer)
}

async function runsTheFirstQuery(page) {
  await page.getByRole('button', { name: /^Execute query/ }).click()
  await shows(page, RESPONSE, '"__typename": "Query"')
}

async function runsAQuery(page) {
  await write(page, 'query Book($id: ID!) { graphiqlBook(id: $id) { id title } }')
  await page.getByRole('button', { name: 'Variables' }).click()
  await page.locator('.graphiql-editor-tool .monaco-editor').first().click()
  await page.keyboard.insertText('{"id": "9007199254740993"}')
  await run(page, '"title": "Ada <b>"')
  await shows(page, RESPONSE, '"id": "9007199254740993"')
}

// Each result replaces the one before, until the same button stops them.
async function staysLive(page) {
  await write(page, 'query Book($id: ID!) @live { graphiqlBook(id: $id) { title } }')
  await run(page, '"title": "Ada <b>"')
  await ask('rename')
  await shows(page, RESPONSE, '"title": "Live <i>"')
  await picture(page, 'graphiql-live')
  await ask('restore')
  await shows(page, RESPONSE, '"title": "Ada <b>"')
  await page.getByRole('button', { name: /^Stop query/ }).click()
  await page.getByRole('button', { name: /^Execute query/ }).waitFor()
}

async function completes(page) {
  await write(page, '{ graphiqlBooks { ti } }')
  for (let i = 0; i < 4; i += 1) await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('ControlOrMeta+Space')
  await page.locator('.suggest-widget').getByText('title', { exact: false }).first().waitFor()
  await picture(page, 'graphiql-completion')
  await page.keyboard.press('Escape')
}

async function marksAMistake(page) {
  await write(page, '{ nosuchfield }')
  await page.locator(`${QUERY_EDITOR} .squiggly-error`).first().waitFor()
}

async function showsTheSchema(page) {
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click()
  const explorer = page.locator('.graphiql-plugin')
  await explorer.getByRole('link', { name: 'Query', exact: true }).click()
  await explorer.getByRole('link', { name: 'graphiqlBooks', exact: true }).waitFor()
  await picture(page, 'graphiql-docs')
}

async function sendsHeaders(page) {
  await page.getByRole('button', { name: 'Headers' }).click()
  await page.locator('.graphiql-editor-tool .monaco-editor:visible').first().click()
  await page.keyboard.insertText('{"x-client-info": "graphiql"}')
  await write(page, '{ __typename }')
  const sent = page.waitForRequest((request) => request.method() === 'POST')
  await run(page, '"__typename": "Query"')
  assert.equal((await sent).headers()['x-client-info'], 'graphiql')
}

async function linksBack(page) {
  const licences = await page.request.get(new URL(await page.getByRole('link', { name: /^Licences/ }).getAttribute('href'), page.url()).href)
  assert.match(await licences.text(), /monaco-editor [\d.]+ \(MIT\)/)
  await page.getByRole('link', { name: 'walcast' }).click()
  await page.waitForURL(`${origin}/`)
}

async function main() {
  assert.ok(origin, 'WALCAST_URL is not set')
  const browser = await launch()
  try {
    for (const colorScheme of ['light', 'dark']) {
      const page = await browser.newPage({ viewport: { width: 1280, height: 860 }, colorScheme })
      // Violations of the policy are errors on the console.
      const faults = watchFaults(page, origin)
      const workers = []
      page.on('worker', (worker) => workers.push(new URL(worker.url()).pathname))
      await opensFromTheConsole(page)
      await runsTheFirstQuery(page)
      await runsAQuery(page)
      await picture(page, `graphiql-${colorScheme}`)
      await staysLive(page)
      await completes(page)
      await marksAMistake(page)
      await showsTheSchema(page)
      await sendsHeaders(page)
      await picture(page, `graphiql-all-${colorScheme}`)
      for (const name of ['editor', 'graphql', 'json']) {
        assert.ok(workers.includes(`/graphiql/${name}.js`), `the worker ${name} runs: ${workers}`)
      }
      await linksBack(page)
      assert.deepEqual(faults, [])
      await page.close()
    }
  } finally {
    await browser.close()
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${error.stack ?? error}\n`)
    process.exit(1)
  },
)
