// Thousands of maps in one canvas: coloured once into an atlas, laid out once per scale into a bitmap, then only copied.
import { packedTable } from './colour.js'
import { signed, three } from './numbers.js'

export const GAP = 15
export const LABEL = 36
const LARGEST_SHEET = 24e6
const TARGET = 112

/** The whole factor (or one over a whole number) at which a map is about 112 px wide. */
export function fitScale(width, height = width, target = TARGET) {
  const side = Math.max(width, height)
  if (side <= target) return Math.max(1, Math.min(28, Math.round(target / side)))
  return 1 / Math.ceil(side / target / 1.02)
}

/** The next whole factor up or down. */
export function nextScale(scale, up) {
  const k = scale >= 1 ? Math.round(scale) : -Math.round(1 / scale)
  const next = up ? (k < -2 ? k + 1 : k < 0 ? 1 : k + 1) : k > 1 ? k - 1 : k > 0 ? -2 : k - 1
  return next > 0 ? Math.min(next, 32) : Math.max(1 / -next, 1 / 16)
}

export function layout({ count, width, height, scale, view }) {
  const tileW = Math.max(1, Math.round(width * scale))
  const tileH = Math.max(1, Math.round(height * scale))
  const labelled = tileW >= 96 || (scale >= 28 && count <= 256)
  let pitchX = labelled ? Math.max(tileW, 108) + GAP : tileW + (tileW > 24 ? 4 : 1)
  const pitchY = tileH + (labelled ? LABEL + 10 : tileH > 24 ? 4 : 1)
  const columns = Math.max(1, Math.min(count, Math.floor((view - 2 * 12 + (pitchX - tileW)) / pitchX)))
  const rows = Math.ceil(count / columns)
  if (labelled && rows > 1 && columns > 1) {
    // full rows fill the width, within reason
    pitchX = Math.min(pitchX + 48, Math.floor((view - 24 - Math.max(tileW, 108)) / (columns - 1)))
  }
  const sheetW = columns * pitchX - (pitchX - Math.max(tileW, labelled ? 108 : 0)) + 24
  return { tileW, tileH, labelled, pitchX, pitchY, columns, rows, left: 12, top: 12, sheetW, sheetH: rows * pitchY + 24, count }
}

/** Where tile i lies in the sheet. */
export function placeOf(grid, i) {
  return { x: grid.left + (i % grid.columns) * grid.pitchX, y: grid.top + Math.floor(i / grid.columns) * grid.pitchY }
}

/** The tile and the map value under a point of the sheet; null between the maps. */
export function hit(grid, { width, height }, x, y) {
  const column = Math.floor((x - grid.left) / grid.pitchX)
  const row = Math.floor((y - grid.top) / grid.pitchY)
  const tile = row * grid.columns + column
  if (column < 0 || row < 0 || column >= grid.columns || tile >= grid.count) return null
  const inX = x - grid.left - column * grid.pitchX
  const inY = y - grid.top - row * grid.pitchY
  if (inX >= grid.tileW || inY >= grid.tileH) return null
  return {
    tile,
    column: Math.min(width - 1, Math.floor((inX / grid.tileW) * width)),
    row: Math.min(height - 1, Math.floor((inY / grid.tileH) * height)),
  }
}

/** Tiles of a grid that show between two heights and widths of the sheet. */
export function visible(grid, left, top, width, height) {
  const found = []
  const r0 = Math.max(0, Math.floor((top - grid.top) / grid.pitchY))
  const r1 = Math.min(grid.rows - 1, Math.floor((top + height - grid.top) / grid.pitchY))
  const c0 = Math.max(0, Math.floor((left - grid.left) / grid.pitchX))
  const c1 = Math.min(grid.columns - 1, Math.floor((left + width - grid.left) / grid.pitchX))
  for (let r = r0; r <= r1; r++) {
    for (let c = c0; c <= c1; c++) {
      const i = r * grid.columns + c
      if (i < grid.count) found.push(i)
    }
  }
  return found
}

/** Channels in their order without those that are 0 everywhere: the maps that are shown and ranked. */
export const alive = (maps) => [...maps.order.data].filter((c) => maps.low.data[c] !== 0 || maps.high.data[c] !== 0)

export const isSigned = (maps) => maps.low.data.some((v) => v < 0)

