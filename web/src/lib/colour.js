// The colour maps of convscope (see draw/colour.py): viridis for values from 0 up, blue-white-red for signed ones.

const VIRIDIS =
  '44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b38598c355e8d33638d31688e' +
  '2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc74' +
  '46c06f50c46a5ac86465cb5e70cf577cd25089d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725'
const RDBU = '0530612166ac4393c392c5ded1e5f0f7f7f7fddbc7f4a582d6604db2182b67001f'

function table(knots, steps) {
  const points = knots.match(/../g).map((h) => parseInt(h, 16))
  const n = points.length / 3
  const found = new Uint8Array(steps * 3)
  for (let i = 0; i < steps; i++) {
    const place = (i * (n - 1)) / (steps - 1)
    const low = Math.min(Math.floor(place), n - 2)
    for (let c = 0; c < 3; c++) {
      const a = points[low * 3 + c]
      const b = points[low * 3 + 3 + c]
      found[i * 3 + c] = Math.round(a + (b - a) * (place - low))
    }
  }
  return found
}

export const viridis = table(VIRIDIS, 256)
export const diverging = table(RDBU, 255)

/** 256 packed little-endian RGBA values, for a Uint32Array over ImageData. */
export function packedTable(kind) {
  const source = kind === 'diverging' ? diverging : viridis
  const steps = source.length / 3
  const found = new Uint32Array(256)
  for (let i = 0; i < 256; i++) {
    const at = Math.min(steps - 1, Math.round((i * (steps - 1)) / 255)) * 3
    found[i] = (255 << 24) | (source[at + 2] << 16) | (source[at + 1] << 8) | source[at]
  }
  return found
}

export function css(kind, share) {
  const source = kind === 'diverging' ? diverging : viridis
  const at = Math.round(Math.max(0, Math.min(1, share)) * (source.length / 3 - 1)) * 3
  return `rgb(${source[at]} ${source[at + 1]} ${source[at + 2]})`
}

/** The ink, black or white, that can be read better on a colour: at least 4.58 to 1 on any (WCAG 2). */
export function inkOn(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
  const light = 0.2126 * r + 0.7152 * g + 0.0722 * b
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? '#ffffff' : '#000000'
}

/** A signed value's colour, white at 0; and an ink that can be read on it. */
export function signedColour(value, limit) {
  const back = css('diverging', (Math.max(-1, Math.min(1, limit > 0 ? value / limit : 0)) + 1) / 2)
  return { back, ink: inkOn(back) }
}

export function gradient(kind) {
  const stops = Array.from({ length: 11 }, (_, i) => css(kind, i / 10))
  return `linear-gradient(to right, ${stops.join(', ')})`
}

export const CLASSES = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8a900', 'var(--ink)']
