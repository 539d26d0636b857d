import { expect, test } from 'vitest'
import { explainLines, pictureLine, scopeLines } from '../src/lib/code.js'
import { cell } from '../src/lib/numbers.js'
import { heaviest } from '../src/lib/sums.js'
import { alive } from '../src/lib/tiles.js'

test('a saved model needs two lines', () => {
  expect(scopeLines('digits')).toBe('import convscope\n\nscope = convscope.Scope("digits")')
})

test('the epoch, the kernels drawn anew and the numbers changed by hand stand in the lines, in the order of the server', () => {
  const lines = scopeLines('digits', { epoch: '4', init: 'he_normal', edits: 'block1_conv1~3~12~2;a%7Eb~0~1~-0.5;c~2~0~1~bias' }).split('\n')
  expect(lines).toEqual([
    'import convscope',
    'from convscope.actions.changed import KernelValue, change_kernels, draw_anew',
    'from convscope.actions.epochs import model_of_epoch',
    '',
    'scope = convscope.Scope(model_of_epoch("digits", 4))',
    'draw_anew(scope.model, "he_normal")',
    'change_kernels(scope.model, [',
    '    KernelValue("block1_conv1", 3, 12, 2),',
    '    KernelValue("a~b", 0, 1, -0.5),',
    '    KernelValue("c", 2, 0, 1, "bias"),',
    '])',
  ])
})

test('names can not break out of their quotes', () => {
  expect(scopeLines('a"); import os #')).toContain('Scope("a\\"); import os #")')
  expect(pictureLine('x"\ny')).toBe('picture = "x\\"\\ny"  # where this picture lies')
})

test('each method is a line; target and layer only where they were chosen', () => {
  const lines = explainLines('run', '0/a.jpg', ['grad-cam', 'rise'], { target: '2', layer: 'conv' }).split('\n')
  expect(lines.slice(-2)).toEqual([
    'convscope.explain(scope, picture, method="grad-cam", target=2, layer="conv").save("explained")',
    'convscope.explain(scope, picture, method="rise", target=2, layer="conv").save("explained")',
  ])
  expect(explainLines('run', 'a', ['rise'])).toContain('method="rise")')
})

test('numbers in narrow cells are shortened, never cut', () => {
  expect([0.310, -0.00392, -0.00056, 1.23e-7, -123456, 0, -0.0824].map((v) => cell(v))).toEqual(['0.310', '−0.0039', '−5.6e−4', '1.23e−7', '−1.23e5', '0', '−0.0824'])
  for (let i = 0; i < 400; i++) expect(cell((-1) ** i * 10 ** (i / 20 - 12)).length).toBeLessThanOrEqual(7)
})

test('of a long row of inputs the heaviest come first, and nothing of the sum is lost', () => {
  const products = [0.1, -3, NaN, 2, -0.2]
  const group = { channel: -1, columns: 16, sum: -1.1, cells: products.map((product, index) => ({ product, index, padding: false })) }
  const found = heaviest(group, 2)
  expect(found.cells.map((c) => c.index)).toEqual([1, 3])
  expect(found.columns).toBe(4)
  expect(found.part + products.filter((p, i) => ![1, 3].includes(i) && Number.isFinite(p)).reduce((a, b) => a + b, 0)).toBeCloseTo(group.sum)
  expect(heaviest(group, Infinity).cells).toHaveLength(5)
})

test('maps that are 0 everywhere have no rank', () => {
  const maps = { order: { data: new Int32Array([3, 0, 2, 1]) }, low: { data: [0, -1, 0, 0] }, high: { data: [2, 0, 0, 5] } }
  expect(alive(maps)).toEqual([3, 0, 1])
})
