// The page at /graphiql. Every address is relative to it, so that it works behind a proxy's prefix, too.
import { createRoot } from 'react-dom/client'
import { GraphiQL } from 'graphiql'
import '@graphiql/react/style.css'
import '@graphiql/plugin-doc-explorer/style.css'
import '@graphiql/plugin-history/style.css'
import 'graphiql/graphiql.css'
import { fetcher } from './fetcher.js'
import './page.css'

const WORKERS = new Set(['graphql', 'json'])

globalThis.MonacoEnvironment = {
  getWorker: (_, label) => new Worker(new URL(`graphiql/${WORKERS.has(label) ? label : 'editor'}.js`, document.baseURI)),
}

// Valid on every schema, and with introspection switched off.
const FIRST_QUERY = `# Ctrl-Enter runs this.
# Ctrl-Space completes what you type.
# The book on the left shows the schema.
{
  __typename
}
`

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL fetcher={fetcher} defaultQuery={FIRST_QUERY} defaultEditorToolsVisibility="variables" isHeadersEditorEnabled>
    <GraphiQL.Logo>
      <a className="home" href="./">walcast console</a>
    </GraphiQL.Logo>
    <GraphiQL.Footer>
      <a className="licences" href="graphiql/licenses.txt">Licences of this page</a>
    </GraphiQL.Footer>
  </GraphiQL>,
)
