import { describe, expect, test } from 'vitest'
import { differences, outcomes } from '../src/lib/compare.js'
import { tableSvg, tiled } from '../src/lib/figure.js'
import { LESSONS } from '../src/lib/lessons.js'
import { formatEdits, parseEdits, presets, spec, variantWords, withEdits } from '../src/lib/variant.js'

describe('what differs from the saved model', () => {
  test('edits survive the address, whatever the layer is called', () => {
    const edits = [{ layer: 'a/b~c;d', channel: 1, cell: 2, value: -0.5 }]
    expect(parseEdits(formatEdits(edits))).toEqual(edits)
    expect(formatEdits(edits)).toBe('a%2Fb%7Ec%3Bd~1~2~-0.5')
  })
  test('a bias is another place than a kernel number', () => {
    const edits = [{ layer: 'c', channel: 1, cell: 0, value: 2 }, { layer: 'c', channel: 1, cell: 0, value: 3, part: 'bias' }]
    expect(formatEdits(edits)).toBe('c~1~0~2;c~1~0~3~bias')
    expect(parseEdits(withEdits(formatEdits(edits), [{ ...edits[1], value: 4 }]))).toEqual([edits[0], { ...edits[1], value: 4 }])
  })
  test('the last word on a place counts, and only finite numbers', () => {
    const first = withEdits('', [{ layer: 'c', channel: 0, cell: 1, value: 2 }])
    const second = withEdits(first, [{ layer: 'c', channel: 0, cell: 1, value: 3 }, { layer: 'c', channel: 0, cell: 2, value: NaN }])
    expect(parseEdits(second)).toEqual([{ layer: 'c', channel: 0, cell: 1, value: 3 }])
  })
  test('the server gets it in one word', () => {
    expect(spec('0123', {})).toBe('0123')
    expect(spec('0123', { epoch: '4', init: 'small', edits: 'a~0~0~1' })).toBe('0123@4*small!a~0~0~1')
    expect(spec('', { epoch: '4' })).toBe('')
    expect(variantWords({ edits: 'a~0~0~1;b~0~0~1' })).toBe('2 numbers changed in a, b')
    expect(variantWords({})).toBe('')
  })
  test('kernels for teaching do what they are called', () => {
    const found = presets(3, 3)
    expect(found.blur.reduce((a, b) => a + b)).toBeCloseTo(1)
    expect(found['upright edges']).toEqual([-1, 0, 1, -1, 0, 1, -1, 0, 1].map((v) => v / 3))
    expect(found['only the middle'].indexOf(1)).toBe(4)
  })
})

describe('two runs', () => {
  test('only what differs is listed, also inside', () => {
    expect(differences({ a: 1, b: { c: 1, d: 2 }, e: [1] }, { a: 1, b: { c: 3, d: 2 }, e: [2] })).toEqual([
      { name: 'b.c', values: [1, 3] }, { name: 'e', values: ['[1]', '[2]'] },
    ])
  })
  test('the better one is named by the right direction', () => {
    const run = (loss, accuracy) => ({ history: [{ val_loss: loss, val_accuracy: accuracy, seconds: 1 }], scores: null, start: {} })
    const rows = Object.fromEntries(outcomes(run(0.5, 0.8), run(0.4, 0.7)).map((r) => [r.name, r.better]))
    expect(rows['lowest validation loss']).toBe(1)
    expect(rows['highest validation accuracy']).toBe(0)
    expect(rows['training time, s']).toBe(-1)
    const idle = outcomes({ history: [], scores: null, start: {} }, run(0.4, 0.7)).find((r) => r.name === 'training time, s')
    expect([idle.values, idle.better]).toEqual([[null, 1], -1]) // what has not begun is not the quicker one
  })
})

describe('files', () => {
  test('tiles do not overlap and fit', () => {
    const { places, width, height } = tiled([[10, 20], [30, 10], [5, 5]], { columns: 2 })
    expect(new Set(places.map(String)).size).toBe(3)
    expect(Math.max(...places.map(([x]) => x)) + 30).toBeLessThan(width)
    expect(Math.max(...places.map(([, y]) => y)) + 20).toBeLessThan(height)
  })
  test('words from strangers stay words in a drawing', () => {
    expect(tableSvg([['<script>', 'a&b']], [10, 10])).toContain('&lt;script&gt;')
  })
})

describe('lessons', () => {
  const rows = [
    { name: 'conv', kind: 'Conv2D', shape: [8, 8, 4], has_maps: true, activation: '' },
    { name: 'relu', kind: 'ReLU', shape: [8, 8, 4], has_maps: true, activation: '' },
    { name: 'out', kind: 'Dense', shape: [2], has_maps: true, activation: 'softmax' },
  ]
  test('six, each step a place, a demand, and a test that is not true from the start', () => {
    expect(LESSONS.length).toBe(6)
    for (const { name, steps } of LESSONS) {
      expect(steps.length).toBeGreaterThan(2)
      steps.forEach((step, i) => {
        const [view, params] = step.go(rows)
        const then = { ...params, view }
        expect(step.ask.length, `${name} ${i}`).toBeGreaterThan(10)
        expect(step.does({}, then, then), `${name} ${i}`).toBe(false)
      })
    }
  })
  test('a step is done by its action', () => {
    const [conv2d, stride] = LESSONS
    expect(conv2d.steps[1].does({ slide: 4 }, {}, {})).toBe(false)
    expect(conv2d.steps[1].does({ slide: 5 }, {}, {})).toBe(true)
    expect(stride.steps[0].does({}, { at: '1,1' }, { at: '0,0' })).toBe(true)
    expect(stride.steps[0].does({}, { at: '0,1' }, { at: '0,0' })).toBe(false)
  })
})
