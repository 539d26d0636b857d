// The factors of one value arranged for the eye: grids per input channel, the running sum, words.
import { three } from './numbers.js'

/** Flatten nested lists. */
export const flat = (nest) => (Array.isArray(nest) ? nest.flat(Infinity) : [nest])

/**
 * The factors by input channel: {channel, sum, cells: [{patch, kernel, product, padding, at, source, index, full}], columns};
 * of a separable layer also `weight` per group and `window` per cell, whose product the kernel is.
 * `worked` is an Arithmetic as JSON; arrays are (..., channel).
 */
export function groups(worked) {
  const many = worked.shape.length > 1
  const channels = worked.shape.length ? worked.channels.length : 0
  const patch = flat(worked.patch), products = flat(worked.products), padding = flat(worked.is_padding), source = flat(worked.source)
  const kernel = worked.kernel === null ? null : flat(worked.kernel)
  const places = worked.places ? flat(worked.places) : null
  const rank = positionsRank(worked, patch.length)
  const positions = flat(worked.positions)
  const per = many ? channels : 1
  const cells = patch.map((p, i) => ({
    patch: p, kernel: kernel?.[i] ?? null, product: products[i], padding: padding[i],
    at: positions.slice(i * rank, i * rank + rank), source: worked.sources[source[i]] ?? '', index: i,
    full: places?.[i] ?? i, // place in the whole filter
  }))
  const columns = many ? (worked.shape.length > 2 ? worked.shape.at(-2) : worked.shape[0]) : Math.min(patch.length, 16)
  const found = Array.from({ length: per }, (_, c) => ({ channel: many ? worked.channels[c] : -1, cells: [], columns, sum: 0 }))
  if (worked.depthwise) {
    // a separable layer: the number of the window that all filters share, and what this filter takes of it
    const count = worked.pointwise.length
    cells.forEach((cell) => { cell.window = worked.depthwise[Math.floor(cell.full / count)][cell.full % count] })
    found.forEach((group) => { group.weight = worked.pointwise[group.channel] })
  }
  cells.forEach((cell, i) => {
    const group = found[many ? i % per : 0]
    group.cells.push(cell)
    if (!cell.padding && Number.isFinite(cell.product)) group.sum += cell.product
  })
  return found
}

function positionsRank(worked, count) {
  const all = flat(worked.positions).length
  return count ? all / count : 0
}

/** Groups that weigh most first, unless there are few: then in their own order. */
export function ordered(found) {
  if (found.length <= 4) return found
  const weight = (g) => g.cells.reduce((sum, c) => sum + (c.padding || !Number.isFinite(c.product) ? 0 : Math.abs(c.product)), 0)
  return [...found].map((g) => ({ g, w: weight(g) })).sort((a, b) => b.w - a.w).map(({ g }) => g)
}

/** The cells of one long group that weigh most, first, four in a row; `part` is what they add up to. */
export function heaviest(group, most) {
  const weight = (c) => (c.padding || !Number.isFinite(c.product) ? 0 : Math.abs(c.product))
  const cells = [...group.cells].sort((a, b) => weight(b) - weight(a)).slice(0, most)
  return { ...group, cells, columns: 4, part: cells.reduce((sum, c) => sum + (Number.isFinite(c.product) && !c.padding ? c.product : 0), 0) }
}

/** Bars of the running sum: every product while there are few, else one bar per input channel, the rest joined. */
export function waterfall(found, most = 64) {
  const cells = found.flatMap((g) => g.cells.filter((c) => !c.padding).map((c) => ({ name: cellName(g, c), value: c.product, index: c.index })))
  let bars = cells.length <= most ? cells : ordered(found).map((g) => ({ name: `ch ${g.channel}`, value: g.sum, index: -1 }))
  if (cells.length > most && found.length === 1) {
    bars = [...cells].sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
  }
  if (bars.length > most) {
    const rest = bars.slice(most - 1).reduce((sum, b) => sum + b.value, 0)
    bars = [...bars.slice(0, most - 1), { name: 'rest', value: rest, index: -1 }]
  }
  let sum = 0
  return bars.map((bar) => {
    const from = sum
    sum += bar.value
    return { ...bar, from, to: sum }
  })
}

function cellName(group, cell) {
  const place = group.cells.indexOf(cell)
  const row = Math.floor(place / group.columns)
  const column = place % group.columns
  const head = group.channel < 0 ? '' : group.colour ? group.colour[0].toUpperCase() : `${group.channel}·`
  return group.channel < 0 ? String(cell.at.at(-1) ?? place) : `${head}${row}${column}`
}

export const COLOURS = ['red', 'green', 'blue']

/** Plain words on what the sum did. */
export function words(worked, found) {
  const cells = found.flatMap((g) => g.cells.filter((c) => !c.padding && Number.isFinite(c.product)))
  if (!cells.length) return 'No value of the layer before reaches this place.'
  if (worked.operation === 'maximum') return `The largest of ${cells.length} values is taken; the others do not count here.`
  if (worked.operation === 'mean') return `${cells.length} values are averaged: each counts one ${cells.length}th.`
  if (!worked.kernel && cells.length === 1) return `One value goes in: ${three(cells[0].patch)}.`
  if (!worked.kernel) return `${cells.length} values are joined: ${worked.operation}.`
  const up = cells.filter((c) => c.product > 0).reduce((s, c) => s + c.product, 0)
  const down = cells.filter((c) => c.product < 0).reduce((s, c) => s + c.product, 0)
  const best = cells.reduce((a, b) => (Math.abs(b.product) > Math.abs(a.product) ? b : a))
  const padded = flat(worked.is_padding).filter(Boolean).length
  const edge = padded ? ` ${padded} factors lie outside the picture (padding) and add nothing.` : ''
  return `${cells.length} products: those above zero add ${three(up)}, those below take ${three(-down)} away. The largest is ${three(best.patch)} × ${three(best.kernel)} = ${three(best.product)}.${edge}`
}

/** Points of an activation's curve around a value, by its name; null for one that is not drawn. */
export function curve(name, from, to) {
  const shapes = {
    relu: (x) => Math.max(x, 0), relu6: (x) => Math.min(Math.max(x, 0), 6), sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    tanh: Math.tanh, elu: (x) => (x > 0 ? x : Math.exp(x) - 1), silu: (x) => x / (1 + Math.exp(-x)), swish: (x) => x / (1 + Math.exp(-x)),
    softplus: (x) => Math.log1p(Math.exp(x)), linear: (x) => x,
  }
  const shape = shapes[name.toLowerCase().replace(/[^a-z0-9]/g, '')]
  if (!shape) return null
  return Array.from({ length: 49 }, (_, i) => {
    const x = from + ((to - from) * i) / 48
    return [x, shape(x)]
  })
}
