// The receptive field of one value from a layer's own numbers: size, stride and offset along each axis.

/** [first, last] pixel per axis, before and after clipping at the border; null where it is not known. */
export function boxOf(field, at) {
  if (!field || field.axes.length !== 2) return null
  const raw = field.axes.map((axis, i) => {
    if (axis.whole) return [0, field.input[i] - 1]
    if (axis.size === null || axis.stride === null || axis.offset === null || at.length !== 2) return null
    const first = Math.round(axis.offset + axis.stride * at[i])
    return [first, first + axis.size - 1]
  })
  if (raw.some((r) => r === null)) return null
  const clipped = raw.map(([low, high], i) => [Math.max(0, low), Math.min(field.input[i] - 1, high)])
  return { raw, clipped, outside: raw.some(([low], i) => low !== clipped[i][0]) || raw.some(([, h], i) => h !== clipped[i][1]) }
}

export function fieldWords(field) {
  if (!field) return '·'
  if (field.axes.every((a) => a.whole)) return 'all'
  const sizes = field.axes.map((a) => (a.whole ? 'all' : a.size === null ? 'varies' : a.size))
  return sizes.every((s) => s === sizes[0]) ? String(sizes[0]) : sizes.join('×')
}