/** Lowest and highest value of the colours of one channel: its own, or the layer's; symmetric about 0 when signed. */
export function limits(maps, channel, shared, kind = isSigned(maps) ? 'diverging' : 'viridis') {
  let low = maps.low.data[channel]
  let high = maps.high.data[channel]
  if (shared) {
    low = Math.min(...maps.low.data)
    high = Math.max(...maps.high.data)
  }
  if (kind === 'viridis') return [shared ? Math.min(0, low) : low, high]
  const end = Math.max(Math.abs(low), Math.abs(high))
  return [-end, end]
}

/** What each of a map's 256 steps looks like, where colours run from `low` to `high`: steps go from `from` to `to`. `flat`: the step of a map without a range. */
export function stepColours([from, to], [low, high], colours, flat = 0) {
  if (!(high > low)) return new Uint32Array(256).fill(colours[flat])
  const factor = 255 / (high - low)
  const found = new Uint32Array(256)
  for (let i = 0; i < 256; i++) {
    const step = ((from + (i / 255) * (to - from) - low) * factor + 0.5) | 0
    found[i] = colours[step < 0 ? 0 : step > 255 ? 255 : step]
  }
  return found
}

/** Values of one map to packed colours, written into `out` (rows of `stride`) at `start`. */
export function paint(values, [low, high], colours, out, start, stride, width) {
  const factor = high > low ? 255 / (high - low) : 0
  for (let i = 0, y = 0; i < values.length; y++) {
    let at = start + y * stride
    for (let x = 0; x < width; x++, i++, at++) {
      const step = ((values[i] - low) * factor + 0.5) | 0
      out[at] = colours[step < 0 ? 0 : step > 255 ? 255 : step]
    }
  }
}

/** The same for steps that are looked up in their own 256 colours. */
export function paintSteps(steps, colours, out, start, stride, width) {
  for (let i = 0; i < steps.length; start += stride) {
    for (let at = start; at < start + width; at++, i++) out[at] = colours[steps[i]] // runs millions of times
  }
}

/**
 * The sheet of a layer's maps, coloured by their 256 steps; `exact` (the values themselves) may come later, for what is
 * read off. `canvas(w, h)` makes a canvas, so that tests need no browser.
 */
export class Sheet {
  constructor(maps, { shared = false, canvas, scaled = null }) {
    const [count, height, width] = maps.steps.shape
    this.exact = null
    Object.assign(this, { maps, count, height, width, shared, canvas })
    const ends = scaled ?? maps // ranges of the colours: its own, or shared with the sheet beside
    this.kind = isSigned(ends) ? 'diverging' : 'viridis'
    this.across = Math.max(1, Math.min(count, Math.ceil(Math.sqrt((count * height) / width)), Math.floor(8192 / width)))
    this.atlas = canvas(this.across * width, Math.ceil(count / this.across) * height)
    const context = this.atlas.getContext('2d')
    const picture = context.createImageData(this.atlas.width, this.atlas.height)
    const out = new Uint32Array(picture.data.buffer)
    const colours = packedTable(this.kind)
    const size = width * height
    const layer = shared ? limits(ends, 0, true) : null
    const kind = isSigned(maps) ? 'diverging' : 'viridis' // by which the server made the steps
    for (let c = 0; c < count; c++) {
      const start = Math.floor(c / this.across) * height * this.atlas.width + (c % this.across) * width
      const own = stepColours(limits(maps, c, false, kind), layer ?? limits(ends, c, false, this.kind), colours, this.kind === 'diverging' ? 128 : 0)
      paintSteps(maps.steps.data.subarray(c * size, c * size + size), own, out, start, this.atlas.width, width)
    }
    context.putImageData(picture, 0, 0)
  }

  /** null until the exact values are there. */
  value(channel, row, column) {
    return this.exact ? this.exact.data[(channel * this.height + row) * this.width + column] : null
  }

  /** Draw one map at (x, y), unblurred. */
  tile(context, channel, x, y, w, h) {
    const sx = (channel % this.across) * this.width
    const sy = Math.floor(channel / this.across) * this.height
    context.drawImage(this.atlas, sx, sy, this.width, this.height, x, y, w, h)
  }

