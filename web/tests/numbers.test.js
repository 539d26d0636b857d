import { describe, expect, test } from 'vitest'
import { css, inkOn } from '../src/lib/colour.js'
import { count, percent, shapeWords, short, signed, three } from '../src/lib/numbers.js'

describe('numbers for people', () => {
  test.each([[5.125457, '5.13'], [0.0069749, '0.00697'], [-3.714, '−3.71'], [0, '0'], [12544, '12 544'], [0.09999, '0.100'], [9.9999, '10.0'], [123.4, '123'], [1.5e-7, '1.50e−7'], [NaN, '–'], [-Infinity, '−∞']])('%f has three significant digits: %s', (value, text) => {
    expect(three(value)).toBe(text.replace(/ /g, count(1000)[1]))
  })
  test('a sign is a true minus or a plus', () => {
    expect(signed(1)).toBe('+1.00')
    expect(signed(-1)).toBe('−1.00')
    expect(signed(0)).toBe('0')
  })
  test('large counts and shares', () => {
    expect(short(41288960)).toBe('41.3 M')
    expect(percent(0.8567)).toBe('85.7 %')
    expect(shapeWords([56, 56, 24])).toBe('56² × 24')
  })
})

test('numbers can be read on every colour of both scales', () => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  for (const kind of ['viridis', 'diverging']) {
    for (let i = 0; i <= 254; i++) {
      const back = light(css(kind, i / 254))
      const ink = inkOn(css(kind, i / 254)) === '#ffffff' ? 1 : 0
      expect((Math.max(back, ink) + 0.05) / (Math.min(back, ink) + 0.05)).toBeGreaterThan(4.5)
    }
  }
})
