// Numbers for people: three significant digits, a true minus sign, thin spaces in thousands.

const minus = (text) => text.replace(/-/g, '−')

export function three(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size >= 1e5 || size < 1e-4) {
    const [digits, power] = value.toExponential(2).split('e')
    return minus(`${digits}e${Number(power)}`)
  }
  if (size >= 1000) return minus(count(Math.round(value)))
  return minus(padded(Number(value.toPrecision(3))))
}

function padded(value) {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 2 - Math.floor(Math.log10(size))
  return value.toFixed(Math.min(digits, 8))
}

/** A number for a narrow cell: as many of its three digits as `most` characters hold. */
export function cell(value, most = 7) {
  const whole = three(value)
  if (whole.length <= most || !Number.isFinite(value)) return whole
  const power = (digits) => minus(value.toExponential(digits).replace('e+', 'e'))
  const plain = minus(String(Number(value.toPrecision(2))))
  return [plain, power(1), power(0)].find((text) => text.length <= most) ?? power(0)
}

export const signed = (value) => (value > 0 ? `+${three(value)}` : three(value))

export function count(value) {
  if (value === null || value === undefined) return '–'
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ')
}

export function short(value) {
  if (value === null || value === undefined) return '–'
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`
  }
  return String(value)
}

export const percent = (share, digits = 1) => (share === null || share === undefined ? '–' : `${(100 * share).toFixed(digits)} %`)

export function shapeWords(shape) {
  if (!shape?.length) return ''
  if (shape.length === 3 && shape[0] === shape[1]) return `${shape[0]}² × ${shape[2]}`
  return shape.join(' × ')
}