  /** Lay the channels out at a scale; the bitmap is made here, once, where it is not too large. */
  arrange(order, scale, view, look) {
    this.order = order
    this.look = look
    this.grid = layout({ count: order.length, width: this.width, height: this.height, scale, view })
    const ratio = look.ratio
    const pixels = this.grid.sheetW * this.grid.sheetH * ratio * ratio
    this.bitmap = null
    if (pixels <= LARGEST_SHEET && this.grid.sheetH * ratio < 16000 && this.grid.sheetW * ratio < 16000) {
      this.bitmap = this.canvas(Math.ceil(this.grid.sheetW * ratio), Math.ceil(this.grid.sheetH * ratio))
      const context = this.bitmap.getContext('2d')
      context.scale(ratio, ratio)
      this.#tiles(context, order.keys(), 0, 0)
    }
    return this.grid
  }

  /** Show the part of the sheet that begins at (left, top): one copy, or the few tiles in sight. */
  draw(context, left, top, width, height) {
    const ratio = this.look.ratio
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, width * ratio, height * ratio)
    if (this.bitmap) {
      context.drawImage(this.bitmap, -Math.round(left * ratio), -Math.round(top * ratio))
      return
    }
    context.scale(ratio, ratio)
    this.#tiles(context, visible(this.grid, left, top, width, height), left, top)
  }

  #tiles(context, indices, left, top) {
    const { grid, look, order, maps } = this
    context.imageSmoothingEnabled = false
    context.textBaseline = 'top'
    for (const i of indices) {
      const { x, y } = placeOf(grid, i)
      this.tile(context, order[i], x - left, y - top, grid.tileW, grid.tileH)
      if (grid.labelled) this.#label(context, i, x - left, y - top + grid.tileH + 6, look, maps)
    }
  }

  #label(context, i, x, y, look, maps) {
    const channel = this.order[i]
    const width = Math.max(this.grid.tileW, 108)
    context.textAlign = 'left'
    context.font = look.font
    context.fillStyle = look.third
    const rank = look.ranked ? `${look.rankOf(channel)}` : ''
    if (rank) context.fillText(rank, x, y)
    context.font = look.bold
    context.fillStyle = look.ink
    context.fillText(`ch ${channel}`, x + (rank ? context.measureText(rank).width + 6 : 0), y)
    if (look.ranked) {
      const value = maps.importance.data[channel]
      context.textAlign = 'right'
      context.font = look.font
      context.fillStyle = value > 0 ? look.for : value < 0 ? look.against : look.third
      context.fillText(look.isSigned ? signed(value) : three(value), x + width, y)
      context.textAlign = 'left'
    }
    context.font = look.font
    context.fillStyle = look.third
    context.fillText(`${three(maps.low.data[channel])} – ${three(maps.high.data[channel])}`, x, y + 15)
  }

  /** Repeat the pointer on all maps in sight and write each map's value there; frame the chosen and the pinned. */
  mark(context, left, top, width, height, { at, chosen, pinned = [] }) {
    const { grid, look } = this
    context.setTransform(look.ratio, 0, 0, look.ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    context.textBaseline = 'top'
    context.font = look.font
    const cellW = grid.tileW / this.width
    const cellH = grid.tileH / this.height
    for (const i of visible(grid, left, top, width, height)) {
      const channel = this.order[i]
      const { x, y } = placeOf(grid, i)
      const [px, py] = [x - left, y - top]
      if (channel === chosen || pinned.includes(channel)) {
        context.strokeStyle = look.accent
        context.lineWidth = channel === chosen ? 2 : 1
        context.setLineDash(channel === chosen ? [] : [4, 3])
        context.strokeRect(px - 3, py - 3, grid.tileW + 6, grid.tileH + 6)
        context.setLineDash([])
      }
      if (!at || grid.tileW < 20) continue
      const side = Math.max(6, cellW)
      const cx = px + (at[1] + 0.5) * cellW
      const cy = py + (at[0] + 0.5) * Math.max(cellH, 1)
      context.lineWidth = 3
      context.strokeStyle = '#101216'
      context.strokeRect(cx - side / 2, cy - side / 2, side, side)
      context.lineWidth = 1.5
      context.strokeStyle = channel === chosen ? '#ff5ab8' : '#ffffff'
      context.strokeRect(cx - side / 2, cy - side / 2, side, side)
      if (grid.labelled) {
        context.textAlign = 'right'
        context.fillStyle = look.second
        context.fillText(three(this.value(channel, at[0], at[1])), px + Math.max(grid.tileW, 108), py + grid.tileH + 21)
        context.textAlign = 'left'
      }
    }
  }
}
