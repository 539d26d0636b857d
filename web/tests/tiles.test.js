import { describe, expect, test } from 'vitest'
import { Sheet, fitScale, hit, layout, limits, nextScale, paint, paintSteps, placeOf, stepColours, visible } from '../src/lib/tiles.js'
import { packedTable } from '../src/lib/colour.js'

function maps(count, height, width, value) {
  const data = Float32Array.from({ length: count * height * width }, (_, i) => value(Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width))
  const low = new Float32Array(count).fill(Infinity)
  const high = new Float32Array(count).fill(-Infinity)
  data.forEach((v, i) => { const c = Math.floor(i / (height * width)); low[c] = Math.min(low[c], v); high[c] = Math.max(high[c], v) })
  const signed = low.some((v) => v < 0), size = height * width, steps = new Uint8Array(data.length)
  for (let c = 0; c < count; c++) {
    const end = Math.max(-low[c], high[c]), [from, to] = signed ? [-end, end] : [low[c], high[c]]
    const factor = to > from ? 255 / (to - from) : 0
    for (let i = c * size; i < (c + 1) * size; i++) steps[i] = (data[i] - from) * factor + 0.5
  }
  return { exact: { data }, steps: { data: steps, shape: [count, height, width] }, low: { data: low }, high: { data: high }, importance: { data: new Float32Array(count) }, rank_by: 'index' }
}
// a canvas that only notes what is drawn on it
function canvas(width, height) {
  const calls = []
  const context = new Proxy({ calls }, { get: (t, key) => key === 'calls' ? calls : key === 'createImageData' ? (w, h) => ({ data: new Uint8ClampedArray(w * h * 4) }) : key === 'measureText' ? () => ({ width: 8 }) : (...args) => calls.push([key, ...args]), set: () => true })
  return { width, height, getContext: () => context, calls }
}
const look = { ratio: 1, font: '', bold: '', ranked: false, rankOf: () => 1 }

describe('the sheet of maps', () => {
  test('a map is shown by whole factors only', () => {
    for (const side of [1, 7, 8, 14, 28, 32, 56, 64, 112, 150, 224, 512]) {
      const scale = fitScale(side)
      expect(Number.isInteger(scale) || Number.isInteger(1 / scale)).toBe(true)
      expect(side * scale).toBeGreaterThanOrEqual(28)
      expect(side * scale).toBeLessThanOrEqual(170)
      for (const up of [true, false]) { const next = nextScale(scale, up); expect(Number.isInteger(next) || Number.isInteger(Math.round(1 / next * 1e6) / 1e6)).toBe(true) }
    }
    expect(nextScale(1, false)).toBe(1 / 2)
    expect(nextScale(1 / 2, true)).toBe(1)
  })
  test('every value of every tile is found again under its own pixel', () => {
    const size = { width: 6, height: 4 }
    const grid = layout({ count: 13, ...size, scale: 20, view: 700 })
    for (let tile = 0; tile < 13; tile++) {
      const { x, y } = placeOf(grid, tile)
      for (const [row, column] of [[0, 0], [3, 5], [2, 1]]) expect(hit(grid, size, x + (column + 0.5) * 20, y + (row + 0.5) * 20)).toEqual({ tile, row, column })
      expect(hit(grid, size, x + grid.tileW + 1, y + 1)).toBe(null)
    }
    expect(hit(grid, size, 0, 0)).toBe(null)
  })
  test('tiles in sight are exactly those that overlap the window', () => {
    const grid = layout({ count: 200, width: 28, height: 28, scale: 1, view: 400 })
    const seen = visible(grid, 0, 300, 400, 200)
    for (let i = 0; i < 200; i++) {
      const { y } = placeOf(grid, i)
      if (y + grid.tileH > 300 && y < 500) expect(seen).toContain(i)
    }
    expect(seen.length).toBeLessThan(200)
  })
  test('colours run from the lowest to the highest value; signed maps are symmetric about zero', () => {
    const plain = maps(2, 2, 2, (c, y, x) => c + y * 2 + x)
    expect(limits(plain, 1, false)).toEqual([1, 4])
    expect(limits(plain, 1, true)).toEqual([0, 4])
    const withSigns = maps(1, 1, 3, (c, y, x) => x * 2 - 3)
    expect(limits(withSigns, 0, false)).toEqual([-3, 3])
    const table = packedTable('viridis')
    const plainOut = new Uint32Array(4)
    paint(new Float32Array([1, 4, 2.5, 9]), [1, 4], table, plainOut, 0, 2, 2)
    expect([...plainOut]).toEqual([table[0], table[255], table[128], table[255]])
    const out = new Uint32Array(6)
    const own = stepColours([1, 4], [1, 4], table)
    paintSteps(new Uint8Array([0, 255, 128, 255]), own, out, 0, 3, 2)
    expect([...out]).toEqual([table[0], table[255], 0, table[128], table[255], 0])
    expect([...own]).toEqual([...table]) // its own range: a step is a colour
    const joint = stepColours([1, 4], [0, 4], table)
    expect([joint[0], joint[255]]).toEqual([table[64], table[255]])
    expect(new Set(stepColours([2, 2], [0, 4], table)).size).toBe(1)
    expect(stepColours([0, 0], [0, 0], table, 128)[0]).toBe(table[128]) // zero everywhere among signed maps is the middle
  })
  test('4,096 tiles are laid out once and then copied whole', () => {
    const sheet = new Sheet(maps(4096, 28, 28, (c, y, x) => (c * y + x) % 17), { canvas })
    const order = Array.from({ length: 4096 }, (_, i) => i)
    sheet.arrange(order, 1, 1100, look)
    expect(sheet.bitmap).not.toBe(null)
    const target = canvas(1100, 700)
    sheet.draw(target.getContext('2d'), 0, 500, 1100, 700)
    expect(target.calls.filter(([name]) => name === 'drawImage')).toHaveLength(1)
    sheet.arrange(order, 4, 1100, look) // too large for one bitmap: only what is in sight
    expect(sheet.bitmap).toBe(null)
    target.calls.length = 0
    sheet.draw(target.getContext('2d'), 0, 5000, 1100, 700)
    expect(target.calls.filter(([name]) => name === 'drawImage').length).toBeLessThan(100)
  })
  test('the value at the pointer is the value that was sent', () => {
    const sent = maps(3, 4, 5, (c, y, x) => 100 * c + 10 * y + x)
    const sheet = new Sheet(sent, { canvas })
    expect(sheet.value(2, 3, 4)).toBe(null) // not there yet
    sheet.exact = sent.exact
    expect(sheet.value(2, 3, 4)).toBe(234)
  })
})
