import { describe, expect, test } from 'vitest'
import { format, parse } from '../src/lib/address.svelte.js'
import { boxOf, fieldWords } from '../src/lib/field.js'
import { unpack } from '../src/lib/packed.js'
import { changes, form, metrics, withEpoch } from '../src/lib/plan.js'
import { arcs, firstLayer, tree } from '../src/lib/rows.js'
import { groups, ordered, waterfall, words } from '../src/lib/sums.js'
import { LESSONS } from '../src/lib/lessons.js'

const row = (name, kind, shape, inputs, more = {}) => ({ name, kind, shape, inputs, within: '', has_maps: true, activation: '', parameters: 1, macs: 1, field: null, ...more })
const ROWS = [row('scale', 'Rescaling', [8, 8, 3], ['@input']), row('block1_conv', 'Conv2D', [8, 8, 4], ['scale']), row('block1_relu', 'ReLU', [8, 8, 4], ['block1_conv']), row('block2_conv', 'Conv2D', [4, 4, 8], ['block1_relu']), row('block2_add', 'Add', [4, 4, 8], ['block2_conv', 'block1_conv']), row('outputs', 'Dense', [10], ['block2_add'])]

test('an address is read back as it was written, whatever names it holds', () => {
  const params = { layer: 'a/b#1 &?=%', at: '3,4', model: 'x', empty: '' }
  expect(parse(format('maps', params))).toEqual({ view: 'maps', params: { layer: 'a/b#1 &?=%', at: '3,4', model: 'x' } })
  expect(parse('#/nowhere?x=1').view).toBe('')
})

test('a packed answer is read without a copy', () => {
  const head = JSON.stringify({ layer: 'é', arrays: [{ name: 'a', dtype: 'float32', shape: [1, 2], offset: 0 }, { name: 'b', dtype: 'uint8', shape: [3], offset: 8 }] })
  let bytes = new TextEncoder().encode(head)
  bytes = new Uint8Array([...bytes, ...new Array((4 - (bytes.length % 4)) % 4).fill(32)])
  const body = new Uint8Array(8 + bytes.length + 12)
  body.set(new TextEncoder().encode('CVS1'))
  new DataView(body.buffer).setUint32(4, bytes.length, true)
  body.set(bytes, 8)
  new Float32Array(body.buffer, 8 + bytes.length, 2).set([1.5, -2])
  body.set([7, 8, 9], 8 + bytes.length + 8)
  const found = unpack(body.buffer)
  expect([found.layer, [...found.a.data], [...found.b.data]]).toEqual(['é', [1.5, -2], [7, 8, 9]])
  expect(found.a.data.buffer).toBe(body.buffer)
  expect(() => unpack(new ArrayBuffer(8))).toThrow('CVS1')
})

describe('the receptive field of one value', () => {
  const field = { axes: [{ size: 3, stride: 2, offset: -1, whole: false }, { size: 5, stride: 1, offset: 0, whole: false }], input: [10, 9] }
  test('is clipped at the border', () => {
    expect(boxOf(field, [0, 7])).toEqual({ raw: [[-1, 1], [7, 11]], clipped: [[0, 1], [7, 8]], outside: true })
    expect(boxOf(field, [2, 2])).toEqual({ raw: [[3, 5], [2, 6]], clipped: [[3, 5], [2, 6]], outside: false })
  })
  test('is the whole picture behind global pooling, and unknown where it follows no rule', () => {
    const whole = { axes: [0, 1].map(() => ({ size: 10, stride: null, offset: 0, whole: true })), input: [10, 9] }
    expect(boxOf(whole, []).clipped).toEqual([[0, 9], [0, 8]])
    expect(boxOf({ ...field, axes: [field.axes[0], { size: null, stride: null, offset: null, whole: false }] }, [0, 0])).toBe(null)
    expect([fieldWords(whole), fieldWords(field), fieldWords(null)]).toEqual(['all', '3×5', '·'])
  })
})

describe('layers', () => {
  test('stand in groups by what their names begin with; a skip is marked', () => {
    const parts = tree(ROWS)
    expect(parts.map((p) => [p.group, p.rows.length])).toEqual([['', 1], ['block1', 2], ['block2', 2], ['', 1]])
    expect(parts[2].skip).toBe(true)
    expect(parts[2].stages.length).toBe(1)
    expect(firstLayer(ROWS)).toBe('block1_relu')
  })
  test('arcs join what is not next to each other, without crossing in one lane', () => {
    expect(arcs(ROWS)).toEqual([{ from: 1, to: 4, lane: 0 }])
    const rows = [row('a', '', [], []), row('b', '', [], ['a']), row('c', '', [], ['a']), row('d', '', [], ['c', 'b', 'a'])]
    const lanes = arcs(rows)
    for (const one of lanes) for (const two of lanes) if (one !== two && one.lane === two.lane) expect(one.to <= two.from || two.to <= one.from).toBe(true)
  })
})

