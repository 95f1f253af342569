// A program on the types of the demo's schema (`walcast schema --ts`, beside this file as schema.ts). It has only to
// compile; where it says so, it must not.
import type { Arguments, Auction, Bid, BidInput, Mutation, OrderDirection, Query, User } from './schema'

export async function ask<Root, Field extends keyof Root>(
  url: string,
  query: string,
  variables: Field extends keyof Arguments['Query'] ? Arguments['Query'][Field] : unknown,
): Promise<Pick<Root, Field>> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify({ query, variables }) })
  const { data } = (await response.json()) as { data: Pick<Root, Field> }
  return data
}

export async function highest(url: string): Promise<number | undefined> {
  const { auction } = await ask<Query, 'auction'>(url, 'query($id: ID!) { auction(id: $id) { highestBid { amount } } }', { id: '1' })
  // @ts-expect-error There may be no such auction.
  auction.title
  // @ts-expect-error And no bid on it.
  auction?.highestBid.amount
  const title: string | undefined = auction?.title
  return title === undefined ? undefined : auction?.highestBid?.amount
}

const direction: OrderDirection = 'DESC_NULLS_LAST'
export const list: Arguments['Query']['auctions'] = {
  filter: { or: [{ title: { ilike: '%chair%' } }, { bids: { amount: { gte: 10 } }, not: { id: { in: ['1'] } } }] },
  orderBy: [{ title: 'ASC' }, { id: direction }],
  limit: null,
}
export const bids: Arguments['Auction']['bids'] = { limit: 10 }

export const input: BidInput = { auctionId: '1', amount: 10 }
// @ts-expect-error Keys are strings.
export const number: BidInput = { auctionId: 1, amount: 10 }
// @ts-expect-error What is required has to be there.
export const short: Arguments['Mutation']['bid'] = { input: { auctionId: '1' } }
// @ts-expect-error There is no such operator.
export const like: Arguments['Query']['bids'] = { filter: { amount: { like: '1%' } } }

export function digits(user: User, placed: Mutation['bid']): (string | null)[] {
  const amount: number | undefined = placed?.amount
  // Without loss: no `number` on the way.
  return [user.balance, user.insertedAt, user.email, ...user.tags, String(amount)]
}

export function walk(bid: Bid): Auction['bids'] {
  return bid.auction.bids.filter(({ __typename }) => __typename !== 'Bid')
}
