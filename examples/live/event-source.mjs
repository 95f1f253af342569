// Prints the highest bid of an auction whenever it changes. A browser has EventSource, Node.js takes it from npm.
//     node event-source.mjs [URL]
import { EventSource } from 'eventsource'

const url = process.argv[2] ?? process.env.WALCAST_URL ?? 'http://localhost:4000'
const query = `
  query GetCurrentAuctionBids @live {
    auction(id: "1") { bids { amount } highestBid { amount } id title }
  }
`

// It connects again by itself and then tells the server the last event that it has seen.
const source = new EventSource(`${url}/graphql?${new URLSearchParams({ query })}`)

source.addEventListener('next', (event) => {
  const { data, errors } = JSON.parse(event.data)
  if (errors) console.error(errors[0].message)
  else console.log(data.auction.title, data.auction.highestBid?.amount ?? 'without a bid')
})
// The server will send no more: the query was refused, and the reason was its one result.
source.addEventListener('complete', () => source.close())
