// index.html?url=http://localhost:4000&auction=1
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { server, useLive, useTopic } from './hooks.js'

const AUCTION = 'query ($id: ID!) @live { auction(id: $id) { title highestBid { amount } } }'
const BID = 'mutation ($input: BidInput!) { bid(input: $input) { id } }'

function bid(auctionId, amount) {
  return fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: BID, variables: { input: { auctionId, amount } } }),
  })
}

function Auction({ id }) {
  const { result } = useLive(AUCTION, { id })
  const { rows, status, gaps } = useTopic(`realtime:public:bids:auction_id=eq.${id}`, { snapshot: true })
  if (!result) return <p>Connecting</p>
  if (result.errors) return <p role="alert">{result.errors[0].message}</p>
  const { title, highestBid } = result.data.auction
  const next = (highestBid?.amount ?? 0) + 5
  return (
    <>
      <h1>{title}</h1>
      <output aria-label="Highest bid">{highestBid?.amount ?? 'none yet'}</output>
      <button type="button" onClick={() => bid(id, next)}>Bid {next}</button>
      <h2>Bids</h2>
      <ol id="bids">{rows.map((row) => <li key={row.id}>{row.amount}</li>)}</ol>
      <p id="state">{status.state}{gaps > 0 && ', some bids were missed'}</p>
    </>
  )
}

const id = new URLSearchParams(location.search).get('auction') ?? '1'
createRoot(document.getElementById('page')).render(<StrictMode><Auction id={id} /></StrictMode>)
