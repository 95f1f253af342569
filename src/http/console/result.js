// A result, and where it differs from the one before. Whatever comes from the database is put in by textContent only.
import { el, spoken } from './view.js'

const LINE = 88
// Beyond this the middle of two lists is taken as wholly replaced: the work grows with the square.
const COMPARED = 250_000
// Of a longer run of elements that stayed as they were, the ends are shown.
const RUN = 24
const RUN_ENDS = 3

// A number as it was written: as a number of JavaScript it could lose digits. Older browsers do not tell.
class Digits {
  constructor(text) {
    this.text = text
  }
}

export function parse(text) {
  return JSON.parse(text, (_, value, context) => (typeof value === 'number' ? new Digits(context?.source ?? String(value)) : value))
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Digits)

// JSON on one line.
export function flat(value) {
  if (Array.isArray(value)) return `[${value.map(flat).join(', ')}]`
  if (value instanceof Digits) return value.text
  if (!isObject(value)) return JSON.stringify(value)
  const entries = Object.entries(value).map(([name, inner]) => `${JSON.stringify(name)}: ${flat(inner)}`)
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`
}

// ---- what differs -------------------------------------------------------------------------------

// A tree of {value, mark: '' | 'new' | 'gone', inner: [[name, tree]], differences: how many places differ}. Of a value
// that is the same, new or gone as a whole, there is no difference inside.
const whole = (value, mark) => ({ value, mark, inner: innerOf(value).map(([name, inner]) => [name, whole(inner, '')]), differences: mark ? 1 : 0 })

function innerOf(value) {
  if (Array.isArray(value)) return value.map((inner) => ['', inner])
  return isObject(value) ? Object.entries(value) : []
}

const of = (value, inner) => ({ value, mark: '', inner, differences: inner.reduce((sum, [, tree]) => sum + tree.differences, 0) })

// `before` is undefined for the first result.
export function compare(before, now) {
  if (before === undefined) return whole(now, '')
  if (isObject(before) && isObject(now)) {
    const names = new Set([...Object.keys(now), ...Object.keys(before)])
    return of(now, [...names].flatMap((name) => pair(before[name], now[name]).map((tree) => [name, tree])))
  }
  if (Array.isArray(before) && Array.isArray(now)) return of(now, align(before, now).map((tree) => ['', tree]))
  return whole(now, flat(before) === flat(now) ? '' : 'new')
}

function pair(before, now) {
  if (now === undefined) return [whole(before, 'gone')]
  if (before === undefined) return [whole(now, 'new')]
  const tree = compare(before, now)
  // Another value in the same place is one difference.
  return tree.mark === 'new' ? [{ ...whole(before, 'gone'), differences: 0 }, tree] : [tree]
}

// Two elements of a list are the same row by their `id`, where it was asked for; else by all that they hold.
const identity = (value) => (isObject(value) && value.id !== undefined ? `id ${flat(value.id)}` : flat(value))

function align(before, now) {
  const [olds, news] = [before.map(identity), now.map(identity)]
  let start = 0
  while (start < olds.length && start < news.length && olds[start] === news[start]) start += 1
  let tail = 0
  while (tail < olds.length - start && tail < news.length - start && olds.at(-1 - tail) === news.at(-1 - tail)) tail += 1
  const [oldEnd, newEnd] = [olds.length - tail, news.length - tail]
  const [gone, fresh] = [(o) => whole(before[o], 'gone'), (n) => whole(now[n], 'new')]
  const steps = common(olds.slice(start, oldEnd), news.slice(start, newEnd))
  return [
    ...now.slice(0, start).map((value, i) => compare(before[i], value)),
    ...steps.map(([o, n]) => (n === null ? gone(start + o) : o === null ? fresh(start + n) : compare(before[start + o], now[start + n]))),
    ...now.slice(newEnd).map((value, i) => compare(before[oldEnd + i], value)),
  ]
}

// The way through two lists along a longest common subsequence: pairs of indices, null where one has no counterpart.
function common(olds, news) {
  const steps = []
  let [o, n] = [0, 0]
  if (olds.length * news.length <= COMPARED) {
    const lengths = Array.from({ length: olds.length + 1 }, () => new Uint32Array(news.length + 1))
    for (let r = olds.length - 1; r >= 0; r--) {
      for (let c = news.length - 1; c >= 0; c--) {
        lengths[r][c] = olds[r] === news[c] ? lengths[r + 1][c + 1] + 1 : Math.max(lengths[r + 1][c], lengths[r][c + 1])
      }
    }
    while (o < olds.length && n < news.length) {
      if (olds[o] === news[n]) steps.push([o++, n++])
      else if (lengths[o + 1][n] >= lengths[o][n + 1]) steps.push([o++, null])
      else steps.push([null, n++])
    }
  }
  while (o < olds.length) steps.push([o++, null])
  while (n < news.length) steps.push([null, n++])
  return steps
}

// ---- as text --------------------------------------------------------------------------------------

// The tree as indented JSON, with `ins` and `del` around what differs.
export function render(tree) {
  const pre = el('pre')
  write(pre, tree, 0, '', '')
  return pre
}

const WORDS = { new: 'new: ', gone: 'gone: ' }
const newLine = (depth) => `\n${'  '.repeat(depth)}`

function write(parent, tree, depth, label, comma) {
  let into = parent
  if (tree.mark) {
    into = el(tree.mark === 'new' ? 'ins' : 'del')
    into.append(spoken(WORDS[tree.mark]))
    parent.append(into)
  }
  into.append(label)
  const line = flat(tree.value)
  const isCalm = tree.differences === 0 || tree.mark !== ''
  if (tree.inner.length === 0 || (isCalm && 2 * depth + label.length + line.length <= LINE)) into.append(line)
  else writeInner(into, tree, depth)
  parent.append(comma)
}

function writeInner(parent, tree, depth) {
  const isList = Array.isArray(tree.value)
  const last = tree.inner.findLastIndex(([, inner]) => inner.mark !== 'gone')
  parent.append(isList ? '[' : '{')
  for (let i = 0; i < tree.inner.length; i++) {
    const skipped = isList ? calmFrom(tree.inner, i) - 2 * RUN_ENDS : 0
    if (skipped > RUN - 2 * RUN_ENDS) {
      for (const end = i + RUN_ENDS; i < end; i++) writeOne(parent, tree.inner, i, depth, last)
      parent.append(newLine(depth + 1), el('span', 'absent', `${skipped.toLocaleString('en')} more`))
      i += skipped
    }
    writeOne(parent, tree.inner, i, depth, last)
  }
  parent.append(newLine(depth), isList ? ']' : '}')
}

function writeOne(parent, inner, i, depth, last) {
  const [name, tree] = inner[i]
  parent.append(newLine(depth + 1))
  write(parent, tree, depth + 1, name === '' ? '' : `${JSON.stringify(name)}: `, tree.mark !== 'gone' && i < last ? ',' : '')
}

// How many elements from `start` on stayed as they were; asked within a run, only at its start.
function calmFrom(inner, start) {
  const isCalm = (i) => inner[i][1].differences === 0
  if (!isCalm(start) || (start > 0 && isCalm(start - 1))) return 0
  let end = start
  while (end < inner.length && isCalm(end)) end += 1
  return end - start
}
