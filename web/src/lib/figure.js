// A view as a file: canvases joined into one, an SVG that stands alone, a PNG of either.

const COPIED = ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'opacity', 'font-size', 'font-weight', 'font-family', 'text-anchor']

/** The text of a drawing with the page's colours and fonts written into it. */
export function standalone(svg) {
  const copy = svg.cloneNode(true)
  const pairs = [[svg, copy], ...[...svg.querySelectorAll('*')].map((one, i) => [one, copy.querySelectorAll('*')[i]])]
  for (const [from, into] of pairs) {
    const look = getComputedStyle(from)
    for (const name of COPIED) into.setAttribute(name, look.getPropertyValue(name))
    into.removeAttribute('class')
    into.removeAttribute('style')
  }
  const box = svg.viewBox.baseVal
  const [w, h] = box && box.width ? [box.width, box.height] : [svg.clientWidth, svg.clientHeight]
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  copy.setAttribute('width', w)
  copy.setAttribute('height', h)
  const ground = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
  for (const [name, value] of [['width', '100%'], ['height', '100%'], ['fill', getComputedStyle(document.documentElement).getPropertyValue('--panel').trim()]]) ground.setAttribute(name, value)
  copy.prepend(ground)
  return new XMLSerializer().serializeToString(copy)
}

/** A canvas of a drawing's text, twice as fine. */
export async function rasterised(text) {
  const image = new Image()
  image.src = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }))
  await image.decode()
  const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth * 2, height: image.naturalHeight * 2 })
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(image.src)
  return canvas
}

/** Rows and columns of labelled tiles: where each lies, and the whole size. */
export function tiled(sizes, { columns = Math.ceil(Math.sqrt(sizes.length)), gap = 12, label = 20 } = {}) {
  const wide = Math.max(1, ...sizes.map(([w]) => w)), high = Math.max(1, ...sizes.map(([, h]) => h))
  const rows = Math.ceil(sizes.length / columns)
  return {
    places: sizes.map((_, i) => [gap + (i % columns) * (wide + gap), gap + Math.floor(i / columns) * (high + label + gap)]),
    width: columns * (wide + gap) + gap,
    height: rows * (high + label + gap) + gap,
  }
}

/** Canvases on one, each with its words below; `least` is the width that small ones are enlarged to, unblurred. */
export function joined(items, { columns, least = 96 } = {}) {
  const style = getComputedStyle(document.documentElement)
  const scale = ({ canvas }) => (canvas.width >= least ? 1 : Math.max(1, Math.floor(least / canvas.width)))
  const sizes = items.map((one) => [one.canvas.width * scale(one), one.canvas.height * scale(one)])
  const plan = tiled(sizes, { columns })
  const whole = Object.assign(document.createElement('canvas'), { width: plan.width, height: plan.height })
  const context = whole.getContext('2d')
  context.fillStyle = style.getPropertyValue('--panel').trim()
  context.fillRect(0, 0, whole.width, whole.height)
  context.imageSmoothingEnabled = false
  context.fillStyle = style.getPropertyValue('--ink').trim()
  context.font = `13px ${getComputedStyle(document.body).fontFamily}`
  items.forEach(({ canvas, label }, i) => {
    const [x, y] = plan.places[i]
    context.drawImage(canvas, x, y, ...sizes[i])
    context.fillText(label ?? '', x, y + sizes[i][1] + 15, Math.max(sizes[i][0], 90))
  })
  return whole
}

/** A picture as an SVG file: pixels inside, sharp at any size. */
export function wrapped(canvas) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${canvas.width}" height="${canvas.height}"><image width="100%" height="100%" style="image-rendering:pixelated" href="${canvas.toDataURL('image/png')}"/></svg>`
}

/** Base64 of a canvas, small enough for one request: PNG, else WebP, else half the size. */
export function packedPicture(canvas, most = 880_000) {
  for (let one = canvas; one.width > 8; one = halved(one)) {
    for (const [kind, quality] of [['image/png'], ['image/webp', 0.9]]) {
      const text = one.toDataURL(kind, quality).split(',')[1]
      if (text.length < most) return text
    }
  }
  return ''
}

function halved(canvas) {
  const small = Object.assign(document.createElement('canvas'), { width: canvas.width >> 1, height: canvas.height >> 1 })
  small.getContext('2d').drawImage(canvas, 0, 0, small.width, small.height)
  return small
}

/** Lines of words as a drawing: columns from the left, the first row bold. */
export function tableSvg(rows, widths) {
  const safe = (v) => String(v).replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c])
  const starts = widths.map((_, i) => 16 + widths.slice(0, i).reduce((a, b) => a + b, 0))
  const width = 32 + widths.reduce((a, b) => a + b, 0)
  const lines = rows.map((row, r) => row.map((cell, c) => `<text x="${starts[c]}" y="${28 + 20 * r}"${r ? '' : ' font-weight="600"'}>${safe(cell)}</text>`).join(''))
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${32 + 20 * rows.length}" font-family="system-ui, sans-serif" font-size="12"><rect width="100%" height="100%" fill="#ffffff"/>${lines.join('')}</svg>`
}
