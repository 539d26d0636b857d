// What of a model is different for the moment: an epoch, kernels drawn anew, single numbers changed by hand.
// It stands in the address, and goes to the server behind the model's id (see studio/variant.py).

const layerWord = (layer) => encodeURIComponent(layer).replaceAll('~', '%7E')

/** [{layer, channel, cell, value, part}] from "LAYER~FILTER~CELL~VALUE~PART;..."; a part is left out where it is the kernel. */
export function parseEdits(text = '') {
  return text.split(';').filter(Boolean).map((part) => {
    const [layer, channel, cell, value, of] = part.split('~')
    return { layer: decodeURIComponent(layer), channel: Number(channel), cell: Number(cell), value: Number(value), ...(of ? { part: of } : {}) }
  })
}

export const formatEdits = (edits) => edits.map((e) => `${layerWord(e.layer)}~${e.channel}~${e.cell}~${e.value}${e.part ? `~${e.part}` : ''}`).join(';')

/** The edits with some numbers laid over them; the last word on a place counts. */
export function withEdits(text, more) {
  const same = (a, b) => a.layer === b.layer && a.channel === b.channel && a.cell === b.cell && (a.part ?? '') === (b.part ?? '')
  const kept = parseEdits(text).filter((e) => !more.some((m) => same(e, m)))
  return formatEdits([...kept, ...more.filter((m) => Number.isFinite(m.value))])
}

/** The model as the server takes it. */
export function spec(model, { epoch = '', init = '', edits = '' } = {}) {
  if (!model) return ''
  return `${model}${epoch === '' ? '' : `@${epoch}`}${init ? `*${init}` : ''}${edits ? `!${edits}` : ''}`
}

/** What is different, in words; '' for nothing. */
export function variantWords({ epoch = '', init = '', edits = '' } = {}) {
  const count = parseEdits(edits).length
  const layers = [...new Set(parseEdits(edits).map((e) => e.layer))]
  return [
    epoch === '' ? '' : `as it was after epoch ${epoch}`,
    init ? `all kernels drawn anew (${init.replaceAll('_', ' ')})` : '',
    count ? `${count} ${count === 1 ? 'number' : 'numbers'} changed in ${layers.join(', ')}` : '',
  ].filter(Boolean).join(' · ')
}

/** Kernels that teach something, for a filter of rows × columns: names and the numbers, row by row. */
export function presets(rows, columns) {
  const fill = (f) => Array.from({ length: rows * columns }, (_, i) => f(Math.floor(i / columns), i % columns))
  const [mr, mc] = [(rows - 1) / 2, (columns - 1) / 2]
  return {
    zeros: fill(() => 0),
    'only the middle': fill((r, c) => (r === Math.floor(mr) && c === Math.floor(mc) ? 1 : 0)),
    blur: fill(() => 1 / (rows * columns)),
    'upright edges': fill((r, c) => Math.sign(c - mc) / rows),
    'level edges': fill((r, c) => Math.sign(r - mr) / columns),
  }
}
