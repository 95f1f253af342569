// index.html?url=http://localhost:4000&auction=1
import { useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'

const address = new URLSearchParams(location.search)
const endpoint = `${address.get('url') ?? 'http://localhost:4000'}/graphql`

const BIDS = `
  query GetCurrentAuctionBids($id: ID!) @live {
    auction(id: $id) { bids { amount } highestBid { amount } id title }
  }
`
const BID = 'mutation ($input: BidInput!) { bid(input: $input) { id } }'

// The newest result of a live query. The browser connects again by itself when the connection is lost.
function useLive(query, variables) {
  const [result, setResult] = useState()
  const parameters = new URLSearchParams({ query, variables: JSON.stringify(variables) }).toString()
  useEffect(() => {
    const source = new EventSource(`${endpoint}?${parameters}`)
    source.addEventListener('next', ({ data }) => setResult(JSON.parse(data)))
    source.addEventListener('complete', () => source.close())
    return () => source.close()
  }, [parameters])
  return result
}

async function ask(query, variables) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  })
  const { errors } = await response.json()
  return errors?.[0].message
}

function Auction({ id }) {
  const [refusal, setRefusal] = useState()
  const result = useLive(BIDS, { id })
  if (!result) return <p>Connecting</p>
  if (result.errors) return <p role="alert">{result.errors[0].message}</p>
  if (!result.data.auction) return <p role="alert">There is no auction {id}.</p>
  const { title, bids, highestBid } = result.data.auction
  const next = (highestBid?.amount ?? 0) + 5
  const bid = async () => setRefusal(await ask(BID, { input: { auctionId: id, amount: next } }))
  return (
    <>
      <h1>{title}</h1>
      <output aria-label="Highest bid">{highestBid?.amount ?? 'none yet'}</output>
      <button type="button" onClick={bid}>Bid {next}</button>
      {refusal && <p role="alert">{refusal}</p>}
      <ol>{bids.map(({ amount }, n) => <li key={n}>{amount}</li>)}</ol>
    </>
  )
}

createRoot(document.getElementById('page')).render(<Auction id={address.get('auction') ?? '1'} />)