describe('one value', () => {
  const worked = { shape: [2, 2, 2], channels: [0, 1], operation: 'sum of products', sources: ['before'], source: [[[0, 0], [0, 0]], [[0, 0], [0, 0]]], patch: [[[1, 10], [2, 20]], [[3, 30], [0, 0]]], kernel: [[[1, 1], [1, -1]], [[1, 1], [9, 9]]], products: [[[1, 10], [2, -20]], [[3, 30], [0, 0]]], is_padding: [[[false, false], [false, false]], [[false, false], [true, true]]], positions: [[[[0, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 1]]], [[[1, 0, 0], [1, 0, 1]], [[1, 1, 0], [1, 1, 1]]]] }
  const found = groups(worked)
  test('its factors stand by input channel, each with its place and source', () => {
    expect(found.map((g) => g.sum)).toEqual([6, 20])
    expect(found[1].cells[1]).toMatchObject({ patch: 20, kernel: -1, product: -20, at: [0, 1, 1], source: 'before', padding: false })
    expect(found[0].cells[3].padding).toBe(true)
    expect(found[0].columns).toBe(2)
  })
  test('the running sum ends at the sum, also when bars are joined', () => {
    const bars = waterfall(found)
    expect(bars.at(-1).to).toBe(26)
    expect(bars).toHaveLength(6) // padding adds nothing
    const many = Array.from({ length: 300 }, (_, c) => ({ channel: c, columns: 1, sum: c - 150, cells: [{ product: c - 150, padding: false, index: c, at: [0, 0, c] }] }))
    const joined = waterfall(many)
    expect(joined.length).toBeLessThanOrEqual(64)
    expect(joined.at(-1).to).toBeCloseTo(many.reduce((s, g) => s + g.sum, 0))
    expect(ordered(many)[0].sum).toBe(-150)
  })
  test('words say what the numbers say', () => {
    expect(words(worked, found)).toContain('6 products: those above zero add 46.0, those below take 20.0 away')
    expect(words(worked, found)).toContain('2 factors lie outside')
  })
})

describe('the plan', () => {
  const schema = { $defs: { Augmentation: { properties: { rotate_deg: { type: 'number' }, flip_horizontal: { type: 'boolean' } } } }, properties: { epochs: { type: 'integer', minimum: 0, group: 'training', description: 'Passes.' }, schedule: { enum: ['constant', 'cosine'], group: 'schedule' }, image_size: { anyOf: [{ type: 'integer' }, { type: 'array' }, { type: 'null' }], group: 'data' }, strict: { type: 'boolean', group: 'data' }, filters: { type: 'array', group: 'network' } } }
  const groupsOf = form({ schema, defaults: { epochs: 20, schedule: 'constant', image_size: null, strict: false, filters: [32, 64], augment: { rotate_deg: 0, flip_horizontal: false } } })
  test('becomes a form with the first choices first', () => {
    expect(groupsOf[0].fields.map((f) => f.name)).toEqual(['epochs', 'image_size'])
    expect(groupsOf.flatMap((g) => g.fields).find((f) => f.name === 'schedule').kind).toBe('choice')
  })
  test('only what was changed is sent, as the type that the plan takes', () => {
    expect(changes(groupsOf, { epochs: '20', schedule: 'cosine', image_size: '64', filters: '8, 16', 'augment.flip_horizontal': true, 'augment.rotate_deg': '' })).toEqual({ schedule: 'cosine', image_size: 64, filters: [8, 16], augment: { flip_horizontal: true } })
    expect(changes(groupsOf, {})).toEqual({})
  })
  test('a repeated epoch counts as it ran last', () => {
    let history = []
    for (const loss of [3, 2, 1]) history = withEpoch(history, { event: 'epoch', step: 1, time: '', clock_s: 0, epoch: loss === 1 ? 2 : 4 - loss, loss, val_loss: loss })
    expect(history.map((r) => [r.epoch, r.loss])).toEqual([[1, 3], [2, 1]])
    expect(withEpoch(history, { event: 'note' })).toBe(history)
    expect(metrics(history)).toEqual(['loss'])
  })
})

test('each step of each lesson opens a screen, on any network', () => {
  expect(LESSONS).toHaveLength(6)
  for (const rows of [ROWS, []]) for (const one of LESSONS) for (const step of one.steps) {
    const [view, change] = step.go(rows)
    expect(parse(format(view, change)).view).toBe(view)
    if (rows.length && 'layer' in change) expect(rows.map((r) => r.name)).toContain(change.layer)
  }
})
