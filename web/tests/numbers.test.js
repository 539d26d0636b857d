import { describe, expect, test } from 'vitest'
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
